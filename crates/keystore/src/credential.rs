//! Credentials as values: what is stored, what is in use, and what may be published.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use tokenbroker_secret::SecretString;

/// What a key signs with (RFC 7518 section 3.1, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    #[serde(rename = "RS384")]
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    #[serde(rename = "RS512")]
    Rs512,
    /// RSASSA-PSS with SHA-256 and a salt as long as the hash.
    #[serde(rename = "PS256")]
    Ps256,
    /// RSASSA-PSS with SHA-384 and a salt as long as the hash.
    #[serde(rename = "PS384")]
    Ps384,
    /// RSASSA-PSS with SHA-512 and a salt as long as the hash.
    #[serde(rename = "PS512")]
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA on P-384 with SHA-384.
    #[serde(rename = "ES384")]
    Es384,
    /// ECDSA on P-521 with SHA-512.
    #[serde(rename = "ES512")]
    Es512,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// The name that JOSE gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name).ok_or(UnknownAlgorithm)
    }
}

/// A name that is none of [`Algorithm::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the algorithm is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA")]
pub struct UnknownAlgorithm;

/// What a secret authenticates with (RFC 7518 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MacAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl MacAlgorithm {
    pub(crate) fn tag(self, secret: &[u8], input: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Hs256 => hmac::HMAC_SHA256,
            Self::Hs384 => hmac::HMAC_SHA384,
            Self::Hs512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, secret), input).as_ref().to_vec()
    }
}

/// How a TLS handshake is signed (RFC 8446 section 4.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsScheme {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RsaPkcs1Sha512,
    /// RSASSA-PSS with SHA-256.
    RsaPssSha256,
    /// RSASSA-PSS with SHA-384.
    RsaPssSha384,
    /// RSASSA-PSS with SHA-512.
    RsaPssSha512,
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384Sha384,
    /// ECDSA on P-521 with SHA-512.
    EcdsaP521Sha512,
    /// Ed25519.
    Ed25519,
}

/// What is made for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateForm {
    /// A certification request (PKCS#10, RFC 2986) for an authority.
    Request,
    /// A certificate that the key itself signs.
    SelfSigned {
        /// How many days it is good for.
        days: u32,
    },
}

/// A key for TLS, which stays in the key store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsKey {
    /// Its random version.
    pub version: String,
    /// SubjectPublicKeyInfo in DER, which a certificate for it contains.
    pub public_key: Vec<u8>,
    /// What it can sign with, the best first.
    pub schemes: &'static [TlsScheme],
}

/// What a credential is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A shared secret.
    Secret,
    /// A private key.
    PrivateKey,
}

/// Where credentials rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreKind {
    /// The keyring of the operating system.
    OsKeyring,
    /// What systemd passes to the service, which is read and never written.
    SystemdCredentials,
    /// The encrypted file in the state directory.
    EncryptedFile,
}

impl StoreKind {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::OsKeyring => "os-keyring",
            Self::SystemdCredentials => "systemd-credentials",
            Self::EncryptedFile => "encrypted-file",
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a credential is to its client now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// The one in use.
    Current,
    /// Tried before the one in use, and takes its place once it was accepted.
    Next,
    /// Not used any more: a key that another took the place of, or what could not be removed.
    Previous,
}

/// How a credential is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storing {
    /// The time, in seconds since 1970 (UTC).
    pub created: u64,
    /// When the credential will be worth nothing any more, in seconds since 1970 (UTC).
    pub expires: Option<u64>,
    /// Beside the one in use, which goes when this one was [promoted](crate::KeyStore::promote). Otherwise it replaces all
    /// that the client has. Where nothing is in use, it is so at once.
    pub as_next: bool,
}

impl Storing {
    /// In the place of all that there is.
    pub fn at(created: u64) -> Self {
        Self { created, expires: None, as_next: false }
    }

    /// Beside the one in use.
    pub fn as_next(self) -> Self {
        Self { as_next: true, ..self }
    }
}

/// A stored credential, without what is secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The client's name.
    pub client: String,
    /// Its random version.
    pub version: String,
    /// Where it rests.
    pub store: StoreKind,
    /// What it is.
    pub kind: CredentialKind,
    /// What it is to the client.
    pub standing: Standing,
    /// The key ID of a key.
    pub kid: Option<String>,
    /// The algorithm of a key.
    pub algorithm: Option<Algorithm>,
    /// When it was stored, in seconds since 1970 (UTC); systemd does not say.
    pub created: Option<u64>,
    /// When it will be worth nothing any more, in seconds since 1970 (UTC), if that was told.
    pub expires: Option<u64>,
}

/// What a client can authenticate with now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// The credential in use.
    pub current: Usable,
    /// The one to be tried before it.
    pub next: Option<Usable>,
}

/// A credential, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usable {
    /// What is known of it.
    pub stored: Stored,
    /// The credential itself.
    pub credential: Current,
}

/// A credential that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Current {
    /// A shared secret.
    Secret {
        /// Its random version.
        version: String,
        /// The secret.
        secret: SecretString,
    },
    /// A private key, which stays in the key store.
    Key {
        /// Its random version.
        version: String,
        /// The key ID.
        kid: String,
        /// What it signs with.
        algorithm: Algorithm,
    },
}

impl Current {
    /// The credential's random version.
    pub fn version(&self) -> &str {
        match self {
            Self::Secret { version, .. } | Self::Key { version, .. } => version,
        }
    }

    /// What it is.
    pub fn kind(&self) -> CredentialKind {
        match self {
            Self::Secret { .. } => CredentialKind::Secret,
            Self::Key { .. } => CredentialKind::PrivateKey,
        }
    }
}

/// The public half of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// The random version of the private half.
    pub version: String,
    /// What the key is to its client.
    pub standing: Standing,
    /// The key ID.
    pub kid: String,
    /// What the key signs with.
    pub algorithm: Algorithm,
    /// SubjectPublicKeyInfo in PEM.
    pub pem: String,
    /// A JWK (RFC 7517) as a JSON object.
    pub jwk: String,
}

/// A credential that must be set again when the key of the encrypted file is lost.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needed {
    /// The client's name.
    pub client: String,
    /// What it had; `None` if that was written by a newer version.
    pub kind: Option<CredentialKind>,
}

impl Needed {
    /// The command that sets it again.
    pub fn command(&self) -> String {
        match self.kind {
            Some(CredentialKind::PrivateKey) => format!("tokenbroker key generate {}", self.client),
            _ => format!("tokenbroker secret set {}", self.client),
        }
    }
}
