//! A key store that can be unavailable.

use std::collections::BTreeMap;
use std::time::Duration;

use super::name;
use crate::config::ClientName;
use crate::engine::{
    Credential, CredentialKind, Credentials, KeyStoreFailure, LoadedCredential, Store, StoredCredential,
};

#[derive(Debug)]
pub(in crate::engine::tests) struct KeyStore {
    pub(in crate::engine::tests) is_unavailable: bool,
    pub(in crate::engine::tests) latency: Duration,
    /// How often a credential was asked for.
    pub(in crate::engine::tests) loads: usize,
    /// How often the credentials were listed.
    pub(in crate::engine::tests) listings: usize,
    /// How often a next credential was to be the one in use.
    pub(in crate::engine::tests) promotions: usize,
    /// A version that is there and does not sign.
    pub(in crate::engine::tests) cannot_sign: String,
    pub(in crate::engine::tests) keys_are_for_tls: bool,
    credentials: BTreeMap<ClientName, Vec<(StoredCredential, String)>>,
    versions: u64,
}

impl Default for KeyStore {
    /// Holds nothing.
    fn default() -> Self {
        let latency = Duration::from_millis(1);
        Self {
            is_unavailable: false,
            latency,
            loads: 0,
            listings: 0,
            promotions: 0,
            cannot_sign: String::new(),
            keys_are_for_tls: false,
            credentials: BTreeMap::new(),
            versions: 0,
        }
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

    pub(in crate::engine::tests) fn set_secret(&mut self, client: &str, secret: &str) {
        self.credentials.remove(client);
        self.set(client, CredentialKind::Secret, secret, false);
    }

    pub(in crate::engine::tests) fn set_next_secret(&mut self, client: &str, secret: &str) {
        self.set(client, CredentialKind::Secret, secret, true);
    }

    pub(in crate::engine::tests) fn set_key(&mut self, client: &str) {
        self.credentials.remove(client);
        self.set(client, CredentialKind::PrivateKey, "", false);
    }

    pub(in crate::engine::tests) fn set_next_key(&mut self, client: &str) {
        self.set(client, CredentialKind::PrivateKey, "", true);
    }

    /// When the credentials of a client will be worth nothing.
    pub(in crate::engine::tests) fn expire(&mut self, client: &str, at: u64) {
        let all = self.credentials.get_mut(client).into_iter().flatten();
        all.for_each(|(stored, _)| stored.expires = Some(at));
    }

    fn set(&mut self, client: &str, kind: CredentialKind, secret: &str, is_next: bool) {
        self.versions += 1;
        let (version, store) = (format!("v{}", self.versions).into(), Store::EncryptedFile);
        let stored = StoredCredential { client: name(client), version, kind, store, is_next, expires: None };
        let all = self.credentials.entry(name(client)).or_default();
        all.retain(|(stored, _)| !stored.is_next);
        all.push((stored, secret.into()));
    }

    pub(in crate::engine::tests) fn remove(&mut self, client: &str) {
        self.credentials.remove(client);
    }

    /// Takes the next credential of a client away.
    pub(in crate::engine::tests) fn withdraw(&mut self, client: &str) {
        self.credentials.get_mut(client).unwrap().retain(|(stored, _)| !stored.is_next);
    }

    /// What is stored for a client: the credential in use, and the next one.
    pub(in crate::engine::tests) fn stored(
        &self,
        client: &str,
    ) -> (Option<StoredCredential>, Option<StoredCredential>) {
        let all = || self.credentials.get(client).into_iter().flatten().map(|(stored, _)| stored);
        let find = |is_next| all().find(|stored| stored.is_next == is_next).cloned();
        (find(false), find(true))
    }

    pub(super) fn promote(&mut self, client: &ClientName, version: &str) -> Result<(), KeyStoreFailure> {
        self.check()?;
        self.promotions += 1;
        let Some(all) = self.credentials.get_mut(client) else { return Ok(()) };
        if all.iter().any(|(stored, _)| stored.is_next && *stored.version == *version) {
            all.retain(|(stored, _)| stored.is_next);
            all.iter_mut().for_each(|(stored, _)| stored.is_next = false);
        }
        Ok(())
    }

    pub(super) fn list(&mut self) -> Result<Vec<StoredCredential>, KeyStoreFailure> {
        self.listings += 1;
        self.check()?;
        Ok(self.credentials.values().flatten().map(|(stored, _)| stored.clone()).collect())
    }

    pub(super) fn load(&mut self, client: &ClientName) -> Result<Option<Credentials>, KeyStoreFailure> {
        self.loads += 1;
        self.check()?;
        let loaded = |(stored, secret): &(StoredCredential, String)| LoadedCredential {
            stored: stored.clone(),
            credential: match stored.kind {
                CredentialKind::Secret => Credential::Secret(secret.as_str().into()),
                CredentialKind::PrivateKey if self.keys_are_for_tls => {
                    Credential::TlsKey { public_key: stored.version.as_bytes().to_vec() }
                }
                CredentialKind::PrivateKey => Credential::Key { kid: "kid".into() },
            },
        };
        let all = || self.credentials.get(client).into_iter().flatten();
        let find = |is_next| all().find(|(stored, _)| stored.is_next == is_next).map(loaded);
        Ok(find(false).map(|current| Credentials { current, next: find(true) }))
    }

    pub(super) fn sign(&mut self, client: &ClientName, version: &str) -> Result<Vec<u8>, KeyStoreFailure> {
        self.check()?;
        let mut all = self.credentials.get(client).into_iter().flatten();
        match all.any(|(stored, _)| *stored.version == *version) && self.cannot_sign != version {
            true => Ok(b"signature".to_vec()),
            false => Err(KeyStoreFailure { message: "there is no such key".into(), hint: None }),
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
