//! What is written down, and the fields that it has.
//!
//! The names and the order of the fields are here, once; `json` and `journal` only say how a field looks there. They are
//! described in docs/audit.md.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokenbroker_core::slots::Published;
use tokenbroker_ipc::PeerIdentity;

/// Of a text that a caller or a server made up, so many characters are written down. No client's name is longer.
const MOST_CHARACTERS: usize = 64;

/// The longest name of a unit (systemd.unit(5)).
const MOST_OF_A_UNIT: usize = 255;

/// A record, and when it was made.
#[derive(Debug)]
pub(super) struct Record {
    /// By the wall clock: since 1970 (UTC).
    pub(super) time: Duration,
    /// Who caused it; `None` for the daemon itself, and for whom the kernel does not name.
    pub(super) caller: Option<Caller>,
    pub(super) event: Event,
}

/// Who is at the other end of a connection, as far as it is written down.
///
/// Two connections with the same are one and the same caller: what was written down of one is not of the other again. So what
/// is added here tells callers apart from then on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Caller {
    uid: u32,
    gid: u32,
    pid: Option<u32>,
    unit: Option<Text>,
    user_unit: Option<Text>,
}

impl Caller {
    pub(super) fn of(peer: &PeerIdentity) -> Self {
        let text = |unit: &Result<String, _>| unit.as_ref().ok().map(|unit| Text::of_unit(unit));
        let (unit, user_unit) = (text(&peer.units.system), text(&peer.units.user));
        Self { uid: peer.uid, gid: peer.gid, pid: peer.pid, unit, user_unit }
    }

    #[cfg(test)]
    pub(super) fn in_unit(unit: &str) -> Self {
        Self { uid: 1000, gid: 100, pid: Some(7), unit: Some(Text::of_unit(unit)), user_unit: None }
    }

    fn fields<'a>(&'a self, field: &mut impl FnMut(&'static str, Value<'a>)) {
        field("uid", Value::Number(self.uid.into()));
        field("gid", Value::Number(self.gid.into()));
        if let Some(pid) = self.pid {
            field("pid", Value::Number(pid.into()));
        }
        for (name, unit) in [("unit", &self.unit), ("user_unit", &self.user_unit)] {
            if let Some(unit) = unit {
                field(name, Value::Text(&unit.0));
            }
        }
    }
}

/// What happened.
#[derive(Debug)]
pub(super) enum Event {
    /// A caller got a generation of a client's token.
    Token { client: Text, generation: u64, scope: Option<Text>, fingerprint: Fingerprint },
    /// A caller may not have what it asked for.
    Denied(Action),
    /// An administrator did something, or tried.
    Administration { action: Action, outcome: Outcome },
    /// A connection was not served.
    Refused { reason: &'static str },
    /// There were so many more like this than the budget has room for.
    More { of: Kind, uid: Option<u32>, count: u64 },
    /// So many records did not get to where they belong.
    Dropped { count: u64 },
    /// Records begin here: the daemon started, or they go elsewhere than before.
    Started,
    /// The daemon ends, and records with it.
    Stopped,
}

/// What came of what an administrator asked for.
#[derive(Debug)]
pub(super) enum Outcome {
    Done,
    /// With the name of a failure.
    Failed(&'static str),
    /// Whoever asked left before it was known.
    Abandoned,
}

/// What somebody asks for: its name, and the client that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Action {
    pub(super) name: &'static str,
    pub(super) client: Option<Text>,
}

impl Action {
    fn fields<'a>(&'a self, field: &mut impl FnMut(&'static str, Value<'a>)) {
        field("action", Value::Text(self.name));
        if let Some(client) = &self.client {
            field("client", Value::Text(&client.0));
        }
    }
}

/// What has a budget of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Token,
    Denied,
    Administration,
    Refused,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Denied => "denied",
            Self::Administration => "administration",
            Self::Refused => "connection_refused",
        }
    }
}

/// What a field has in it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Number(u64),
    /// Printable ASCII.
    Text(&'a str),
}

impl Record {
    /// Calls `field` with the name of each field and what it has, in their order.
    pub(super) fn fields<'a>(&'a self, mut field: impl FnMut(&'static str, Value<'a>)) {
        field("event", Value::Text(self.event.name()));
        if let Some(caller) = &self.caller {
            caller.fields(&mut field);
        }
        self.event.fields(&mut field);
    }
}

impl Event {
    /// Whether somebody got nothing, and that is all: anybody can cause very many of these.
    pub(super) fn is_a_refusal(&self) -> bool {
        matches!(self, Self::Denied(_) | Self::Refused { .. })
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Token { .. } => Kind::Token.name(),
            Self::Denied(_) => Kind::Denied.name(),
            Self::Administration { .. } => Kind::Administration.name(),
            Self::Refused { .. } => Kind::Refused.name(),
            Self::More { .. } => "more",
            Self::Dropped { .. } => "dropped",
            Self::Started => "started",
            Self::Stopped => "stopped",
        }
    }

    fn fields<'a>(&'a self, field: &mut impl FnMut(&'static str, Value<'a>)) {
        let decision = match self {
            Self::Token { .. } | Self::Administration { .. } => Some("permitted"),
            Self::Denied(_) | Self::Refused { .. } => Some("denied"),
            Self::More { .. } | Self::Dropped { .. } | Self::Started | Self::Stopped => None,
        };
        if let Some(decision) = decision {
            field("decision", Value::Text(decision));
        }
        match self {
            Self::Token { client, generation, scope, fingerprint } => {
                field("client", Value::Text(&client.0));
                field("generation", Value::Number(*generation));
                field("fingerprint", Value::Text(&fingerprint.0));
                if let Some(scope) = scope {
                    field("scope", Value::Text(&scope.0));
                }
            }
            Self::Denied(action) => action.fields(field),
            Self::Administration { action, outcome } => {
                action.fields(field);
                match outcome {
                    Outcome::Done => field("outcome", Value::Text("done")),
                    Outcome::Failed(code) => {
                        field("outcome", Value::Text("failed"));
                        field("code", Value::Text(code));
                    }
                    Outcome::Abandoned => field("outcome", Value::Text("abandoned")),
                }
            }
            Self::Refused { reason } => field("reason", Value::Text(reason)),
            Self::More { of, uid, count } => {
                field("of", Value::Text(of.name()));
                if let Some(uid) = uid {
                    field("uid", Value::Number((*uid).into()));
                }
                field("count", Value::Number(*count));
            }
            Self::Dropped { count } => field("count", Value::Number(*count)),
            Self::Started | Self::Stopped => field("version", Value::Text(env!("CARGO_PKG_VERSION"))),
        }
    }
}

/// Text of somebody who may mean ill by whoever reads it: cut, and in printable ASCII alone, so that it can neither end a
/// line nor reach a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn new(text: &str) -> Self {
        let mut shown = String::new();
        let mut characters = text.chars();
        for character in characters.by_ref().take(MOST_CHARACTERS) {
            match character {
                '\\' => shown.push_str("\\\\"),
                ' '..='~' => shown.push(character),
                _ => shown.extend(character.escape_unicode()),
            }
        }
        if characters.next().is_some() {
            shown.push_str("...");
        }
        Self(shown)
    }

    /// The name of a unit as it is: systemd escapes what is special, with backslashes of its own.
    fn of_unit(name: &str) -> Self {
        let is_name = name.len() <= MOST_OF_A_UNIT && name.bytes().all(|byte| byte.is_ascii_graphic());
        if is_name { Self(name.into()) } else { Self::new(name) }
    }
}

/// Tells tokens apart, and tells nothing of them: the first 64 bits of their SHA-256, in hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint(String);

impl Fingerprint {
    pub(super) fn of(token: &Published) -> Self {
        let hash = digest(&SHA256, token.access_token.expose().as_bytes());
        Self(hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_printable_ascii_and_short_whatever_it_was() {
        assert_eq!(Text::new("signtext").0, "signtext");
        assert_eq!(Text::new("a\n\u{1b}[2J\u{9b}\u{202e}\\n").0, r"a\u{a}\u{1b}[2J\u{9b}\u{202e}\\n");
        let long = Text::new(&"x".repeat(65_000)).0;
        assert_eq!(long, format!("{}...", "x".repeat(MOST_CHARACTERS)));
        assert_eq!(Text::new(&"x".repeat(MOST_CHARACTERS)).0.len(), MOST_CHARACTERS, "a name that just fits");
        assert_eq!(Text::of_unit(r"a\x2db.service").0, r"a\x2db.service");
        assert_eq!(Text::of_unit("a\nb.service").0, r"a\u{a}b.service");
    }
}
