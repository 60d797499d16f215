//! Credentials, without what is secret in them, and what is done with them.

use bincode::{Decode, Encode};

/// How a credential is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Storing {
    /// Beside the one in use: it is tried before that by the next token request, and takes its place with its first token.
    /// Otherwise it replaces all that the client has.
    pub as_next: bool,
    /// When it will be worth nothing any more, in seconds since 1970 (UTC).
    pub expires: Option<u64>,
}

/// What is made for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum CertificateForm {
    /// A certification request (PKCS#10, RFC 2986) for an authority.
    Request,
    /// A certificate that the key itself signs.
    SelfSigned {
        /// How many days it is good for.
        days: u32,
    },
}

/// Credentials that were moved.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Moved {
    /// From where; the same as `to` if they had been moved before.
    pub from: Store,
    /// To where.
    pub to: Store,
    /// How many credentials there are.
    pub credentials: u64,
    /// Old copies that could not be removed, and why.
    pub left_behind: Vec<String>,
    /// What the configuration says, if that is another store: it has to be changed before the daemon's next start.
    pub configured: Option<Store>,
}

/// A stored credential, without what is secret in it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Credential {
    /// The client's name.
    pub client: String,
    /// Its random version.
    pub version: String,
    /// Where it rests.
    pub store: Store,
    /// What it is.
    pub kind: CredentialKind,
    /// What it is to its client.
    pub standing: Standing,
    /// The key ID of a key.
    pub kid: Option<String>,
    /// The algorithm of a key.
    pub algorithm: Option<KeyAlgorithm>,
    /// When it was stored, in seconds since 1970 (UTC), if that is known.
    pub created: Option<u64>,
    /// When it will be worth nothing any more, in seconds since 1970 (UTC), if that was told.
    pub expires: Option<u64>,
}

/// What a credential is to its client now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Standing {
    /// The one in use.
    Current,
    /// Tried before the one in use.
    Next,
    /// Not used any more.
    Previous,
}

/// Where credentials rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[non_exhaustive]
pub enum Store {
    /// The keyring of the operating system.
    OsKeyring,
    /// The encrypted file in the state directory.
    EncryptedFile,
    /// What systemd passes to the service, which is read and never written.
    SystemdCredentials,
}

/// What a credential is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[non_exhaustive]
pub enum CredentialKind {
    /// A shared secret.
    Secret,
    /// A private key.
    PrivateKey,
}

/// What a key signs with (RFC 7518 section 3.1, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum KeyAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
}

/// The public half of a key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PublicKey {
    /// What the key is to its client.
    pub standing: Standing,
    /// The key ID.
    pub kid: String,
    /// What the key signs with.
    pub algorithm: KeyAlgorithm,
    /// SubjectPublicKeyInfo in PEM.
    pub pem: String,
    /// A JWK (RFC 7517) as a JSON object.
    pub jwk: String,
}
