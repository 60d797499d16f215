//! What a caller asks of a client besides its name: a part of the configured scope, some of the configured resources.
//!
//! A caller can ask for less than what is configured, and never for more: the configuration is where an operator reads
//! what a client's tokens can be good for.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use tokenbroker_oauth::{Scope, ScopeError};

use crate::config::Client;

/// How a token is less than what its client is configured for. With the client it is what names a token key.
///
/// What is asked for as configured is not in here: a narrowing that asks for all of it is
/// [as configured](Self::is_as_configured), and the same token key as no narrowing at all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Narrowing {
    /// Only these of the configured scope tokens.
    pub scope: Option<Scope>,
    /// Only these of the configured resource indicators; none: all of them.
    pub resource: BTreeSet<String>,
    /// Another audience than the configured one. A client has one at most: so far there is no other to ask for.
    pub audience: Option<String>,
}

impl Narrowing {
    /// What a caller asks for, if the client's configuration permits that.
    ///
    /// `None` and an empty `resource` ask for what is configured.
    ///
    /// # Errors
    ///
    /// [`NarrowingError`] if it is not a part of what is configured.
    pub fn of(
        client: &Client,
        scope: Option<&str>,
        resource: &[String],
        audience: Option<&str>,
    ) -> Result<Self, NarrowingError> {
        let scope = scope.map(|scope| narrowed_scope(client, scope)).transpose()?.flatten();
        if let Some(refused) = resource.iter().find(|resource| !client.resource.contains(resource)) {
            let configured = client.resource.clone();
            return Err(NarrowingError::Resource { refused: refused.clone(), configured });
        }
        let all = client.resource.iter().all(|configured| resource.contains(configured));
        let resource = if all { BTreeSet::new() } else { resource.iter().cloned().collect() };
        match audience {
            Some(refused) if client.audience.as_deref() != Some(refused) => {
                let configured = client.audience.clone();
                Err(NarrowingError::Audience { refused: refused.to_owned(), configured })
            }
            _ => Ok(Self { scope, resource, audience: None }),
        }
    }

    /// Whether it asks for no less than what is configured.
    pub fn is_as_configured(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it asks for no more than `part` does, of the same client.
    pub fn is_within(&self, part: &Self) -> bool {
        let scope = part
            .scope
            .as_ref()
            .is_none_or(|part| self.scope.as_ref().is_some_and(|asked| asked.is_within(part)));
        // None of them is all of them.
        let resource =
            part.resource.is_empty() || !self.resource.is_empty() && self.resource.is_subset(&part.resource);
        scope && resource && part.audience.as_ref().is_none_or(|part| self.audience.as_ref() == Some(part))
    }

    /// Whether [`of`](Self::of) gives it for this client: that can end with a new configuration.
    pub fn is_permitted_by(&self, client: &Client) -> bool {
        let scope = self.scope.as_ref().map(Scope::to_string);
        let resource: Vec<String> = self.resource.iter().cloned().collect();
        let again = Self::of(client, scope.as_deref(), &resource, self.audience.as_deref());
        again.is_ok_and(|again| again == *self)
    }
}

/// `None` for all of the configured scope.
fn narrowed_scope(client: &Client, asked: &str) -> Result<Option<Scope>, NarrowingError> {
    let asked = Scope::parse(asked).map_err(|source| NarrowingError::NoScope { source })?;
    match &client.scope {
        None => Err(NarrowingError::ScopeNotConfigured { client: client.name.to_string() }),
        Some(configured) if asked == *configured => Ok(None),
        Some(configured) if asked.is_within(configured) => Ok(Some(asked)),
        Some(configured) => {
            let refused: Vec<_> =
                asked.iter().filter(|word| configured.iter().all(|known| known != *word)).collect();
            Err(NarrowingError::Scope { refused: refused.join(" "), configured: configured.clone() })
        }
    }
}

impl Client {
    /// The client as one token request asks for it. The narrowing is one that the configuration
    /// [permits](Narrowing::is_permitted_by).
    pub fn narrowed(&self, narrowing: &Narrowing) -> Self {
        let mut client = self.clone();
        if let Some(scope) = &narrowing.scope {
            client.scope = Some(scope.clone());
        }
        if !narrowing.resource.is_empty() {
            client.resource = narrowing.resource.iter().cloned().collect();
        }
        if let Some(audience) = &narrowing.audience {
            client.audience = Some(audience.clone());
        }
        client
    }
}

/// In words, such as `scope "read", resource "https://api.example/"`.
impl fmt::Display for Narrowing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_as_configured() {
            return f.write_str("as configured");
        }
        let mut separator = "";
        if let Some(scope) = &self.scope {
            write!(f, "scope \"{scope}\"")?;
            separator = ", ";
        }
        for resource in &self.resource {
            write!(f, "{separator}resource {resource:?}")?;
            separator = ", ";
        }
        match &self.audience {
            Some(audience) => write!(f, "{separator}audience {audience:?}"),
            None => Ok(()),
        }
    }
}

/// Why a caller can't ask for this. The words are for a caller that may have the client's token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NarrowingError {
    /// What was asked for is no scope.
    #[error("what was asked for is no scope")]
    NoScope {
        /// Why not.
        source: ScopeError,
    },
    /// The client takes the server's default, which nobody here knows: it could be more or less.
    #[error("client {client} has no configured scope to ask for a part of")]
    ScopeNotConfigured {
        /// The client's name.
        client: String,
    },
    /// Some of the scope tokens are not configured.
    #[error("scope {} is not configured, only {}", Quoted(.refused), Quoted(&.configured.to_string()))]
    Scope {
        /// Those that are not, separated by spaces.
        refused: String,
        /// All that are.
        configured: Scope,
    },
    /// A resource indicator that is not configured.
    #[error("resource {} is not configured, {}", Quoted(.refused), listed(.configured))]
    Resource {
        /// The first that is not.
        refused: String,
        /// All that are.
        configured: Vec<String>,
    },
    /// An audience that is not configured.
    #[error("audience {} is not configured, {}", Quoted(.refused), listed(.configured.as_slice()))]
    Audience {
        /// The audience that was asked for.
        refused: String,
        /// The one that is configured.
        configured: Option<String>,
    },
}

impl NarrowingError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        let (leave_out, key) = match self {
            Self::NoScope { source } => return format!("{source}; leave it out to get what is configured"),
            Self::ScopeNotConfigured { .. } | Self::Scope { .. } => ("the scope", "scope"),
            Self::Resource { .. } => ("the resource", "resource"),
            Self::Audience { .. } => ("the audience", "audience"),
        };
        format!("leave {leave_out} out to get what is configured, or have it added to `{key}` of the client")
    }
}

/// How much of a text is repeated: what was asked for, and what is configured, can be as long as a frame.
const SHOWN: usize = 200;

/// A text in quotes, without what a terminal would act on, and not too long.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.chars();
        f.write_char('"')?;
        for shown in shown.by_ref().take(SHOWN) {
            write!(f, "{}", shown.escape_debug())?;
        }
        f.write_str(if shown.next().is_some() { "...\"" } else { "\"" })
    }
}

fn listed(texts: &[String]) -> String {
    /// How many of them.
    const LISTED: usize = 8;
    if texts.is_empty() {
        return "none is".to_owned();
    }
    let list: Vec<_> = texts.iter().take(LISTED).map(|text| Quoted(text).to_string()).collect();
    let list = format!("only {}", list.join(", "));
    match texts.len().saturating_sub(LISTED) {
        0 => list,
        more => format!("{list} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{NoFiles, Source, parse};

    fn client(settings: &str) -> Arc<Client> {
        let text = format!(
            "[issuers.as]\ntoken_endpoint = \"https://as.example/token\"\n\
             [clients.signtext]\nissuer = \"as\"\nclient_id = \"app\"\nauth = \"client_secret_basic\"\n{settings}\n"
        );
        let config = parse(&[Source { path: "c.toml".into(), text }], &NoFiles).unwrap();
        Arc::clone(&config.clients["signtext"])
    }

    fn full() -> Arc<Client> {
        client("scope = \"read write sign\"\nresource = [\"urn:b\", \"urn:a\"]\naudience = \"api\"")
    }

    fn resources(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn of(
        client: &Client,
        scope: Option<&str>,
        resource: &[&str],
        audience: Option<&str>,
    ) -> Result<Narrowing, NarrowingError> {
        Narrowing::of(client, scope, &resources(resource), audience)
    }

    fn refused(client: &Client, scope: Option<&str>, resource: &[&str], audience: Option<&str>) -> String {
        of(client, scope, resource, audience).unwrap_err().to_string()
    }

    #[test]
    fn asking_for_all_of_it_is_asking_for_what_is_configured() {
        let client = full();
        for (scope, resource, audience) in [
            (None, &[][..], None),
            (Some("sign  write read read"), &[], None),
            (None, &["urn:a", "urn:b", "urn:a"], None),
            (None, &[], Some("api")),
            (Some("read sign write"), &["urn:b", "urn:a"], Some("api")),
        ] {
            let narrowing = of(&client, scope, resource, audience).unwrap();
            assert!(narrowing.is_as_configured(), "{narrowing:?}");
            assert_eq!(client.narrowed(&narrowing), *client);
        }
    }

    #[test]
    fn a_part_is_the_same_in_any_order() {
        let client = full();
        let one = of(&client, Some("write read"), &["urn:a"], Some("api")).unwrap();
        assert_eq!(one, of(&client, Some("read write read"), &["urn:a", "urn:a"], None).unwrap());
        assert_eq!(one.to_string(), "scope \"read write\", resource \"urn:a\"");
        assert_eq!(Narrowing::default().to_string(), "as configured");

        let narrowed = client.narrowed(&one);
        assert_eq!(narrowed.scope, Some("read write".parse().unwrap()));
        assert_eq!(narrowed.resource, ["urn:a"]);
        assert_eq!(
            Client { scope: client.scope.clone(), resource: client.resource.clone(), ..narrowed },
            *client
        );
    }

    #[test]
    fn more_than_is_configured_is_refused_in_words() {
        let client = full();
        assert_eq!(
            refused(&client, Some("read admin root"), &[], None),
            "scope \"admin root\" is not configured, only \"read sign write\""
        );
        assert_eq!(
            refused(&client, None, &["urn:a", "urn:c"], None),
            "resource \"urn:c\" is not configured, only \"urn:b\", \"urn:a\""
        );
        assert_eq!(refused(&client, None, &[], Some("x")), "audience \"x\" is not configured, only \"api\"");
        assert_eq!(
            of(&client, Some("read admin"), &[], None).unwrap_err().hint(),
            "leave the scope out to get what is configured, or have it added to `scope` of the client"
        );
        for no_scope in ["", "  ", "r\u{e9}ad", "\"read\""] {
            let error = of(&client, Some(no_scope), &[], None).unwrap_err();
            assert_eq!(error.to_string(), "what was asked for is no scope", "{no_scope:?}");
        }
    }

    #[test]
    fn what_is_not_configured_can_not_be_asked_for_at_all() {
        let client = client("");
        assert_eq!(
            refused(&client, Some("read"), &[], None),
            "client signtext has no configured scope to ask for a part of"
        );
        assert_eq!(refused(&client, Some(""), &[], None), "what was asked for is no scope");
        assert_eq!(refused(&client, None, &["urn:a"], None), "resource \"urn:a\" is not configured, none is");
        assert_eq!(refused(&client, None, &[""], None), "resource \"\" is not configured, none is");
        assert_eq!(refused(&client, None, &[], Some("")), "audience \"\" is not configured, none is");
        assert!(of(&client, None, &[], None).unwrap().is_as_configured());
    }

    #[test]
    fn a_refusal_fits_a_frame_and_a_terminal_whatever_was_asked_for() {
        let many: Vec<String> =
            (0..500).map(|number| format!("\"urn:{}{number}\"", "x".repeat(100))).collect();
        let client = client(&format!("scope = \"{}\"\nresource = [{}]", "y".repeat(30_000), many.join(",")));
        let evil = "\u{1b}[2J".repeat(10_000);
        for words in [
            refused(&client, Some(&"z".repeat(60_000)), &[], None),
            refused(&client, None, &[&evil], None),
            refused(&client, None, &[], Some(&evil)),
        ] {
            assert!(words.len() < 4096 && !words.contains(char::is_control), "{words}");
        }
        assert!(refused(&client, None, &["urn:a"], None).ends_with("\" and 492 more"));
    }

    #[test]
    fn a_part_is_within_another_if_it_is_no_more_in_any_way() {
        let client = full();
        let of = |scope, resource: &[&str]| of(&client, scope, resource, None).unwrap();
        let part = of(Some("read write"), &["urn:a"]);
        assert!(part.is_within(&part) && part.is_within(&Narrowing::default()));
        assert!(of(Some("read"), &["urn:a"]).is_within(&part));
        for more in [
            Narrowing::default(),
            of(Some("read"), &[]),
            of(None, &["urn:a"]),
            of(Some("read sign"), &["urn:a"]),
            of(Some("read"), &["urn:b"]),
        ] {
            assert!(!more.is_within(&part), "{more}");
        }
        assert!(of(Some("sign"), &["urn:a"]).is_within(&of(None, &["urn:a"])));
    }

    #[test]
    fn a_new_configuration_can_end_what_was_permitted() {
        let narrowing = of(&full(), Some("read"), &["urn:a"], None).unwrap();
        assert!(narrowing.is_permitted_by(&full()));
        assert!(Narrowing::default().is_permitted_by(&client("")));
        for other in [
            "scope = \"write\"\nresource = [\"urn:a\", \"urn:b\"]",
            "scope = \"read write\"\nresource = \"urn:b\"",
            "resource = [\"urn:a\", \"urn:b\"]",
            "scope = \"read\"\nresource = [\"urn:a\", \"urn:b\"]",
        ] {
            assert!(!narrowing.is_permitted_by(&client(other)), "{other}");
        }
    }
}
