//! The key for the tokens that outlive the daemon.

use super::KeyStore;
use crate::Error;
use crate::sealing_key::{self, SealingKey};

impl KeyStore {
    /// The key that seals what the daemon keeps of its tokens, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if what is stored there is no key to this version.
    pub fn sealing_key(&self) -> Result<Option<SealingKey>, Error> {
        match self.placement.for_reading()? {
            Some(vault) => sealing_key::read(&vault),
            None => Ok(None),
        }
    }

    /// The same, made if there is none yet. `None` until [`StoreChoice::Auto`](crate::StoreChoice::Auto) has decided: that is for the first
    /// credential to do, and there are no tokens before it.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if what is stored there is no key to this version; it is not replaced.
    pub fn sealing_key_or_new(&mut self) -> Result<Option<SealingKey>, Error> {
        let vault = match self.placement.for_reading()? {
            Some(vault) => vault,
            // With these there are tokens before anything was stored.
            None if self
                .systemd
                .as_ref()
                .is_some_and(|systemd| systemd.clients().is_ok_and(|all| !all.is_empty())) =>
            {
                self.placement.for_writing()?
            }
            None => return Ok(None),
        };
        if let Some(key) = sealing_key::read(&vault)? {
            return Ok(Some(key));
        }
        sealing_key::create(&self.placement.for_writing()?).map(Some)
    }

    /// Removes that key: whatever was sealed with it is worth nothing from then on, copies of it too.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if what is stored there is no key to this version.
    pub fn remove_sealing_key(&mut self) -> Result<(), Error> {
        match self.placement.for_reading()? {
            Some(vault) => sealing_key::remove(&vault),
            None => Ok(()),
        }
    }
}
