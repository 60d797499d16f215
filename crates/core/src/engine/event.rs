//! What the engine is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokenbroker_oauth::HttpResponse;
use tokenbroker_secret::SecretString;

use super::{KeptToken, KeyStoreFailure, OperationId, TransportFailure, WaiterId};
use crate::config::{ClientName, Config};
use crate::narrowing::Narrowing;
use crate::policy::Access;
use crate::time::Moment;

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Which credentials the key store holds: answers [`Effect::ListCredentials`](super::Effect::ListCredentials).
    Inventory(Result<Vec<StoredCredential>, KeyStoreFailure>),
    /// A client's credential, if it has one: answers [`Effect::LoadCredential`](super::Effect::LoadCredential).
    Credential {
        /// The effect's.
        operation: OperationId,
        /// What was found.
        result: Result<Option<Credential>, KeyStoreFailure>,
    },
    /// A signature: answers [`Effect::Sign`](super::Effect::Sign).
    Signed {
        /// The effect's.
        operation: OperationId,
        /// The signature in its JWS form (RFC 7518 section 3).
        result: Result<Vec<u8>, KeyStoreFailure>,
    },
    /// What came of an HTTP request: answers [`Effect::Send`](super::Effect::Send).
    Response {
        /// The effect's.
        operation: OperationId,
        /// The whole response, or why there is none.
        result: Result<HttpResponse, TransportFailure>,
    },
    /// A caller that was authorized wants a token that no slot could give it at once.
    Get {
        /// Whom to answer.
        waiter: WaiterId,
        /// Which client's.
        client: ClientName,
        /// Which of its token keys.
        narrowing: Narrowing,
        /// How long it should still live.
        min_ttl: Duration,
        /// Until when the caller waits.
        deadline: Moment,
    },
    /// An administrator wants a new token fetched now.
    Renew {
        /// Whom to answer.
        waiter: WaiterId,
        /// Which client's.
        client: ClientName,
        /// Until when the administrator waits.
        deadline: Moment,
    },
    /// A resource refused a token: the caller wants a newer one.
    Rejected {
        /// Whom to answer.
        waiter: WaiterId,
        /// Which client's.
        client: ClientName,
        /// Names the token key.
        handle: u64,
        /// The generation of the token that was refused.
        generation: u64,
        /// Until when the caller waits.
        deadline: Moment,
    },
    /// A caller is gone, and wants no answer.
    Gone(WaiterId),
    /// A credential was stored through the broker, or replaced.
    CredentialStored(StoredCredential),
    /// A client's credentials were removed through the broker.
    CredentialsRemoved(ClientName),
    /// The tokens that outlived an earlier daemon; none if that is not known. Answers
    /// [`Effect::LoadTokens`](super::Effect::LoadTokens).
    Restored(Vec<KeptToken>),
    /// Somebody set the wall clock.
    WallClockSet,
    /// A new configuration that was validated.
    Configured {
        /// The configuration.
        config: Arc<Config>,
        /// Who may have each client's tokens.
        access: BTreeMap<ClientName, Arc<Access>>,
    },
}

/// A credential as the key store lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCredential {
    /// Whose it is.
    pub client: ClientName,
    /// Its random version.
    pub version: Arc<str>,
    /// What it is.
    pub kind: CredentialKind,
}

/// What a credential is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// A shared secret.
    Secret,
    /// A private key.
    PrivateKey,
}

/// A credential, ready to be used.
#[derive(Debug)]
pub enum Credential {
    /// A shared secret.
    Secret {
        /// Its random version.
        version: Arc<str>,
        /// The secret.
        secret: SecretString,
    },
    /// A private key, which stays in the key store.
    Key {
        /// Its random version.
        version: Arc<str>,
        /// The key ID for the assertion's header.
        kid: String,
    },
}
