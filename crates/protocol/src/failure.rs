//! How the daemon says no.

use bincode::{Decode, Encode};

/// Why a request was not done: a code to act on, a sentence to read, who can put it right, and when to try again.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Failure {
    /// What a program acts on.
    pub code: FailureCode,
    /// Who can put it right; `None` if nobody needs to, because it passes by itself.
    pub fixed_by: Option<Party>,
    /// What happened, in words. Never holds a token, a secret or a server's words.
    pub message: String,
    /// What to do about it, if there is something.
    pub hint: Option<String>,
    /// When the daemon itself tries again, in milliseconds from now; for [`FailureCode::NoToken`] and
    /// [`FailureCode::Blocked`].
    pub next_try_in_ms: Option<u64>,
}

impl Failure {
    /// A failure that is put right by whom its code [points to](FailureCode::fixed_by).
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        let fixed_by = code.fixed_by();
        Self { code, fixed_by, message: message.into(), hint: None, next_try_in_ms: None }
    }

    /// With what to do about it.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// Those who have a part in a token's way to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[non_exhaustive]
pub enum Party {
    /// The program that asks, or whoever wrote it.
    Caller,
    /// Who configures the broker and its host.
    Operator,
    /// The authorization server, and the network on the way to it.
    Server,
}

/// What kind of failure it is, by what is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[non_exhaustive]
pub enum FailureCode {
    /// The caller may not have this, or there is no such client: a caller can't tell which.
    Denied,
    /// There is no such client; only administrators are told.
    UnknownClient,
    /// No token now, but the daemon keeps trying: `pending` or `unavailable`.
    NoToken,
    /// No token until somebody changes something: no credential, or the authorization server refuses it.
    Blocked,
    /// The request itself is wrong: the caller's mistake.
    InvalidRequest,
    /// An operation on a credential, or a reload, was refused: the message says why. Nothing was changed.
    Refused,
    /// The key store is locked, absent or too slow.
    KeyStore,
    /// The token is longer than the protocol carries.
    TokenTooLarge,
    /// The daemon is shutting down: ask its successor.
    ShuttingDown,
    /// A fault of the daemon.
    Internal,
    /// The handle of a token is not of this daemon instance, or its token key is gone, or the caller may not have its
    /// tokens: a caller can't tell which. [`GetToken`](crate::GetToken) says more.
    UnknownHandle,
    /// The caller's user has more connections, requests under way or bytes with the daemon than it may have.
    TooMuch,
    /// The caller cancelled it.
    Cancelled,
}

impl FailureCode {
    /// Who can put right what has this code, as far as the code tells. A [`Failure`] may know better.
    pub fn fixed_by(self) -> Option<Party> {
        match self {
            Self::InvalidRequest | Self::UnknownHandle | Self::TooMuch => Some(Party::Caller),
            Self::Denied
            | Self::UnknownClient
            | Self::Blocked
            | Self::Refused
            | Self::KeyStore
            | Self::Internal => Some(Party::Operator),
            Self::TokenTooLarge => Some(Party::Server),
            Self::NoToken | Self::ShuttingDown | Self::Cancelled => None,
        }
    }
}
