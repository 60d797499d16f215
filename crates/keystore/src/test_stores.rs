//! Stores that misbehave on demand, and a keyring without a session bus.

use std::any::Any;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use keyring_core::api::{CredentialApi, CredentialStoreApi};
use keyring_core::{Credential, CredentialStore, Entry, Error as StoreError};

use crate::Error;
use crate::encrypted_file::EncryptedFile;
use crate::placement::Backend;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// A write is refused.
    Set,
    /// A write is said to have worked, and all but its last byte is kept.
    Keep,
    /// A removal is refused.
    Delete,
}

/// An encrypted file with faults.
#[derive(Debug, Clone)]
pub(crate) struct Faulty {
    file: EncryptedFile,
    fault: Arc<Mutex<Fault>>,
    /// How many writes are still spared.
    spared: Arc<Mutex<u32>>,
}

impl Faulty {
    pub(crate) fn new(directory: &Path) -> Self {
        let file = EncryptedFile::new(directory.join("ring"), None, directory.join("ring.key"));
        Self { file, fault: Arc::new(Mutex::new(Fault::None)), spared: Arc::default() }
    }

    pub(crate) fn set_fault(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// The same, but for the next writes.
    pub(crate) fn set_fault_after(&self, fault: Fault, writes: u32) {
        self.set_fault(fault);
        *self.spared.lock().unwrap() = writes;
    }

    /// Whether this write is one of those that are spared.
    fn spares(&self) -> bool {
        let mut spared = self.spared.lock().unwrap();
        let spares = *spared > 0;
        *spared = spared.saturating_sub(1);
        spares
    }

    fn has(&self, fault: Fault) -> bool {
        *self.fault.lock().unwrap() == fault
    }

    fn wrap(&self, entry: Entry) -> Entry {
        Entry::new_with_credential(Arc::new(FaultyCredential { store: self.clone(), entry }))
    }
}

impl CredentialStoreApi for Faulty {
    fn vendor(&self) -> String {
        "faulty".to_owned()
    }

    fn id(&self) -> String {
        "faulty".to_owned()
    }

    fn build(
        &self,
        service: &str,
        user: &str,
        modifiers: Option<&HashMap<&str, &str>>,
    ) -> Result<Entry, StoreError> {
        self.file.build(service, user, modifiers).map(|entry| self.wrap(entry))
    }

    fn search(&self, spec: &HashMap<&str, &str>) -> Result<Vec<Entry>, StoreError> {
        Ok(self.file.search(spec)?.into_iter().map(|entry| self.wrap(entry)).collect())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct FaultyCredential {
    store: Faulty,
    entry: Entry,
}

impl CredentialApi for FaultyCredential {
    fn set_secret(&self, secret: &[u8]) -> Result<(), StoreError> {
        if self.store.spares() {
            return self.entry.set_secret(secret);
        }
        if self.store.has(Fault::Set) {
            return Err(StoreError::PlatformFailure("disk on fire".into()));
        }
        let lost = if self.store.has(Fault::Keep) { 1 } else { 0 };
        self.entry.set_secret(&secret[..secret.len() - lost])
    }

    fn get_secret(&self) -> Result<Vec<u8>, StoreError> {
        self.entry.get_secret()
    }

    fn delete_credential(&self) -> Result<(), StoreError> {
        if self.store.has(Fault::Delete) {
            return Err(StoreError::PlatformFailure("disk on fire".into()));
        }
        self.entry.delete_credential()
    }

    fn get_credential(&self) -> Result<Option<Arc<Credential>>, StoreError> {
        Ok(None)
    }

    fn get_specifiers(&self) -> Option<(String, String)> {
        self.entry.get_specifiers()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A keyring that can be locked.
#[derive(Debug, Clone)]
pub(crate) struct TestKeyring {
    pub(crate) store: Faulty,
    locked: Arc<AtomicBool>,
}

impl TestKeyring {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { store: Faulty::new(directory), locked: Arc::default() }
    }

    pub(crate) fn lock(&self, locked: bool) {
        self.locked.store(locked, Ordering::Relaxed);
    }
}

impl Backend for TestKeyring {
    fn store(&self) -> Result<Arc<CredentialStore>, Error> {
        match self.locked.load(Ordering::Relaxed) {
            true => Err(Error::unavailable("the OS keyring is locked")),
            false => Ok(Arc::new(self.store.clone())),
        }
    }
}
