//! Which store holds the credentials, and the memory of that.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use keyring_core::{CredentialStore, Entry};

use crate::encrypted_file::EncryptedFile;
use crate::private_file::{self, Readers};
use crate::vault::{self, Vault};
use crate::{Error, Options, StoreChoice, StoreKind};

/// A store that may not be there at the moment.
pub(crate) trait Backend: std::fmt::Debug + Send + Sync {
    /// The store, if it can be used now without asking anybody anything.
    fn store(&self) -> Result<Arc<CredentialStore>, Error>;
}

/// The configured store and the one that was used last time.
#[derive(Debug)]
pub(crate) struct Placement {
    choice: StoreChoice,
    prefer_keyring: bool,
    memory: PathBuf,
    remembered: Option<StoreKind>,
    file: EncryptedFile,
    keyring: Box<dyn Backend>,
}

impl Placement {
    pub(crate) fn open(options: &Options, keyring: Box<dyn Backend>) -> Result<Self, Error> {
        let state = &options.state_dir;
        let key_file = options.key_file.clone().unwrap_or_else(|| state.join("keystore.key"));
        let file =
            EncryptedFile::new(state.join("keystore"), options.credentials_directory.as_deref(), key_file);
        file.check()?;
        let memory = state.join("keystore.choice");
        let mut remembered = recall(&memory)?;
        if remembered.is_none() && file.holds_credentials()? {
            remembered = Some(StoreKind::EncryptedFile);
        }
        Ok(Self {
            choice: options.choice,
            prefer_keyring: options.prefer_keyring,
            memory,
            remembered,
            file,
            keyring,
        })
    }

    /// The store in use; `None` while that is still to be decided.
    pub(crate) fn kind(&self) -> Option<StoreKind> {
        configured(self.choice).or(self.remembered)
    }

    /// The store to read from; `None` if nothing can have been stored yet.
    pub(crate) fn for_reading(&self) -> Result<Option<Vault>, Error> {
        match self.kind() {
            None => Ok(None),
            Some(kind) => {
                self.refuse_to_change(kind)?;
                self.vault(kind).map(Some)
            }
        }
    }

    /// The store to write to, decided now if it was not before. It is remembered before anything is stored,
    /// so that nothing can be stored and forgotten.
    pub(crate) fn for_writing(&mut self) -> Result<Vault, Error> {
        let (kind, vault) = match self.kind() {
            Some(kind) => {
                self.refuse_to_change(kind)?;
                (kind, self.vault(kind)?)
            }
            None => self.decide()?,
        };
        if self.remembered != Some(kind) || !self.memory.exists() {
            private_file::replace(&self.memory, memory_of(kind).as_bytes())?;
            self.remembered = Some(kind);
        }
        Ok(vault)
    }

    pub(crate) fn note(&self) -> String {
        let Some((used, configured)) = self.remembered.zip(configured(self.choice)) else {
            return self.note_about(self.kind());
        };
        let note = self.note_about(Some(used));
        // Nothing was written to the configured store yet: that would have been remembered.
        if used == configured { note } else { format!("{note}; the configuration says {configured} now") }
    }

    fn note_about(&self, kind: Option<StoreKind>) -> String {
        match kind {
            None => "nothing is stored yet; the first credential decides where (store = \"auto\")".to_owned(),
            Some(StoreKind::EncryptedFile) => self.file.note(),
            Some(StoreKind::OsKeyring) => "credentials rest in the OS keyring: while it is \
                                           locked its password protects them; while it is \
                                           unlocked any program of the same user can read them"
                .to_owned(),
        }
    }

    fn decide(&self) -> Result<(StoreKind, Vault), Error> {
        if self.prefer_keyring {
            match self.vault(StoreKind::OsKeyring) {
                Ok(vault) => return Ok((StoreKind::OsKeyring, vault)),
                Err(error) => {
                    tracing::warn!(%error, "no OS keyring: credentials go to the encrypted file");
                }
            }
        }
        Ok((StoreKind::EncryptedFile, self.vault(StoreKind::EncryptedFile)?))
    }

    fn vault(&self, kind: StoreKind) -> Result<Vault, Error> {
        let store = match kind {
            StoreKind::OsKeyring => self.keyring.store()?,
            StoreKind::EncryptedFile => Arc::new(self.file.clone()),
        };
        Ok(Vault::new(kind, store))
    }

    /// Whoever edits the configuration would otherwise find the clients without credentials.
    fn refuse_to_change(&self, configured: StoreKind) -> Result<(), Error> {
        let Some(remembered) = self.remembered.filter(|remembered| *remembered != configured) else {
            return Ok(());
        };
        let holds = match remembered {
            StoreKind::EncryptedFile => {
                self.file.holds_credentials()?.then(|| "it holds credentials".to_owned())
            }
            StoreKind::OsKeyring => match self.keyring.store().and_then(|store| holds_credentials(&*store)) {
                Ok(holds) => holds.then(|| "it holds credentials".to_owned()),
                Err(error) => Some(format!("whether it still holds credentials can't be told: {error}")),
            },
        };
        let Some(holds) = holds else { return Ok(()) };
        let give_up = match remembered {
            StoreKind::EncryptedFile => format!("move the file {} away", self.file.path().display()),
            StoreKind::OsKeyring => format!("delete {}", self.memory.display()),
        };
        Err(Error::WouldChange {
            message: format!("the configuration says {configured}, but {remembered} was in use, and {holds}"),
            hint: format!(
                "set store = \"{remembered}\" under [keystore] and restart; or, to move: do that, remove the \
                 credentials (tokenbroker secret remove CLIENT), set store = \"{configured}\" again and set \
                 them anew; or, to give up what is there, {give_up}"
            ),
        })
    }
}

fn holds_credentials(store: &CredentialStore) -> Result<bool, Error> {
    let found = store.search(&HashMap::from([("service", vault::SERVICE)]))?;
    let users = found.iter().filter_map(Entry::get_specifiers);
    Ok(users.into_iter().any(|(_, user)| vault::split_user(&user).is_some()))
}

fn configured(choice: StoreChoice) -> Option<StoreKind> {
    match choice {
        StoreChoice::Auto => None,
        StoreChoice::OsKeyring => Some(StoreKind::OsKeyring),
        StoreChoice::EncryptedFile => Some(StoreKind::EncryptedFile),
    }
}

fn memory_of(kind: StoreKind) -> String {
    format!("tokenbroker key store 1\n{kind}\n")
}

fn recall(memory: &std::path::Path) -> Result<Option<StoreKind>, Error> {
    let Some((content, _)) = private_file::read(memory, Readers::Owner)? else { return Ok(None) };
    let known = [StoreKind::OsKeyring, StoreKind::EncryptedFile]
        .into_iter()
        .find(|kind| content.expose() == memory_of(*kind).as_bytes());
    match known {
        Some(kind) => Ok(Some(kind)),
        None => Err(Error::refused(format!(
            "{} was written by a newer tokenbroker, or is damaged; it is left as it is",
            memory.display()
        ))
        .with_hint(
            "run the newer version again, or remove the file: the store in the configuration then counts",
        )),
    }
}

#[cfg(test)]
mod tests;
