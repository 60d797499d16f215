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
    /// The credentials were moved since the start, by somebody who will change the configuration, too.
    has_moved: bool,
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
            has_moved: false,
            file,
            keyring,
        })
    }

    /// The store in use; `None` while that is still to be decided.
    pub(crate) fn kind(&self) -> Option<StoreKind> {
        if self.has_moved { self.remembered } else { configured(self.choice).or(self.remembered) }
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
        // What systemd passes decides nothing: it goes and comes with the unit.
        let decides = kind != StoreKind::SystemdCredentials;
        if decides && (self.remembered != Some(kind) || !self.memory.exists()) {
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
            Some(StoreKind::SystemdCredentials) => {
                "credentials are what systemd passes at start, and nothing else: they \
                                                    are as safe as the unit keeps them \
                                                    (LoadCredentialEncrypted= binds them to this host)"
                    .to_owned()
            }
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

    /// The stores to move between: where the credentials are or were, and the one that they are to be in.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if that is not what the configuration says, or nothing can be written there.
    pub(crate) fn to_move(&self, to: StoreKind) -> Result<(Result<Vault, Error>, Vault), Error> {
        if to == StoreKind::SystemdCredentials {
            return Err(Error::refused("nobody but systemd's configuration can put credentials there").with_hint(
                "encrypt each anew with systemd-creds, name it in LoadCredentialEncrypted= of the unit, restart the \
                 service, and remove the old ones: tokenbroker secret remove CLIENT",
            ));
        }
        let Some(from) = self.remembered else {
            return Err(Error::not_found("nothing is stored yet, so there is nothing to move").with_hint(
                format!("set store = \"{to}\" under [keystore], if that is where credentials are to go"),
            ));
        };
        let is_neither = |configured: &StoreKind| *configured != to && *configured != from;
        if let Some(configured) = configured(self.choice).filter(is_neither) {
            return Err(Error::refused(format!(
                "the configuration says store = \"{configured}\"; nothing was moved"
            ))
            .with_hint(format!(
                "set store = \"{to}\" (or \"auto\") under [keystore], restart the service, then move"
            )));
        }
        // Where they are already, copies may be left in the other one.
        let other = match (from == to, to) {
            (false, _) => from,
            (true, StoreKind::OsKeyring) => StoreKind::EncryptedFile,
            (true, _) => StoreKind::OsKeyring,
        };
        Ok((self.vault(other), self.vault(to)?))
    }

    /// Whether nothing can be stored, because systemd alone passes credentials.
    pub(crate) fn is_systemd_alone(&self) -> bool {
        self.choice == StoreChoice::SystemdCredentials
    }

    /// Whether the credentials are there already.
    pub(crate) fn is_at(&self, store: StoreKind) -> bool {
        self.remembered == Some(store)
    }

    /// The credentials are there from now on, whatever the configuration says until it is read again at the next start.
    pub(crate) fn moved(&mut self, to: StoreKind) -> Result<(), Error> {
        private_file::replace(&self.memory, memory_of(to).as_bytes())?;
        (self.remembered, self.has_moved) = (Some(to), true);
        Ok(())
    }

    /// What the configuration says, if that is another store than the one in use.
    pub(crate) fn contradicts(&self) -> Option<StoreKind> {
        configured(self.choice).filter(|configured| self.remembered.is_some_and(|used| used != *configured))
    }

    fn vault(&self, kind: StoreKind) -> Result<Vault, Error> {
        let store = match kind {
            StoreKind::OsKeyring => self.keyring.store()?,
            // Beside systemd's credentials, it holds what is no credential.
            StoreKind::EncryptedFile | StoreKind::SystemdCredentials => Arc::new(self.file.clone()),
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
            // It is never remembered.
            StoreKind::SystemdCredentials => None,
            StoreKind::OsKeyring => match self.keyring.store().and_then(|store| holds_credentials(&*store)) {
                Ok(holds) => holds.then(|| "it holds credentials".to_owned()),
                Err(error) => Some(format!("whether it still holds credentials can't be told: {error}")),
            },
        };
        let Some(holds) = holds else { return Ok(()) };
        let give_up = match remembered {
            StoreKind::OsKeyring => format!("delete {}", self.memory.display()),
            StoreKind::EncryptedFile | StoreKind::SystemdCredentials => {
                format!("move the file {} away", self.file.path().display())
            }
        };
        let to_move = match configured {
            StoreKind::SystemdCredentials => {
                "set that, remove the credentials (tokenbroker secret remove CLIENT), have systemd pass them instead, and \
                 change it again"
                    .to_owned()
            }
            StoreKind::OsKeyring | StoreKind::EncryptedFile => format!("tokenbroker secret move --to {configured}"),
        };
        Err(Error::WouldChange {
            message: format!("the configuration says {configured}, but {remembered} was in use, and {holds}"),
            hint: format!(
                "set store = \"{remembered}\" under [keystore] and restart; or, to move: {to_move}; or, to give up what is \
                 there, {give_up}"
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
        StoreChoice::SystemdCredentials => Some(StoreKind::SystemdCredentials),
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
