//! A key store that can be unavailable.

use std::collections::BTreeMap;
use std::time::Duration;

use super::name;
use crate::config::ClientName;
use crate::engine::{Credential, CredentialKind, KeyStoreFailure, StoredCredential};

#[derive(Debug)]
pub(in crate::engine::tests) struct KeyStore {
    pub(in crate::engine::tests) is_unavailable: bool,
    pub(in crate::engine::tests) latency: Duration,
    /// How often a credential was asked for.
    pub(in crate::engine::tests) loads: usize,
    /// How often the credentials were listed.
    pub(in crate::engine::tests) listings: usize,
    credentials: BTreeMap<ClientName, (StoredCredential, String)>,
    versions: u64,
}

impl Default for KeyStore {
    /// Holds nothing.
    fn default() -> Self {
        let latency = Duration::from_millis(1);
        let credentials = BTreeMap::new();
        Self { is_unavailable: false, latency, loads: 0, listings: 0, credentials, versions: 0 }
    }
}

impl KeyStore {
    pub(in crate::engine::tests) fn with_secrets<'a>(clients: impl Iterator<Item = &'a ClientName>) -> Self {
        let mut store = Self::default();
        for client in clients {
            store.set_secret(client.as_str(), "right");
        }
        store
    }

    pub(in crate::engine::tests) fn set_secret(&mut self, client: &str, secret: &str) -> StoredCredential {
        self.set(client, CredentialKind::Secret, secret)
    }

    pub(in crate::engine::tests) fn set_key(&mut self, client: &str) -> StoredCredential {
        self.set(client, CredentialKind::PrivateKey, "")
    }

    fn set(&mut self, client: &str, kind: CredentialKind, secret: &str) -> StoredCredential {
        self.versions += 1;
        let stored =
            StoredCredential { client: name(client), version: format!("v{}", self.versions).into(), kind };
        self.credentials.insert(name(client), (stored.clone(), secret.into()));
        stored
    }

    pub(in crate::engine::tests) fn remove(&mut self, client: &str) {
        self.credentials.remove(client);
    }

    pub(super) fn list(&mut self) -> Result<Vec<StoredCredential>, KeyStoreFailure> {
        self.listings += 1;
        self.check()?;
        Ok(self.credentials.values().map(|(stored, _)| stored.clone()).collect())
    }

    pub(super) fn load(&mut self, client: &ClientName) -> Result<Option<Credential>, KeyStoreFailure> {
        self.loads += 1;
        self.check()?;
        Ok(self.credentials.get(client).map(|(stored, secret)| {
            let version = stored.version.clone();
            match stored.kind {
                CredentialKind::Secret => Credential::Secret { version, secret: secret.as_str().into() },
                CredentialKind::PrivateKey => Credential::Key { version, kid: "kid".into() },
            }
        }))
    }

    pub(super) fn sign(&mut self, client: &ClientName, version: &str) -> Result<Vec<u8>, KeyStoreFailure> {
        self.check()?;
        match self.credentials.get(client) {
            Some((stored, _)) if *stored.version == *version => Ok(b"signature".to_vec()),
            _ => Err(KeyStoreFailure { message: "there is no such key".into(), hint: None }),
        }
    }

    fn check(&self) -> Result<(), KeyStoreFailure> {
        match self.is_unavailable {
            true => Err(KeyStoreFailure {
                message: "the keyring is locked".into(),
                hint: Some("unlock it".into()),
            }),
            false => Ok(()),
        }
    }
}
