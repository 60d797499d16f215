//! The credentials in one store: how they are named there, and how a new one takes the place of the old.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::rand;
use keyring_core::{CredentialStore, Entry, Error as StoreError};
use tokenbroker_secret::Secret;

use crate::encrypted_file::{self, EncryptedFile};
use crate::envelope::{Content, Envelope, Unreadable};
use crate::{Error, StoreKind, Stored};

/// What the items are filed under.
pub(crate) const SERVICE: &str = "tokenbroker";

/// A store that is there and answers.
#[derive(Clone)]
pub(crate) struct Vault {
    kind: StoreKind,
    store: Arc<CredentialStore>,
}

/// A credential in it.
pub(crate) struct Item {
    pub(crate) client: String,
    pub(crate) version: String,
    pub(crate) envelope: Envelope,
    entry: Entry,
}

/// What was found.
#[derive(Default)]
pub(crate) struct Found {
    /// By client, the newest first.
    pub(crate) items: Vec<Item>,
    /// Users of what is no credential to us: it stays where it is.
    pub(crate) unreadable: Vec<(String, Unreadable)>,
}

impl Vault {
    pub(crate) fn new(kind: StoreKind, store: Arc<CredentialStore>) -> Self {
        Self { kind, store }
    }

    /// The credentials of one client, or of all.
    pub(crate) fn find(&self, client: Option<&str>) -> Result<Found, Error> {
        let mut found = Found::default();
        let mut searched_for = HashMap::from([("service", SERVICE)]);
        if let (Some(client), Some(_)) = (client, self.file()) {
            // Clients by the thousand are looked up one after the other. A keyring has no such attribute.
            searched_for.insert(encrypted_file::CLIENT, client);
        }
        for entry in self.store.search(&searched_for)? {
            let Some((_, user)) = entry.get_specifiers() else { continue };
            let Some((owner, version)) = split_user(&user) else { continue };
            if client.is_some_and(|client| client != owner) {
                continue;
            }
            let (client, version) = (owner.to_owned(), version.to_owned());
            match read(&entry)? {
                None => {}
                Some(Ok(envelope)) => found.items.push(Item { client, version, envelope, entry }),
                Some(Err(unreadable)) => found.unreadable.push((user, unreadable)),
            }
        }
        found.items.sort_by(|a, b| a.client.cmp(&b.client).then(b.envelope.serial.cmp(&a.envelope.serial)));
        Ok(found)
    }

    /// One credential, without looking at any other.
    pub(crate) fn get(&self, client: &str, version: &str) -> Result<Option<Item>, Error> {
        let entry = self.entry(client, version)?;
        match read(&entry)? {
            None => Ok(None),
            Some(Ok(envelope)) => {
                Ok(Some(Item { client: client.to_owned(), version: version.to_owned(), envelope, entry }))
            }
            Some(Err(unreadable)) => {
                Err(Error::refused(format!("the credential of {client} can't be used: {unreadable}")))
            }
        }
    }

    /// Stores a credential and sees that it can be read back; only then are the client's others deleted.
    /// One that can't be deleted stays behind the new one and is found by [`find`](Self::find).
    pub(crate) fn put(&self, client: &str, content: Content, created: u64) -> Result<Item, Error> {
        let replaced = self.find(Some(client))?.items;
        let envelope = Envelope { created, serial: next_serial(&replaced), content };
        let version = random_version()?;
        let entry = self.entry(client, &version)?;
        entry.set_secret(envelope.to_bytes().expose())?;
        match read(&entry) {
            Ok(Some(Ok(kept))) if kept == envelope => {}
            other => {
                // Best effort: it may not be there at all.
                let _ = entry.delete_credential();
                other?;
                return Err(Error::unavailable(
                    "the key store did not keep what was stored; nothing was replaced",
                ));
            }
        }
        for old in replaced {
            if let Err(error) = self.delete(&old) {
                let (client, version) = (&old.client, &old.version);
                tracing::warn!(%client, %version, %error, "a replaced credential could not be removed");
            }
        }
        Ok(Item { client: client.to_owned(), version, envelope, entry })
    }

    /// Does what [`put`](Self::put) does for many clients. In the encrypted file that is one write, of all or none of it.
    pub(crate) fn put_all(&self, credentials: BTreeMap<String, Content>, created: u64) -> Result<(), Error> {
        let Some(file) = self.file() else {
            let put = |(client, content): (String, _)| self.put(&client, content, created).map(drop);
            return credentials.into_iter().try_for_each(put);
        };
        let (mut added, mut replaced) = (Vec::with_capacity(credentials.len()), Vec::new());
        for (client, content) in credentials {
            let old = self.find(Some(&client))?.items;
            let envelope = Envelope { created, serial: next_serial(&old), content };
            added.push((user(&client, &random_version()?), envelope.to_bytes()));
            replaced.extend(old.iter().map(|item| user(&client, &item.version)));
        }
        file.exchange(SERVICE, added, &replaced)
    }

    pub(crate) fn delete(&self, item: &Item) -> Result<(), Error> {
        match item.entry.delete_credential() {
            Err(StoreError::NoEntry) => Ok(()),
            deleted => deleted.map_err(Error::from),
        }
    }

    pub(crate) fn describe(&self, item: &Item) -> Stored {
        let (kid, algorithm) = match &item.envelope.content {
            Content::Secret(_) => (None, None),
            Content::Key { kid, algorithm, .. } => (Some(kid.clone()), Some(*algorithm)),
        };
        Stored {
            client: item.client.clone(),
            version: item.version.clone(),
            store: self.kind,
            kind: item.envelope.content.kind(),
            kid,
            algorithm,
            created: item.envelope.created,
        }
    }

    /// What is kept beside the credentials. Its name has no slash, so that it is never taken for one of them.
    pub(crate) fn apart(&self, name: &str) -> Result<Entry, Error> {
        Ok(self.store.build(SERVICE, name, None)?)
    }

    fn entry(&self, client: &str, version: &str) -> Result<Entry, Error> {
        Ok(self.store.build(SERVICE, &user(client, version), None)?)
    }

    /// The store, if it is the encrypted file.
    fn file(&self) -> Option<&EncryptedFile> {
        self.store.as_any().downcast_ref()
    }
}

/// The name of a credential's item.
fn user(client: &str, version: &str) -> String {
    format!("{client}/{version}")
}

/// Client and version in the name of an item; `None` if that is no credential's.
pub(crate) fn split_user(user: &str) -> Option<(&str, &str)> {
    user.rsplit_once('/')
}

/// That of the credential that takes the place of these, the newest of which is the first.
fn next_serial(replaced: &[Item]) -> u64 {
    replaced.first().map_or(1, |newest| newest.envelope.serial.saturating_add(1))
}

/// `None` if there is nothing, because somebody removed it since.
fn read(entry: &Entry) -> Result<Option<Result<Envelope, Unreadable>>, Error> {
    match entry.get_secret() {
        Ok(bytes) => Ok(Some(Envelope::parse(&Secret::new(bytes)))),
        Err(StoreError::NoEntry) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn random_version() -> Result<String, Error> {
    let mut bytes = [0; 8];
    rand::fill(&mut bytes).map_err(|_| Error::unavailable("the system gives no random numbers"))?;
    Ok(bytes.iter().fold(String::new(), |mut version, byte| {
        let _ = write!(version, "{byte:02x}");
        version
    }))
}

#[cfg(test)]
mod tests;
