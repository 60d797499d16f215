//! The credentials in one store: how they are named there, and how a new one takes the place of the old, at once or once it
//! was accepted.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aws_lc_rs::rand;
use keyring_core::{CredentialStore, Entry, Error as StoreError};
use tokenbroker_secret::Secret;

use crate::encrypted_file::{self, EncryptedFile};
use crate::envelope::{Content, Envelope, Role, Unreadable};
use crate::{Error, Standing, StoreKind, Stored, Storing, hex, standing};

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
    pub(crate) standing: Standing,
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

impl Found {
    /// Whether there is a key with this ID; for the credentials of one client.
    pub(crate) fn has_key(&self, kid: &str) -> bool {
        let is_it =
            |item: &Item| matches!(&item.envelope.content, Content::Key { kid: its, .. } if its == kid);
        self.items.iter().any(is_it)
    }

    /// The next credential of a client was accepted, and the store does not know.
    pub(crate) fn take_for_promoted(&mut self, client: &str, version: &str) {
        let of_client = |item: &&mut Item| item.client == client;
        let is_it = |item: &Item| item.version == version && item.standing == Standing::Next;
        if !self.items.iter().any(|item| item.client == client && is_it(item)) {
            return;
        }
        for item in self.items.iter_mut().filter(of_client) {
            item.standing = if is_it(item) { Standing::Current } else { Standing::Previous };
        }
    }

    /// The one that is that to its client; for the credentials of one client.
    pub(crate) fn standing(&self, standing: Standing) -> Option<&Item> {
        self.items.iter().find(|item| item.standing == standing)
    }
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
                Some(Ok(envelope)) => {
                    let standing = Standing::Previous;
                    found.items.push(Item { client, version, envelope, standing, entry });
                }
                Some(Err(unreadable)) => found.unreadable.push((user, unreadable)),
            }
        }
        found.items.sort_by(|a, b| a.client.cmp(&b.client).then(b.envelope.serial.cmp(&a.envelope.serial)));
        standing::assign(&mut found.items);
        Ok(found)
    }

    /// One credential, without looking at any other.
    pub(crate) fn get(&self, client: &str, version: &str) -> Result<Option<Envelope>, Error> {
        match read(&self.entry(client, version)?)? {
            None => Ok(None),
            Some(Ok(envelope)) => Ok(Some(envelope)),
            Some(Err(unreadable)) => {
                Err(Error::refused(format!("the credential of {client} can't be used: {unreadable}")))
            }
        }
    }

    /// Stores a credential and sees that it can be read back; only then are those deleted that it replaces: the client's
    /// others, or the next one if it is to be that. One that can't be deleted stays behind the new one and is found by
    /// [`find`](Self::find).
    pub(crate) fn put(&self, client: &str, content: Content, storing: Storing) -> Result<Item, Error> {
        let there = self.find(Some(client))?;
        let followed = there.standing(Standing::Current).filter(|_| storing.as_next);
        let (role, standing) = match followed {
            Some(current) => (Role::Succeeds(current.version.clone()), Standing::Next),
            None => (Role::Live, Standing::Current),
        };
        let (serial, version) = (next_serial(&there.items), random_version()?);
        let Storing { created, expires, as_next: _ } = storing;
        let envelope = Envelope { created, serial, expires, role, content };
        let entry = self.entry(client, &version)?;
        write_new(&entry, &envelope)?;
        let is_replaced = |old: &&Item| followed.is_none() || old.is_to_succeed(followed);
        there.items.iter().filter(is_replaced).for_each(|old| self.delete_replaced(old));
        Ok(Item { client: client.to_owned(), version, envelope, standing, entry })
    }

    /// The next credential of a client was accepted: it is the one in use from now on. A secret before it is deleted, a
    /// key is retired, since its public half may still have to be published. `false` if that is no next credential (any more).
    pub(crate) fn promote(&self, client: &str, version: &str) -> Result<bool, Error> {
        let found = self.find(Some(client))?;
        if found.standing(Standing::Next).is_none_or(|next| next.version != version) {
            return Ok(false);
        }
        for old in found.items.iter().filter(|item| item.version != version) {
            match &old.envelope.content {
                Content::Key { .. } if old.standing == Standing::Current => {
                    let retired = Envelope { role: Role::Retired, ..old.envelope.clone() };
                    old.entry.set_secret(retired.to_bytes().expose())?;
                }
                Content::Key { .. } if old.envelope.role == Role::Retired => {}
                _ => self.delete(old)?,
            }
        }
        Ok(true)
    }

    /// Deletes a key that is not in use, and says which it was. The newest that is not used any more goes first.
    pub(crate) fn retire(&self, client: &str, kid: &str) -> Result<Option<Item>, Error> {
        let mut found = self.find(Some(client))?;
        let is_meant = |item: &Item, standing| {
            item.standing == standing
                && matches!(&item.envelope.content, Content::Key { kid: its, .. } if its == kid)
        };
        let of = |standing| found.items.iter().position(|item| is_meant(item, standing));
        let Some(place) = of(Standing::Previous).or_else(|| of(Standing::Next)) else {
            return match of(Standing::Current) {
                None => Ok(None),
                Some(_) => Err(Error::refused(format!("that is the key that {client} uses")).with_hint(format!(
                    "make the next one first: tokenbroker key generate {client} --next; or, to leave the client without \
                     a credential: tokenbroker secret remove {client}"
                ))),
            };
        };
        if found.items[place].standing == Standing::Next {
            return self.withdraw(client);
        }
        let retired = found.items.swap_remove(place);
        self.delete(&retired).map(|()| Some(retired))
    }

    /// Deletes the next credential of a client, and says which it was.
    pub(crate) fn withdraw(&self, client: &str) -> Result<Option<Item>, Error> {
        let mut found = self.find(Some(client))?;
        let Some(next) = found.items.iter().position(|item| item.standing == Standing::Next) else {
            return Ok(None);
        };
        // Leftovers of earlier ones go before it: the newest would take its place.
        let current = found.standing(Standing::Current);
        let is_leftover = |item: &&Item| item.standing == Standing::Previous && item.is_to_succeed(current);
        for leftover in found.items.iter().filter(is_leftover) {
            self.delete(leftover)?;
        }
        let next = found.items.swap_remove(next);
        self.delete(&next).map(|()| Some(next))
    }

    fn delete_replaced(&self, old: &Item) {
        if let Err(error) = self.delete(old) {
            let (client, version) = (&old.client, &old.version);
            tracing::warn!(%client, %version, %error, "a replaced credential could not be removed");
        }
    }

    /// Does what [`put`](Self::put) does for many clients. In the encrypted file that is one write, of all or none of it.
    pub(crate) fn put_all(&self, credentials: BTreeMap<String, Content>, created: u64) -> Result<(), Error> {
        let Some(file) = self.file() else {
            let storing = Storing::at(created);
            let put = |(client, content): (String, _)| self.put(&client, content, storing).map(drop);
            return credentials.into_iter().try_for_each(put);
        };
        let (mut added, mut replaced) = (Vec::with_capacity(credentials.len()), Vec::new());
        for (client, content) in credentials {
            let old = self.find(Some(&client))?.items;
            let serial = next_serial(&old);
            let envelope = Envelope { created, serial, expires: None, role: Role::Live, content };
            added.push((user(&client, &random_version()?), envelope.to_bytes()));
            replaced.extend(old.iter().map(|item| user(&client, &item.version)));
        }
        file.exchange(SERVICE, added, &replaced)
    }

    pub(crate) fn kind(&self) -> StoreKind {
        self.kind
    }

    /// The bytes of all credentials, whoever can read them, by the names of their items.
    pub(crate) fn raw(&self) -> Result<BTreeMap<String, Secret>, Error> {
        let mut contents = BTreeMap::new();
        for entry in self.store.search(&HashMap::from([("service", SERVICE)]))? {
            let Some((_, user)) = entry.get_specifiers() else { continue };
            if split_user(&user).is_none() {
                continue;
            }
            match entry.get_secret() {
                Ok(bytes) => _ = contents.insert(user, Secret::new(bytes)),
                Err(StoreError::NoEntry) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(contents)
    }

    /// Writes items as they are. In the encrypted file that is one write, of all or none of them.
    pub(crate) fn put_raw(&self, items: &[(&String, &Secret)]) -> Result<(), Error> {
        if let Some(file) = self.file() {
            let added = items.iter().map(|(user, bytes)| ((*user).clone(), (*bytes).clone()));
            return file.exchange(SERVICE, added.collect(), &[]);
        }
        items.iter().try_for_each(|(user, bytes)| Ok(self.apart(user)?.set_secret(bytes.expose())?))
    }

    /// Removes an item by its name, if it is there.
    pub(crate) fn delete_raw(&self, user: &str) -> Result<(), Error> {
        match self.apart(user)?.delete_credential() {
            Err(StoreError::NoEntry) => Ok(()),
            deleted => deleted.map_err(Error::from),
        }
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
            standing: item.standing,
            kid,
            algorithm,
            created: Some(item.envelope.created),
            expires: item.envelope.expires,
        }
    }

    /// An item by its name. That of what is kept beside the credentials has no slash, so that it is never taken for one of them.
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

impl Item {
    /// Whether it was stored to take the place of this one.
    fn is_to_succeed(&self, current: Option<&Self>) -> bool {
        current.is_some_and(|current| self.envelope.role == Role::Succeeds(current.version.clone()))
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

/// Writes a new credential and sees that it can be read back.
fn write_new(entry: &Entry, envelope: &Envelope) -> Result<(), Error> {
    entry.set_secret(envelope.to_bytes().expose())?;
    match read(entry) {
        Ok(Some(Ok(kept))) if kept == *envelope => Ok(()),
        other => {
            // Best effort: it may not be there at all.
            let _ = entry.delete_credential();
            other?;
            Err(Error::unavailable("the key store did not keep what was stored; nothing was replaced"))
        }
    }
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
    Ok(hex::encode(&bytes))
}

#[cfg(test)]
mod tests;
