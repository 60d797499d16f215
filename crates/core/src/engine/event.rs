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
    /// What a client can authenticate with, if it has anything: answers [`Effect::LoadCredential`](super::Effect::LoadCredential).
    Credential {
        /// The effect's.
        operation: OperationId,
        /// What was found.
        result: Result<Option<Credentials>, KeyStoreFailure>,
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
    /// A client's credentials were changed through the broker: this is what there is now.
    CredentialsChanged {
        /// Whose.
        client: ClientName,
        /// The one in use; `None` if all are gone.
        current: Option<StoredCredential>,
        /// The one to be tried before it.
        next: Option<StoredCredential>,
    },
    /// A next credential is the one in use now, or is not any more: answers [`Effect::Promote`](super::Effect::Promote).
    Promoted {
        /// Whose.
        client: ClientName,
        /// Whether that could be stored.
        result: Result<(), KeyStoreFailure>,
    },
    /// All credentials but systemd's rest in another store now.
    CredentialsMoved(Store),
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
    /// Where it rests.
    pub store: Store,
    /// Whether it is to be tried before the one in use, and is not that itself.
    pub is_next: bool,
    /// When it will be worth nothing any more, in seconds since 1970 (UTC), if that was told.
    pub expires: Option<u64>,
}

/// Where credentials rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// The keyring of the operating system.
    OsKeyring,
    /// What systemd passes to the service.
    SystemdCredentials,
    /// The encrypted file.
    EncryptedFile,
}

impl Store {
    /// What the configuration calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::OsKeyring => "os-keyring",
            Self::SystemdCredentials => "systemd-credentials",
            Self::EncryptedFile => "encrypted-file",
        }
    }
}

/// What a credential is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// A shared secret.
    Secret,
    /// A private key.
    PrivateKey,
}

/// What a client can authenticate with.
#[derive(Debug)]
pub struct Credentials {
    /// The credential in use.
    pub current: LoadedCredential,
    /// The one to be tried before it.
    pub next: Option<LoadedCredential>,
}

/// A credential, ready to be used, and what is known of it.
#[derive(Debug)]
pub struct LoadedCredential {
    /// What is known of it.
    pub stored: StoredCredential,
    /// The credential itself.
    pub credential: Credential,
}

/// What is used of a credential.
#[derive(Debug)]
pub enum Credential {
    /// A shared secret.
    Secret(SecretString),
    /// A private key, which stays in the key store.
    Key {
        /// The key ID for the assertion's header.
        kid: String,
    },
    /// A private key for TLS, which stays in the key store.
    TlsKey {
        /// SubjectPublicKeyInfo in DER: a certificate has to be for it.
        public_key: Vec<u8>,
    },
}
