//! Moving all credentials from one store to another. The old copies go last, after every new one was read back.

use std::collections::BTreeMap;

use keyring_core::Error as StoreError;
use tokenbroker_secret::Secret;

use crate::vault::{self, Vault};
use crate::{Error, StoreKind, sealing_key};

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// From where; the same as `to` if they had been moved before.
    pub from: StoreKind,
    /// To where.
    pub to: StoreKind,
    /// How many credentials there are now.
    pub credentials: usize,
    /// Old copies that could not be removed, by their names in the old store, and why.
    pub left_behind: Vec<(String, String)>,
    /// What the configuration says, if that is another store: it has to be changed before the next start.
    pub configured: Option<StoreKind>,
}

/// All that is ours in a store, by name.
type Contents = BTreeMap<String, Secret>;

/// Copies everything and reads it back. If that fails, what was copied is removed again, and nothing was changed.
pub(crate) fn copy(from: &Vault, to: &Vault) -> Result<usize, Error> {
    let ours = contents(from)?;
    let there = contents(to)?;
    // Not even an older credential of the same client: which of the two were current could not be said.
    if let Some(name) =
        there.iter().find(|(name, bytes)| ours.get(*name) != Some(bytes)).map(|(name, _)| name)
    {
        let owner = vault::split_user(name).map_or(name.as_str(), |(client, _)| client);
        return Err(Error::refused(format!(
            "{} holds credentials already, and not the same ones (of {owner}, for example); nothing was moved",
            to.kind()
        ))
        .with_hint(remove_from(to.kind())));
    }
    let new: Vec<_> = ours.iter().filter(|(name, _)| !there.contains_key(*name)).collect();
    let copied = to.put_raw(&new).and_then(|()| verify(to, &ours));
    if let Err(error) = copied {
        for (name, _) in new {
            // Best effort: what can't be removed is the same as what stays where it was.
            let _ = to.delete_raw(name);
        }
        let hint = error.hint().map(str::to_owned);
        let failed = Error::unavailable(format!(
            "the credentials could not be copied to {}: {error}; nothing was moved, they are still in {}",
            to.kind(),
            from.kind()
        ));
        return Err(failed.with_hint(hint.unwrap_or_else(|| "try again when that works".to_owned())));
    }
    Ok(ours.keys().filter(|name| vault::split_user(name).is_some()).count())
}

/// Removes what is in the other store, too.
pub(crate) fn remove_copies(from: &Vault, to: &Vault) -> Result<Vec<(String, String)>, Error> {
    let kept = contents(to)?;
    let is_copy = |(name, bytes): &(String, Secret)| kept.get(name) == Some(bytes);
    let copies = contents(from)?.into_iter().filter(is_copy).map(|(name, _)| name);
    let removed = copies.map(|name| (from.delete_raw(&name), name));
    Ok(removed.filter_map(|(outcome, name)| outcome.err().map(|error| (name, error.to_string()))).collect())
}

fn verify(to: &Vault, expected: &Contents) -> Result<(), Error> {
    let kept = contents(to)?;
    match expected.iter().find(|(name, bytes)| kept.get(*name) != Some(bytes)) {
        None => Ok(()),
        Some((name, _)) => Err(Error::unavailable(format!("{name} can't be read back as it was written"))),
    }
}

fn contents(vault: &Vault) -> Result<Contents, Error> {
    let mut contents = vault.raw()?;
    // Looked up by name: not every store lists it with the credentials.
    match vault.apart(sealing_key::NAME)?.get_secret() {
        Ok(key) => _ = contents.insert(sealing_key::NAME.to_owned(), Secret::new(key)),
        Err(StoreError::NoEntry) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(contents)
}

fn remove_from(store: StoreKind) -> String {
    match store {
        StoreKind::OsKeyring => {
            "remove them with the tool of the keyring (secret-tool clear service tokenbroker), then move again"
        }
        StoreKind::EncryptedFile | StoreKind::SystemdCredentials => {
            "move the file `keystore` in the state directory away, then move again"
        }
    }
    .to_owned()
}
