//! What is asked, in the form that is sent.

use std::time::Duration;

use tokenbroker_protocol::{Command, EncodeError, FailureCode, encode, encode_into};
use tokenbroker_secret::Secret;

use crate::attempts::Setback;
use crate::key::{Complaint, Key};
use crate::session::Instance;
use crate::{Error, Token, TokenRequest};

/// The place of `GetToken` among the commands; a test holds it to the protocol's.
const GET_TOKEN: u32 = 1;

/// The place of `Rejected` among them; the same test holds it.
const REJECTED: u32 = 12;

/// How long the daemon waits for a token unless told otherwise.
const DEFAULT_WAIT: Duration = Duration::from_secs(10);

/// What the daemon and the socket may take beyond the time that it waits.
const GRACE: Duration = Duration::from_secs(2);

/// How long a get takes at most that has the token of a daemon that is gone to fall back on.
const HURRY: Duration = Duration::from_secs(1);

/// A question to the daemon.
pub(crate) enum Question<'a> {
    Get(Get<'a>),
    Command { command: &'a Command, timeout: Duration },
}

/// Borrowed, so that asking for a token copies nothing but bytes.
#[derive(Clone, Copy)]
pub(crate) struct Get<'a> {
    pub(crate) client: &'a str,
    pub(crate) scope: Option<&'a str>,
    pub(crate) resource: &'a [String],
    pub(crate) audience: Option<&'a str>,
    pub(crate) min_ttl: Duration,
    pub(crate) wait: Option<Duration>,
    rejected: Option<Rejected>,
    patience: Patience,
}

/// What a get waits for: the less, the better what it has to fall back on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// All that its caller would.
    Full,
    /// A daemon that is there, but none that is absent.
    ForAnswers,
    /// Nothing much: neither an absent nor a slow daemon.
    Little,
}

/// A token that a resource refused, as the daemon that gave it knows it.
#[derive(Clone, Copy)]
struct Rejected {
    instance: Instance,
    handle: u64,
    generation: u64,
}

impl<'a> Get<'a> {
    pub(crate) fn new(client: &'a str) -> Self {
        Self {
            client,
            scope: None,
            resource: &[],
            audience: None,
            min_ttl: Duration::ZERO,
            wait: None,
            rejected: None,
            patience: Patience::Full,
        }
    }

    pub(crate) fn with(request: &'a TokenRequest) -> Self {
        Self {
            scope: request.scope.as_deref(),
            resource: &request.resource,
            audience: request.audience.as_deref(),
            min_ttl: request.min_ttl,
            wait: request.wait,
            ..Self::new(&request.client)
        }
    }

    pub(crate) fn of(key: &'a Key) -> Self {
        let (scope, audience) = (key.scope.as_deref(), key.audience.as_deref());
        Self { scope, resource: &key.resource, audience, ..Self::new(&key.client) }
    }

    /// Whether it can be answered with the same tokens.
    pub(crate) fn is_for_the_same(&self, other: &Get<'_>) -> bool {
        self.client == other.client
            && self.scope == other.scope
            && self.resource == other.resource
            && self.audience == other.audience
    }

    /// What can be answered with the same tokens.
    pub(crate) fn to_request(self) -> TokenRequest {
        let mut request = TokenRequest::new(self.client);
        request.scope = self.scope.map(str::to_owned);
        request.resource = self.resource.to_vec();
        request.audience = self.audience.map(str::to_owned);
        request
    }

    /// What that token was asked for with.
    pub(crate) fn again(token: &'a Token) -> Self {
        Self { wait: token.wait(), ..Self::of(token.key()) }
    }

    /// With the news that a token was refused.
    pub(crate) fn reporting(self, complaint: &Complaint) -> Self {
        let Complaint { instance, handle, generation, .. } = *complaint;
        Self { rejected: Some(Rejected { instance, handle, generation }), ..self }
    }

    pub(crate) fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }
}

impl Question<'_> {
    /// How long it may take in all.
    pub(crate) fn deadline(&self) -> Duration {
        match self {
            Self::Get(get) if get.patience == Patience::Little => HURRY,
            Self::Get(get) => get.wait.unwrap_or(DEFAULT_WAIT).saturating_add(GRACE),
            Self::Command { timeout, .. } => *timeout,
        }
    }

    /// How long a daemon that can't be reached is waited for.
    pub(crate) fn absence(&self) -> Option<Duration> {
        match self {
            Self::Get(get) => get.wait.filter(|_| get.patience == Patience::Full),
            Self::Command { .. } => None,
        }
    }

    /// What a setback means to this question. A daemon that does not know the token that was refused is asked for a
    /// token as if there had been none.
    pub(crate) fn after(&mut self, setback: Setback) -> Setback {
        match (setback, self) {
            (Setback::Final(Error::Failed(failure)), Self::Get(get))
                if failure.code == FailureCode::UnknownHandle && get.rejected.is_some() =>
            {
                get.rejected = None;
                Setback::Forgotten
            }
            (setback, _) => setback,
        }
    }

    /// Whether it may be asked again when it is not known whether the daemon has heard it.
    pub(crate) fn is_repeatable(&self) -> bool {
        match self {
            Self::Get(_) => true,
            Self::Command { command, .. } => matches!(
                command,
                Command::Ping
                    | Command::Presets
                    | Command::GetToken(_)
                    | Command::Rejected(_)
                    | Command::Status { .. }
                    | Command::CredentialList { .. }
                    | Command::KeyPublic { .. }
            ),
        }
    }

    /// The frame to send to this instance of the daemon. `elapsed` is what earlier attempts took, zero for the first.
    ///
    /// Only commands may hold secrets; a get goes into `buffer`, where it needs no wiping.
    pub(crate) fn encode<'b>(
        &self,
        id: u32,
        elapsed: Duration,
        instance: Instance,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Frame<'b>, EncodeError> {
        match self {
            Self::Get(get) => {
                buffer.clear();
                get.encode(id, elapsed, instance, buffer)?;
                Ok(Frame::Plain(buffer))
            }
            Self::Command { command, .. } => encode(&(id, command)).map(Frame::Secret),
        }
    }
}

impl Get<'_> {
    /// A tuple of borrowed values has the same bytes as the request that owns them.
    fn encode(
        &self,
        id: u32,
        elapsed: Duration,
        instance: Instance,
        buffer: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let Self { client, scope, resource, audience, min_ttl, .. } = self;
        let wait = self.wait_after(elapsed).map(milliseconds);
        match self.rejected {
            // To any other instance the handle may be that of another client.
            Some(rejected) if rejected.instance == instance => {
                encode_into(&(id, REJECTED, rejected.handle, rejected.generation, wait), buffer)
            }
            _ => {
                let min_ttl = milliseconds(*min_ttl);
                encode_into(&(id, GET_TOKEN, client, scope, resource, audience, min_ttl, wait), buffer)
            }
        }
    }

    /// A repeat waits for what the attempts before it have left.
    fn wait_after(&self, elapsed: Duration) -> Option<Duration> {
        match elapsed {
            Duration::ZERO => self.wait,
            elapsed => Some(self.wait.unwrap_or(DEFAULT_WAIT).saturating_sub(elapsed)),
        }
    }
}

/// Bytes to send.
pub(crate) enum Frame<'b> {
    Plain(&'b [u8]),
    Secret(Secret),
}

impl Frame<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Secret(bytes) => bytes.expose(),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokenbroker_protocol::{self as protocol, Failure, GetToken, Request, Storing, decode};

    use super::*;

    const THIS: Instance = *b"this one is here";
    const OTHER: Instance = *b"this one is gone";

    fn sent(question: &Question<'_>, elapsed: Duration) -> Request {
        sent_to(THIS, question, elapsed)
    }

    fn sent_to(instance: Instance, question: &Question<'_>, elapsed: Duration) -> Request {
        let mut buffer = b"of an earlier request".to_vec();
        let frame = question.encode(77, elapsed, instance, &mut buffer).unwrap();
        decode(&frame.bytes()[4..]).unwrap()
    }

    /// That the other instance's token was refused.
    fn complaint() -> Complaint {
        Complaint { instance: OTHER, handle: 9, generation: 7, value: Arc::new("t".into()) }
    }

    fn failed(code: FailureCode) -> Setback {
        let failure = Failure::new(code, "no");
        Setback::Final(Error::Failed(failure))
    }

    #[test]
    fn a_get_has_the_bytes_of_the_protocols_request() {
        let plain = GetToken { client: "signtext".into(), ..GetToken::default() };
        assert_eq!(
            sent(&Question::Get(Get::new("signtext")), Duration::ZERO),
            Request { id: 77, command: Command::GetToken(plain) }
        );

        let request = TokenRequest::new("signtext")
            .scope("a b")
            .resource("https://one.example")
            .resource("https://two.example")
            .audience("aud")
            .min_ttl(Duration::from_secs(60))
            .wait(Duration::from_secs(3));
        let full = GetToken {
            client: "signtext".into(),
            scope: Some("a b".into()),
            resource: vec!["https://one.example".into(), "https://two.example".into()],
            audience: Some("aud".into()),
            min_ttl_ms: 60_000,
            wait_ms: Some(3_000),
        };
        assert_eq!(
            sent(&Question::Get(Get::with(&request)), Duration::ZERO),
            Request { id: 77, command: Command::GetToken(full) }
        );
    }

    #[test]
    fn s46_a_rejected_token_is_reported_to_the_instance_that_gave_it_and_to_no_other() {
        let request = TokenRequest::new("signtext").scope("a").wait(Duration::from_secs(3));
        let question = Question::Get(Get::with(&request).reporting(&complaint()));
        let reported = protocol::Rejected { handle: 9, generation: 7, wait_ms: Some(2_000) };
        let second = Duration::from_secs(1);
        assert_eq!(sent_to(OTHER, &question, second).command, Command::Rejected(reported));
        assert_eq!(sent_to(THIS, &question, second), sent(&Question::Get(Get::with(&request)), second));
    }

    #[test]
    fn s46_where_the_handle_is_not_known_the_token_is_asked_for_anew_and_once() {
        let mut question = Question::Get(Get::new("signtext").reporting(&complaint()));
        assert!(matches!(question.after(failed(FailureCode::NoToken)), Setback::Final(_)));
        assert!(matches!(question.after(failed(FailureCode::UnknownHandle)), Setback::Forgotten));
        assert!(matches!(sent_to(OTHER, &question, Duration::ZERO).command, Command::GetToken(_)));
        assert!(matches!(question.after(failed(FailureCode::UnknownHandle)), Setback::Final(_)));
    }

    #[test]
    fn a_repeat_waits_only_for_what_is_left() {
        let wait = |question: Question<'_>, elapsed| match sent(&question, elapsed).command {
            Command::GetToken(get) => get.wait_ms,
            other => panic!("{other:?}"),
        };
        let request = TokenRequest::new("x").wait(Duration::from_secs(3));
        assert_eq!(wait(Question::Get(Get::with(&request)), Duration::from_secs(1)), Some(2_000));
        assert_eq!(wait(Question::Get(Get::with(&request)), Duration::from_secs(4)), Some(0));
        assert_eq!(wait(Question::Get(Get::new("x")), Duration::from_secs(4)), Some(6_000));
    }

    #[test]
    fn s69_who_has_a_token_to_fall_back_on_waits_for_no_absent_daemon() {
        let request = TokenRequest::new("x").wait(Duration::from_secs(30));
        let question = |patience| Question::Get(Get::with(&request).with_patience(patience));
        let waits = |question: Question<'_>| (question.deadline(), question.absence());
        let (wait, whole) = (Duration::from_secs(30), Duration::from_secs(32));
        assert_eq!(waits(question(Patience::Full)), (whole, Some(wait)));
        assert_eq!(waits(question(Patience::ForAnswers)), (whole, None));
        assert_eq!(waits(question(Patience::Little)), (HURRY, None));
    }

    #[test]
    fn a_command_has_the_bytes_of_the_protocols_request() {
        let command =
            Command::SecretSet { client: "x".into(), secret: "s".into(), storing: Storing::default() };
        let question = Question::Command { command: &command, timeout: Duration::ZERO };
        assert_eq!(sent(&question, Duration::ZERO), Request { id: 77, command: command.clone() });
    }

    #[test]
    fn only_what_changes_nothing_is_repeated() {
        let repeatable =
            |command: &Command| Question::Command { command, timeout: Duration::ZERO }.is_repeatable();
        assert!(repeatable(&Command::Ping));
        assert!(repeatable(&Command::Rejected(protocol::Rejected::default())));
        assert!(repeatable(&Command::Status { client: None, after: None }));
        assert!(!repeatable(&Command::Reload));
        assert!(!repeatable(&Command::Renew { client: "x".into(), wait_ms: 0 }));
        assert!(!repeatable(&Command::CredentialRemove { client: "x".into(), next_only: false }));
    }
}
