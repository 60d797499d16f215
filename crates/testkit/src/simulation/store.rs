//! A key store that can be locked, slow or hanging, and whose content others can change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokenbroker_core::config::ClientName;
use tokenbroker_core::engine::{Credential, CredentialKind, KeyStoreFailure, StoredCredential};

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

/// The key store.
#[derive(Debug, Default)]
pub(crate) struct Store {
    credentials: BTreeMap<ClientName, Kept>,
    last_version: u64,
    trouble: Option<(Fault, At)>,
}

impl Store {
    pub(crate) fn set(
        &mut self,
        client: &ClientName,
        kind: CredentialKind,
        value: String,
    ) -> StoredCredential {
        self.last_version += 1;
        let version: Arc<str> = format!("v{}", self.last_version).into();
        self.credentials.insert(client.clone(), Kept { version: version.clone(), kind, value });
        StoredCredential { client: client.clone(), version, kind }
    }

    pub(crate) fn remove(&mut self, client: &ClientName) -> Option<Kept> {
        self.credentials.remove(client)
    }

    pub(crate) fn find(&self, client: &ClientName) -> Option<&Kept> {
        self.credentials.get(client)
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
        let stored = |(client, kept): (&ClientName, &Kept)| StoredCredential {
            client: client.clone(),
            version: kept.version.clone(),
            kind: kept.kind,
        };
        self.credentials.iter().map(stored).collect()
    }

    pub(crate) fn load(&self, client: &ClientName) -> Option<Credential> {
        let Kept { version, kind, value } = self.credentials.get(client)?.clone();
        Some(match kind {
            CredentialKind::Secret => Credential::Secret { version, secret: value.as_str().into() },
            CredentialKind::PrivateKey => Credential::Key { version, kid: kid(&value) },
        })
    }

    pub(crate) fn sign(
        &self,
        client: &ClientName,
        version: &str,
        input: &[u8],
    ) -> Result<Vec<u8>, KeyStoreFailure> {
        let kept = self.credentials.get(client).filter(|kept| *kept.version == *version);
        kept.map(|kept| signature(&kept.value, input)).ok_or_else(|| failure("has no such key"))
    }
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
