//! The key that seals what the daemon keeps of its tokens over a restart.

use aws_lc_rs::{digest, rand};
use keyring_core::Error as StoreError;
use tokenbroker_secret::Secret;
use zeroize::Zeroizing;

use crate::vault::Vault;
use crate::{Error, sealed};

/// Where it is in a store. A credential is never called that: its name is a client's and a version, with a slash
/// between them.
pub(crate) const NAME: &str = "token-key";

/// Of AES-256, in bytes.
const LENGTH: usize = 32;

/// Written before the key, for whatever may have to change.
const FORMAT: u8 = 1;

/// A key that rests in the key store. What is encrypted with it is worth nothing without the store, and the key
/// itself stays in here.
#[derive(Debug, Clone)]
pub struct SealingKey {
    bytes: Secret,
}

impl SealingKey {
    /// Names the key without telling anything about it.
    pub fn id(&self) -> [u8; 8] {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(b"tokenbroker sealing key id\0");
        hash.update(self.bytes.expose());
        let mut id = [0; 8];
        id.copy_from_slice(&hash.finish().as_ref()[..8]);
        id
    }

    /// Encrypts and authenticates `plaintext`; `associated` is authenticated along with it, and has to be the same
    /// to [`open`](Self::open) it.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if the system gives no random numbers.
    pub fn seal(&self, associated: &[u8], plaintext: &Secret) -> Result<Vec<u8>, Error> {
        sealed::seal(self.bytes.expose(), associated, plaintext.expose())
            .map_err(|_| Error::unavailable("the tokens could not be encrypted"))
    }

    /// What was sealed with this key; `None` if any of it was changed.
    pub fn open(&self, associated: &[u8], sealed: &[u8]) -> Option<Secret> {
        let mut plaintext = sealed::open(self.bytes.expose(), associated, sealed).ok()?;
        Some(Secret::yielding(std::mem::take(&mut *plaintext)))
    }

    fn generate() -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        rand::fill(bytes.as_mut_slice())
            .map_err(|_| Error::unavailable("the system gives no random numbers"))?;
        Ok(Self { bytes: Secret::from(bytes.as_slice()) })
    }

    fn to_stored(&self) -> Secret {
        let mut stored = Zeroizing::new([FORMAT; 1 + LENGTH]);
        stored[1..].copy_from_slice(self.bytes.expose());
        Secret::from(stored.as_slice())
    }

    fn parse(stored: &Secret) -> Result<Self, Error> {
        let unusable = |why: &str| {
            Error::refused(format!("the stored item {NAME} can't be used: {why}; it is left as it is"))
        };
        match stored.expose() {
            [FORMAT, bytes @ ..] if bytes.len() == LENGTH => Ok(Self { bytes: Secret::from(bytes) }),
            [format, ..] if *format > FORMAT => Err(unusable("it was written by a newer tokenbroker")),
            _ => Err(unusable("it is damaged")),
        }
    }
}

/// The key in a store, if there is one.
pub(crate) fn read(vault: &Vault) -> Result<Option<SealingKey>, Error> {
    match vault.apart(NAME)?.get_secret() {
        Ok(stored) => SealingKey::parse(&Secret::new(stored)).map(Some),
        Err(StoreError::NoEntry) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes one, and sees that it can be read back. To be called only when there is none.
pub(crate) fn create(vault: &Vault) -> Result<SealingKey, Error> {
    let key = SealingKey::generate()?;
    vault.apart(NAME)?.set_secret(key.to_stored().expose())?;
    match read(vault)? {
        Some(kept) if kept.bytes == key.bytes => Ok(key),
        _ => Err(Error::unavailable("the key store did not keep the key for the tokens")),
    }
}

/// Removes it, if there is one that this version can read.
pub(crate) fn remove(vault: &Vault) -> Result<(), Error> {
    if read(vault)?.is_none() {
        return Ok(());
    }
    match vault.apart(NAME)?.delete_credential() {
        Err(StoreError::NoEntry) => Ok(()),
        deleted => deleted.map_err(Error::from),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tempfile::TempDir;

    use super::*;
    use crate::StoreKind;
    use crate::test_stores::{Fault, Faulty};

    struct Fixture {
        _directory: TempDir,
        faulty: Faulty,
        vault: Vault,
    }

    impl Fixture {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let faulty = Faulty::new(directory.path());
            let vault = Vault::new(StoreKind::OsKeyring, Arc::new(faulty.clone()));
            Self { _directory: directory, faulty, vault }
        }

        fn plant(&self, stored: &[u8]) {
            self.vault.apart(NAME).unwrap().set_secret(stored).unwrap();
        }
    }

    #[test]
    fn a_key_is_made_found_again_and_removed() {
        let Fixture { vault, .. } = &Fixture::new();
        assert!(read(vault).unwrap().is_none());
        remove(vault).unwrap();
        let made = create(vault).unwrap();
        let found = read(vault).unwrap().unwrap();
        assert_eq!(found.id(), made.id());
        let sealed = made.seal(b"file", &Secret::from(&b"hunter2"[..])).unwrap();
        assert_eq!(found.open(b"file", &sealed).unwrap().expose(), b"hunter2");

        remove(vault).unwrap();
        assert!(read(vault).unwrap().is_none());
        let another = create(vault).unwrap();
        assert_ne!(another.id(), made.id());
        assert!(another.open(b"file", &sealed).is_none());
    }

    #[test]
    fn the_key_is_no_credential() {
        let Fixture { vault, .. } = &Fixture::new();
        create(vault).unwrap();
        let found = vault.find(None).unwrap();
        assert!(found.items.is_empty() && found.unreadable.is_empty());
        assert!(vault.find(Some(NAME)).unwrap().items.is_empty());
    }

    #[test]
    fn a_key_that_the_store_does_not_keep_is_not_used() {
        for fault in [Fault::Set, Fault::Keep] {
            let fixture = Fixture::new();
            fixture.faulty.set_fault(fault);
            assert!(create(&fixture.vault).is_err(), "{fault:?}");
        }
    }

    #[test]
    fn s71_what_is_no_key_to_this_version_is_left_alone() {
        for (stored, why) in [(&[2; 33][..], "newer"), (&[1; 32], "damaged"), (&[0; 33], "damaged")] {
            let fixture = Fixture::new();
            fixture.plant(stored);
            let error = read(&fixture.vault).unwrap_err();
            assert!(error.message().contains(why), "{error:?}");
            assert!(remove(&fixture.vault).is_err());
            assert_eq!(fixture.vault.apart(NAME).unwrap().get_secret().unwrap(), stored);
        }
    }

    #[test]
    fn the_form_in_the_store_stays() {
        let key = SealingKey { bytes: Secret::new((0..32).collect()) };
        let stored = key.to_stored();
        assert_eq!(stored.expose(), [&[1], key.bytes.expose()].concat());
        assert_eq!(SealingKey::parse(&stored).unwrap().id(), key.id());
        assert_eq!(key.id(), [112, 45, 200, 154, 3, 95, 36, 6]);
    }

    #[test]
    fn s57_a_key_is_not_printed() {
        let key = SealingKey { bytes: Secret::new(vec![0x41; LENGTH]) };
        assert_eq!(format!("{key:?}"), "SealingKey { bytes: [redacted] }");
    }
}
