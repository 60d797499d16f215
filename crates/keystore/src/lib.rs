//! Credentials at rest, and signatures made with them.
//!
//! A [`KeyStore`] keeps client secrets and private keys in the keyring of the operating system or in an
//! encrypted file, and signs with the keys without ever handing one out. It blocks: give it a thread of its
//! own and a deadline for each call, because a call to a keyring can hang. It never causes a prompt, reads no
//! clock, and never replaces or deletes what it can't read.

mod credential;
mod encrypted_file;
mod envelope;
mod error;
mod key;
mod keystore;
mod os_keyring;
mod placement;
mod private_file;
mod sealed;
mod sealing_key;
#[cfg(test)]
mod test_stores;
mod vault;

pub use credential::{
    Algorithm, CredentialKind, Current, MacAlgorithm, Needed, PublicKey, StoreKind, Stored, UnknownAlgorithm,
};
pub use error::Error;
pub use keystore::{KeyStore, Options, StoreChoice};
pub use sealing_key::SealingKey;
