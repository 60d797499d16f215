//! Credentials at rest, and signatures made with them.
//!
//! A [`KeyStore`] keeps client secrets and private keys in the keyring of the operating system or in an
//! encrypted file, reads those that systemd passes to the service, and signs with the keys without ever handing one out. It blocks: give it a thread of its
//! own and a deadline for each call, because a call to a keyring can hang. It never causes a prompt, reads no
//! clock, and never replaces or deletes what it can't read.

mod credential;
mod encrypted_file;
mod envelope;
mod error;
mod hex;
mod key;
mod keystore;
mod os_keyring;
mod placement;
mod private_file;
mod relocation;
mod sealed;
mod sealing_key;
mod standing;
mod systemd;
#[cfg(test)]
mod test_stores;
mod vault;

pub use credential::{
    Algorithm, CertificateForm, CredentialKind, Current, Live, MacAlgorithm, Needed, PublicKey, Standing,
    StoreKind, Stored, Storing, TlsKey, TlsScheme, UnknownAlgorithm, Usable,
};
pub use error::Error;
pub use keystore::{Accepted, KeyStore, Options, StoreChoice};
pub use relocation::Moved;
pub use sealing_key::SealingKey;
