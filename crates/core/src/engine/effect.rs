//! What the engine wants done.

use std::sync::Arc;
use std::time::Duration;

use tokenbroker_oauth::{Algorithm, HttpRequest, MacAlgorithm, Scope};
use tokenbroker_secret::Secret;

use super::{Failure, OperationId, WaiterId};
use crate::certificate::Certificate;
use crate::config::{self, ClientName};
use crate::narrowing::Narrowing;
use crate::slots::Published;
use crate::time::Moment;

/// What is to be done outside.
#[derive(Debug)]
pub enum Effect {
    /// Ask the key store which credentials it holds; [`Event::Inventory`](super::Event::Inventory) answers.
    ListCredentials,
    /// Ask the key store what a client can authenticate with; [`Event::Credential`](super::Event::Credential) answers.
    LoadCredential {
        /// To be carried back.
        operation: OperationId,
        /// Whose.
        client: ClientName,
        /// Whether that has to be a key for TLS.
        for_tls: bool,
    },
    /// Have the key store make a next credential the one in use; [`Event::Promoted`](super::Event::Promoted) answers.
    Promote {
        /// Whose.
        client: ClientName,
        /// Which version.
        version: Arc<str>,
    },
    /// Sign with a key of the key store; [`Event::Signed`](super::Event::Signed) answers.
    Sign {
        /// To be carried back.
        operation: OperationId,
        /// Whose key.
        client: ClientName,
        /// Which version of it.
        version: Arc<str>,
        /// How.
        algorithm: Algorithm,
        /// What.
        input: Secret,
    },
    /// Authenticate with a secret of the key store; [`Event::Signed`](super::Event::Signed) answers.
    Mac {
        /// To be carried back.
        operation: OperationId,
        /// Whose secret.
        client: ClientName,
        /// Which version of it.
        version: Arc<str>,
        /// How.
        algorithm: MacAlgorithm,
        /// What.
        input: Secret,
    },
    /// Send an HTTP request, give it up after the issuer's timeout; [`Event::Response`](super::Event::Response) answers.
    Send {
        /// To be carried back.
        operation: OperationId,
        /// Whose CA, timeout and connections to use.
        issuer: Arc<config::Issuer>,
        /// What to send.
        request: HttpRequest,
        /// What to show in TLS.
        identity: Option<TlsIdentity>,
    },
    /// Read the tokens that an earlier daemon kept; [`Event::Restored`](super::Event::Restored) answers.
    LoadTokens,
    /// Keep the tokens of [`Engine::tokens_to_keep`](super::Engine::tokens_to_keep) in the place of those kept before;
    /// without any, keep nothing.
    KeepTokens,
    /// Tell those who [watch](crate::slots::Cell::watch) a token key that what is published of it has changed.
    Published {
        /// The token key.
        handle: u64,
    },
    /// Answer a caller; each is answered once.
    Answer {
        /// Whom.
        waiter: WaiterId,
        /// With what.
        answer: Result<Granted, Refusal>,
    },
    /// Tell the operator.
    Note(Note),
}

/// What a client shows in TLS to authenticate (RFC 8705). The key is in the key store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsIdentity {
    /// Whose.
    pub client: ClientName,
    /// Which version of its key.
    pub version: Arc<str>,
    /// The certificate for that key.
    pub certificate: Arc<Certificate>,
}

/// A token for a caller.
#[derive(Debug, Clone)]
pub struct Granted {
    /// Names the token key.
    pub handle: u64,
    /// The token.
    pub token: Arc<Published>,
    /// Whether it lives as long as was asked.
    pub min_ttl_met: bool,
}

/// No token for a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of refusal it is.
    pub reason: Reason,
    /// Who can put it right; `None` if nobody needs to, because it passes by itself.
    pub fixed_by: Option<Party>,
    /// What happened, in words.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// When the broker itself tries again.
    pub next_try: Option<Moment>,
    /// The key store stands in the way: the words may name its places and other clients, and are for administrators.
    pub of_key_store: bool,
}

/// Who can put something right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// Who configures the broker.
    Operator,
    /// The authorization server, or the network on the way to it.
    Server,
}

/// Why a caller gets no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// None now, but that may change by itself.
    NoToken,
    /// None until somebody changes something.
    Blocked,
    /// The client is not configured (any more).
    UnknownClient,
}

/// What expires by a date that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expiring {
    /// The credential in use.
    Credential,
    /// The certificate for it.
    Certificate,
}

/// Something that an operator may want to read in the log.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Note {
    /// A new token.
    Issued {
        /// Whose.
        client: ClientName,
        /// Of which of its token keys.
        narrowing: Narrowing,
        /// Which.
        generation: u64,
        /// How long it lives.
        lifetime: Duration,
        /// The reply named no lifetime, so the configured default was assumed.
        assumed: bool,
        /// The server granted less than was asked.
        narrowed_to: Option<Scope>,
        /// The attempt before this one failed, and was noted.
        after_failure: bool,
    },
    /// A token request that failed.
    Failed {
        /// Whose.
        client: ClientName,
        /// Of which of its token keys.
        narrowing: Narrowing,
        /// How.
        failure: Failure,
        /// When it is tried again, from now.
        next_try_in: Duration,
        /// Whether callers still get an unexpired token.
        still_served: bool,
        /// The last failure was the same, and nothing else changed for callers: no news.
        repeated: bool,
    },
    /// A client's tokens were dropped because its credential is gone.
    CredentialGone {
        /// Whose.
        client: ClientName,
    },
    /// A next credential got a token: it is the one in use from now on.
    NextAccepted {
        /// Whose.
        client: ClientName,
        /// Which version.
        version: Arc<str>,
    },
    /// A next credential was refused; the one in use is used further.
    NextRefused {
        /// Whose.
        client: ClientName,
        /// Which version.
        version: Arc<str>,
        /// How.
        failure: Failure,
        /// For how long it has been refused.
        refused_for: Duration,
        /// When it is tried again, from now, at the earliest.
        next_try_in: Duration,
    },
    /// The key store could not store that a next credential is the one in use now.
    NotPromoted {
        /// Whose.
        client: ClientName,
        /// Why.
        failure: Failure,
    },
    /// A credential or a certificate will soon be worth nothing.
    ExpiresSoon {
        /// Whose.
        client: ClientName,
        /// What expires.
        what: Expiring,
        /// In how long; `None` if it has expired.
        expires_in: Option<Duration>,
    },
    /// The key store could not be asked.
    KeyStoreUnavailable {
        /// Why.
        failure: Failure,
        /// When it is asked again, from now.
        next_try_in: Duration,
    },
    /// Tokens of an earlier daemon are served.
    Restored {
        /// How many.
        tokens: usize,
    },
    /// Callers said that a resource refused an unexpired token.
    Rejected {
        /// Whose.
        client: ClientName,
        /// Of which of its token keys.
        narrowing: Narrowing,
        /// Which.
        generation: u64,
        /// When a new one is asked for, from now.
        next_try_in: Duration,
    },
    /// The server answered with the token that it had issued before.
    Reissued {
        /// Whose.
        client: ClientName,
        /// Of which of its token keys.
        narrowing: Narrowing,
        /// How long it still lives.
        expires_in: Duration,
        /// When it is asked again, from now.
        next_try_in: Duration,
    },
    /// A server's clock and ours are apart; assertions go by the server's from now on.
    ClockOff {
        /// The issuer's name.
        issuer: Arc<str>,
        /// By how much the server's is ahead, in seconds.
        seconds: i64,
    },
    /// Somebody set the wall clock.
    WallClockSet,
    /// Where an issuer's token endpoint is.
    Discovered {
        /// The issuer's name.
        issuer: Arc<str>,
        /// The endpoint.
        endpoint: String,
    },
}
