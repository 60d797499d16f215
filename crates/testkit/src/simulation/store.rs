//! A key store that can be locked, slow or hanging, and whose content others can change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokenbroker_core::config::ClientName;
use tokenbroker_core::engine::{
    self, Credential, CredentialKind, Credentials, KeyStoreFailure, LoadedCredential, StoredCredential,
};

use super::clock::At;
use super::faults::Fault;
use super::trace::Fnv;

/// After this a key store that hangs counts as unavailable.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// How long a call takes on a good day.
const LATENCY: Duration = Duration::from_millis(2);

/// A credential as it rests.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) version: Arc<str>,
    pub(crate) kind: CredentialKind,
    /// The secret, or what the key pair is known by.
    pub(crate) value: String,
}

/// The credential in use, and the one that is to take its place.
#[derive(Debug, Clone)]
struct Pair {
    current: Kept,
    next: Option<Kept>,
}

/// The key store.
#[derive(Debug, Default)]
pub(crate) struct Store {
    credentials: BTreeMap<ClientName, Pair>,
    last_version: u64,
    trouble: Option<(Fault, At)>,
}

impl Store {
    /// In the place of all that the client has.
    pub(crate) fn set(&mut self, client: &ClientName, kind: CredentialKind, value: String) {
        let current = self.keep(kind, value);
        self.credentials.insert(client.clone(), Pair { current, next: None });
    }

    /// Beside the one in use. `None` if there is none.
    pub(crate) fn set_next(
        &mut self,
        client: &ClientName,
        kind: CredentialKind,
        value: String,
    ) -> Option<()> {
        let next = self.keep(kind, value);
        self.credentials.get_mut(client)?.next = Some(next);
        Some(())
    }

    fn keep(&mut self, kind: CredentialKind, value: String) -> Kept {
        self.last_version += 1;
        Kept { version: format!("v{}", self.last_version).into(), kind, value }
    }

    /// Makes a next credential the one in use, and gives the one that was.
    pub(crate) fn promote(&mut self, client: &ClientName, version: &str) -> Option<Kept> {
        let pair = self.credentials.get_mut(client)?;
        let next = pair.next.take_if(|next| *next.version == *version)?;
        Some(std::mem::replace(&mut pair.current, next))
    }

    pub(crate) fn remove(&mut self, client: &ClientName) -> Vec<Kept> {
        let pair = self.credentials.remove(client).into_iter();
        pair.flat_map(|pair| [Some(pair.current), pair.next]).flatten().collect()
    }

    pub(crate) fn find(&self, client: &ClientName) -> Option<&Kept> {
        self.credentials.get(client).map(|pair| &pair.current)
    }

    pub(crate) fn next_of(&self, client: &ClientName) -> Option<&Kept> {
        self.credentials.get(client)?.next.as_ref()
    }

    /// What is stored for a client, without what is secret in it: the one in use, and the next one.
    pub(crate) fn stored(&self, client: &ClientName) -> (Option<StoredCredential>, Option<StoredCredential>) {
        let stored = |kept: Option<&Kept>, is_next| kept.map(|kept| kept.stored(client, is_next));
        (stored(self.find(client), false), stored(self.next_of(client), true))
    }

    /// From now until then it is in trouble.
    pub(crate) fn is_in_trouble(&mut self, fault: Fault, until: At) {
        self.trouble = Some((fault, until));
    }

    /// How long a call takes that starts now, whether it succeeds, and which fault it meets.
    pub(crate) fn call(&self, at: At) -> (Duration, Result<(), KeyStoreFailure>, Option<Fault>) {
        match self.trouble.filter(|(_, until)| at < *until) {
            None => (LATENCY, Ok(()), None),
            Some((fault @ Fault::StoreSlow, _)) => (Duration::from_millis(1800), Ok(()), Some(fault)),
            Some((fault @ Fault::StoreHangs, _)) => (DEADLINE, Err(failure("does not answer")), Some(fault)),
            Some((fault, _)) => (LATENCY, Err(failure("is locked")), Some(fault)),
        }
    }

    pub(crate) fn list(&self) -> Vec<StoredCredential> {
        let both = |client| self.stored(client);
        self.credentials.keys().map(both).flat_map(|(current, next)| [current, next]).flatten().collect()
    }

    pub(crate) fn load(&self, client: &ClientName) -> Option<Credentials> {
        let Pair { current, next } = self.credentials.get(client)?;
        let next = next.as_ref().map(|next| next.loaded(client, true));
        Some(Credentials { current: current.loaded(client, false), next })
    }

    pub(crate) fn sign(
        &self,
        client: &ClientName,
        version: &str,
        input: &[u8],
    ) -> Result<Vec<u8>, KeyStoreFailure> {
        let mut both = self.find(client).into_iter().chain(self.next_of(client));
        let kept = both.find(|kept| *kept.version == *version);
        kept.map(|kept| signature(&kept.value, input)).ok_or_else(|| failure("has no such key"))
    }
}

impl Kept {
    fn stored(&self, client: &ClientName, is_next: bool) -> StoredCredential {
        StoredCredential {
            client: client.clone(),
            version: self.version.clone(),
            kind: self.kind,
            store: engine::Store::EncryptedFile,
            is_next,
            expires: None,
        }
    }

    fn loaded(&self, client: &ClientName, is_next: bool) -> LoadedCredential {
        let credential = match self.kind {
            CredentialKind::Secret => Credential::Secret(self.value.as_str().into()),
            CredentialKind::PrivateKey => Credential::Key { kid: kid(&self.value) },
        };
        LoadedCredential { stored: self.stored(client, is_next), credential }
    }
}

/// The key pair with this ID.
pub(crate) fn key_of(kid: &str) -> Option<&str> {
    kid.strip_prefix("kid-of-")
}

/// The ID of a key pair.
pub(crate) fn kid(key: &str) -> String {
    format!("kid-of-{key}")
}

/// In the place of RSA: nobody who lacks the key makes it by accident, and it takes no time.
pub(crate) fn signature(key: &str, input: &[u8]) -> Vec<u8> {
    Fnv::of(&[key.as_bytes(), b"\0", input]).to_be_bytes().to_vec()
}

fn failure(what: &str) -> KeyStoreFailure {
    KeyStoreFailure { message: format!("the key store {what}"), hint: None }
}
