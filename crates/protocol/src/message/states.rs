//! How clients are doing.

use bincode::{Decode, Encode};

use super::credentials::{CredentialKind, Store};

/// Some clients' states, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct StatusPage {
    /// The states.
    pub clients: Vec<Status>,
    /// Whether there are more after the last one.
    pub more: bool,
    /// What an operator should know of the daemon as a whole, such as what its key store protects against.
    pub notes: Vec<String>,
}

/// How a client is doing.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Status {
    /// The client's name.
    pub client: String,
    /// The issuer's name.
    pub issuer: String,
    /// The state.
    pub state: State,
    /// Whether a token request is under way.
    pub renewing: bool,
    /// Whether one is due, and waits for its turn at the issuer.
    pub queued: bool,
    /// How long the token may still be used, in milliseconds; `None` without one.
    pub expires_in_ms: Option<u64>,
    /// When it is renewed, in milliseconds from now; `None` while that is under way or without a plan.
    pub renew_in_ms: Option<u64>,
    /// The token's generation; 0 before the first.
    pub generation: u64,
    /// Token requests since the start, failed ones and the one under way included.
    pub token_requests: u64,
    /// What came of them.
    pub outcomes: Outcomes,
    /// Tokens given to callers since the start.
    pub gets: u64,
    /// Those of them that were given at once, from the cache: each is a token request avoided.
    pub gets_from_cache: u64,
    /// Callers that wait for a token now.
    pub waiting: u64,
    /// For how many parts of what is configured a token is held besides: of fewer scopes or resources.
    pub narrowed: u64,
    /// The last failure, until a token request succeeds.
    pub last_error: Option<LastError>,
    /// The credential in use.
    pub credential: Option<CredentialStatus>,
    /// The one that is tried before it, and takes its place once it was accepted.
    pub next_credential: Option<NextCredential>,
    /// Until when the certificate is good that is shown with the credential, in seconds since 1970 (UTC).
    pub certificate_expires: Option<i64>,
    /// How far the clock of the authorization server is ahead of this host's, in seconds; `None` if the two agree.
    pub clock_offset: Option<i64>,
    /// What happened, what happens next and when: lines to read, if the status of this client alone was asked for.
    pub explanation: Vec<String>,
}

/// What came of token requests, by whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Outcomes {
    /// A token.
    pub issued: u64,
    /// A failure that passes by itself: the network, an overloaded server.
    pub transient: u64,
    /// The credential was refused.
    pub credential: u64,
    /// The request was refused: its scope, its grant type.
    pub request: u64,
}

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[non_exhaustive]
pub enum State {
    /// It has a credential, and nothing was fetched yet.
    Pending,
    /// It has a token.
    Warm,
    /// It has a token, though the last renewal failed.
    Degraded,
    /// It has no token, and the last failure was transient.
    Unavailable,
    /// It has no token, and somebody must act: no credential, or a refused one.
    Blocked,
}

/// A failure that an operator may want to know of.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LastError {
    /// The RFC 6749 error code, or `network`, `timeout`, `tls`, `http`, `malformed`, `key_store`, `no_credential`.
    pub code: String,
    /// What happened, in words.
    pub message: String,
    /// When the next attempt is due, in milliseconds from now.
    pub next_try_in_ms: Option<u64>,
}

/// Which credential a client uses.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CredentialStatus {
    /// Where it rests.
    pub store: Store,
    /// What it is.
    pub kind: CredentialKind,
    /// Its random version.
    pub version: String,
    /// When it will be worth nothing any more, in seconds since 1970 (UTC), if that was told.
    pub expires: Option<u64>,
}

/// A credential that is to take the place of the one in use.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct NextCredential {
    /// What it is.
    pub credential: CredentialStatus,
    /// Why it was refused, if it was.
    pub refused: Option<LastError>,
}
