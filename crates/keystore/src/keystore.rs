//! What can be done with a client's credentials, whatever store they rest in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use tokenbroker_secret::{Secret, SecretString};

use crate::envelope::{Content, Unreadable};
use crate::key::{self, PrivateKey};
use crate::os_keyring::OsKeyring;
use crate::placement::{Backend, Placement};
use crate::sealing_key::{self, SealingKey};
use crate::vault::{self, Found, Item, Vault};
use crate::{Algorithm, Current, Error, MacAlgorithm, PublicKey, StoreKind, Stored};

/// Longer than any server's; it leaves room for the envelope within what Windows takes (2,560 bytes).
const MAX_SECRET: usize = 2048;

/// Which store the configuration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StoreChoice {
    /// Decided at the first write, remembered in the state directory, and never changed by itself.
    #[default]
    Auto,
    /// The keyring of the operating system.
    OsKeyring,
    /// The encrypted file in the state directory.
    EncryptedFile,
}

/// Where credentials rest, and where the things around them are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// The configured store.
    pub choice: StoreChoice,
    /// Whether [`StoreChoice::Auto`] tries the keyring first: a user's daemon does; a system service has no
    /// session bus.
    pub prefer_keyring: bool,
    /// An existing directory of the daemon's own, in which nothing else writes while this is open.
    pub state_dir: PathBuf,
    /// The key of the encrypted file; by default `keystore.key` in the state directory.
    pub key_file: Option<PathBuf>,
    /// What systemd passes as `CREDENTIALS_DIRECTORY`: a `keystore.key` in it comes before any key file.
    pub credentials_directory: Option<PathBuf>,
}

/// The credentials of all clients.
///
/// Every method but [`open`](Self::open), [`kind`](Self::kind) and [`notes`](Self::notes) can take as long as
/// a keyring that hangs, and fails with [`Error::Unavailable`] while the store can't be reached, with
/// [`Error::WouldChange`] if another store than the configured one holds the credentials, and with
/// [`Error::KeyLost`] if the encrypted file can't be decrypted.
#[derive(Debug)]
pub struct KeyStore {
    placement: Placement,
    /// Stored items that are no credentials to this version, by their names.
    unreadable: Mutex<BTreeMap<String, Unreadable>>,
}

impl KeyStore {
    /// Looks at the files that are there. Touches nothing that can hang.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if a file of the key store can be read by others, with the command that remedies
    /// it, or was written by a newer version; [`Error::Unavailable`] if one can't be read.
    pub fn open(options: Options) -> Result<Self, Error> {
        Self::with_keyring(&options, Box::new(OsKeyring::default()))
    }

    fn with_keyring(options: &Options, keyring: Box<dyn Backend>) -> Result<Self, Error> {
        Ok(Self { placement: Placement::open(options, keyring)?, unreadable: Mutex::default() })
    }

    /// Where credentials rest; `None` until [`StoreChoice::Auto`] has decided.
    pub fn kind(&self) -> Option<StoreKind> {
        self.placement.kind()
    }

    /// What an operator should know: what the store protects against, and what in it can't be read.
    pub fn notes(&self) -> Vec<String> {
        let unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        let left_alone =
            unreadable.iter().map(|(name, why)| format!("the stored item {name} is left alone: {why}"));
        std::iter::once(self.placement.note()).chain(left_alone).collect()
    }

    /// Stores a client secret, then removes the credentials it replaces. Answers with what is stored now, the
    /// newest first.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for a secret that is empty, over 2,048 bytes, a private key, or has control
    /// characters.
    pub fn set_secret(
        &mut self,
        client: &str,
        secret: &SecretString,
        now_unix: u64,
    ) -> Result<Vec<Stored>, Error> {
        check_client(client)?;
        check_secret(secret)?;
        let vault = self.placement.for_writing()?;
        vault.put(client, Content::Secret(secret.clone()), now_unix)?;
        self.describe(&vault, Some(client))
    }

    /// Stores the secrets of many clients, as [`set_secret`](Self::set_secret) does one by one. In the encrypted file this is
    /// one write, of all or none of them, where each change takes longer the more there is in it.
    ///
    /// # Errors
    ///
    /// As [`set_secret`](Self::set_secret), and then nothing was stored, unless it was a keyring that failed.
    pub fn set_secrets(
        &mut self,
        secrets: BTreeMap<String, SecretString>,
        now_unix: u64,
    ) -> Result<(), Error> {
        for (client, secret) in &secrets {
            check_client(client)?;
            check_secret(secret)?;
        }
        let contents = secrets.into_iter().map(|(client, secret)| (client, Content::Secret(secret)));
        self.placement.for_writing()?.put_all(contents.collect(), now_unix)
    }

    /// Generates a key pair, then removes the credentials it replaces. `bits` is for RSA: 2048, 3072 (the
    /// default) or 4096. The key ID is the thumbprint (RFC 7638) unless `kid` names another.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for a length that is not offered and for what is no key ID.
    pub fn generate_key(
        &mut self,
        client: &str,
        algorithm: Algorithm,
        bits: Option<u32>,
        kid: Option<&str>,
        now_unix: u64,
    ) -> Result<PublicKey, Error> {
        check_client(client)?;
        kid.map_or(Ok(()), key::check_key_id)?;
        // Generating takes long: not for a store that would not take the key.
        self.placement.for_reading()?;
        let key = PrivateKey::generate(algorithm, bits)?;
        let vault = self.placement.for_writing()?;
        put_key(&vault, client, algorithm, &key, kid, now_unix)
    }

    /// Stores a private key (unencrypted PKCS#8 in PEM, or PKCS#1 for RSA), then removes the credentials it
    /// replaces.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for anything else, and for keys that are not the algorithm's, too short or too
    /// long, in words of its own for each, with the command that converts it if there is one.
    pub fn import_key(
        &mut self,
        client: &str,
        algorithm: Algorithm,
        pem: &Secret,
        kid: Option<&str>,
        now_unix: u64,
    ) -> Result<PublicKey, Error> {
        check_client(client)?;
        kid.map_or(Ok(()), key::check_key_id)?;
        let key = PrivateKey::import(algorithm, pem)?;
        let vault = self.placement.for_writing()?;
        put_key(&vault, client, algorithm, &key, kid, now_unix)
    }

    /// The newest credential of a client.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if there is one that only a newer version can read.
    pub fn current(&self, client: &str) -> Result<Option<Current>, Error> {
        let Some(vault) = self.placement.for_reading()? else { return Ok(None) };
        let found = self.find(&vault, Some(client))?;
        let Some(item) = found.items.into_iter().next() else {
            return found.unreadable.first().map_or(Ok(None), |(_, why)| Err(unusable(client, *why)));
        };
        let version = item.version;
        Ok(Some(match item.envelope.content {
            Content::Secret(secret) => Current::Secret { version, secret },
            Content::Key { kid, algorithm, .. } => Current::Key { version, kid, algorithm },
        }))
    }

    /// What is stored for one client or for all, by client, the newest first.
    pub fn list(&self, client: Option<&str>) -> Result<Vec<Stored>, Error> {
        match self.placement.for_reading()? {
            Some(vault) => self.describe(&vault, client),
            None => Ok(Vec::new()),
        }
    }

    /// Removes all credentials of a client, and says which.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there are none.
    pub fn remove(&mut self, client: &str) -> Result<Vec<Stored>, Error> {
        let nothing = || {
            Error::not_found(format!("no credential is stored for {client}"))
                .with_hint("see what is stored: tokenbroker secret list")
        };
        let vault = self.placement.for_reading()?.ok_or_else(nothing)?;
        let found = self.find(&vault, Some(client))?;
        if found.items.is_empty() {
            return Err(found.unreadable.first().map_or_else(nothing, |(_, why)| unusable(client, *why)));
        }
        // The newest last: if this stops half-way, an old credential does not become the current one.
        for item in found.items.iter().rev() {
            vault.delete(item)?;
        }
        Ok(found.items.iter().map(|item| vault.describe(item)).collect())
    }

    /// The public halves of a client's keys, the newest first.
    pub fn public_keys(&self, client: &str) -> Result<Vec<PublicKey>, Error> {
        let Some(vault) = self.placement.for_reading()? else { return Ok(Vec::new()) };
        let found = self.find(&vault, Some(client))?;
        found.items.iter().filter_map(|item| public_key(item).transpose()).collect()
    }

    /// Removes one key.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if the client has no key with this ID.
    pub fn retire(&mut self, client: &str, kid: &str) -> Result<Stored, Error> {
        let nothing = || {
            Error::not_found(format!("{client} has no key with that key ID"))
                .with_hint(format!("see which it has: tokenbroker key list {client}"))
        };
        let vault = self.placement.for_reading()?.ok_or_else(nothing)?;
        let found = self.find(&vault, Some(client))?;
        let has_kid =
            |item: &&Item| matches!(&item.envelope.content, Content::Key { kid: its, .. } if its == kid);
        let mut retired = None;
        for item in found.items.iter().filter(has_kid) {
            vault.delete(item)?;
            retired.get_or_insert_with(|| vault.describe(item));
        }
        retired.ok_or_else(nothing)
    }

    /// Signs in the form of a JWS signature (RFC 7515): for ECDSA that is r then s, of 32, 48 or 66 bytes each.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if that credential is gone, [`Error::Refused`] if it is no key for the algorithm.
    pub fn sign(
        &self,
        client: &str,
        version: &str,
        algorithm: Algorithm,
        input: &[u8],
    ) -> Result<Vec<u8>, Error> {
        match self.content(client, version, "key")? {
            Content::Key { algorithm: its, pkcs8, .. } if its == algorithm => {
                PrivateKey::from_pkcs8(algorithm, &pkcs8)?.sign(input)
            }
            Content::Key { algorithm: its, .. } => Err(Error::refused(format!(
                "the key of {client} is for {its}, and {algorithm} is asked for"
            ))
            .with_hint(format!(
                "set assertion_alg = \"{its}\", or make another key: tokenbroker key generate {client} --alg \
                         {algorithm}"
            ))),
            Content::Secret(_) => {
                Err(Error::refused(format!("{client} has a secret, and a key is asked for"))
                    .with_hint(format!("make one: tokenbroker key generate {client}")))
            }
        }
    }

    /// Authenticates `input` with a client's secret (RFC 7518 section 3.2).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if that credential is gone, [`Error::Refused`] if it is no secret.
    pub fn authenticate(
        &self,
        client: &str,
        version: &str,
        algorithm: MacAlgorithm,
        input: &[u8],
    ) -> Result<Vec<u8>, Error> {
        match self.content(client, version, "secret")? {
            Content::Secret(secret) => Ok(algorithm.tag(secret.expose().as_ref(), input)),
            Content::Key { .. } => {
                Err(Error::refused(format!("{client} has a key, and a secret is asked for"))
                    .with_hint(format!("set one: tokenbroker secret set {client}")))
            }
        }
    }

    /// What a credential holds that is in use, and called like this.
    fn content(&self, client: &str, version: &str, called: &str) -> Result<Content, Error> {
        let gone = || Error::not_found(format!("the {called} of {client} is no longer in the key store"));
        let vault = self.placement.for_reading()?.ok_or_else(gone)?;
        Ok(vault.get(client, version)?.ok_or_else(gone)?.envelope.content)
    }

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

    /// The same, made if there is none yet. `None` until [`StoreChoice::Auto`] has decided: that is for the first
    /// credential to do, and there are no tokens before it.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if what is stored there is no key to this version; it is not replaced.
    pub fn sealing_key_or_new(&mut self) -> Result<Option<SealingKey>, Error> {
        let Some(vault) = self.placement.for_reading()? else { return Ok(None) };
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

    fn describe(&self, vault: &Vault, client: Option<&str>) -> Result<Vec<Stored>, Error> {
        Ok(self.find(vault, client)?.items.iter().map(|item| vault.describe(item)).collect())
    }

    /// What is there, taking note of what can't be read.
    fn find(&self, vault: &Vault, client: Option<&str>) -> Result<Found, Error> {
        let found = vault.find(client)?;
        let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        let looked_at = |name: &str| {
            client.is_none_or(|client| vault::split_user(name).is_some_and(|(owner, _)| owner == client))
        };
        unreadable.retain(|name, _| !looked_at(name));
        unreadable.extend(found.unreadable.iter().cloned());
        Ok(found)
    }
}

fn put_key(
    vault: &Vault,
    client: &str,
    algorithm: Algorithm,
    key: &PrivateKey,
    kid: Option<&str>,
    created: u64,
) -> Result<PublicKey, Error> {
    let public = key.public()?;
    let kid = key::key_id(kid, &public)?;
    let content = Content::Key { kid: kid.clone(), algorithm, pkcs8: key.to_pkcs8()? };
    let item = vault.put(client, content, created)?;
    let jwk = public.jwk(algorithm, &kid);
    Ok(PublicKey { version: item.version, kid, algorithm, pem: public.pem(), jwk })
}

/// `None` for what is no key.
fn public_key(item: &Item) -> Result<Option<PublicKey>, Error> {
    let Content::Key { kid, algorithm, pkcs8 } = &item.envelope.content else { return Ok(None) };
    let public = PrivateKey::from_pkcs8(*algorithm, pkcs8)?.public()?;
    Ok(Some(PublicKey {
        version: item.version.clone(),
        kid: kid.clone(),
        algorithm: *algorithm,
        pem: public.pem(),
        jwk: public.jwk(*algorithm, kid),
    }))
}

fn unusable(client: &str, why: Unreadable) -> Error {
    Error::refused(format!("the credential of {client} can't be used: {why}; it is left as it is"))
        .with_hint("run the version that wrote it, or set the credential again")
}

/// The configuration has its own, narrower rule; this one is what the naming of items needs.
fn check_client(client: &str) -> Result<(), Error> {
    if !client.is_empty() && !client.contains(|character: char| character == '/' || character.is_control()) {
        return Ok(());
    }
    Err(Error::refused("that is no client name")
        .with_hint("client names have no slashes and no control characters"))
}

fn check_secret(secret: &SecretString) -> Result<(), Error> {
    let text = secret.expose();
    if text.is_empty() {
        return Err(
            Error::refused("the secret is empty").with_hint("nothing was changed; give the client secret")
        );
    }
    if text.contains("-----BEGIN ") {
        return Err(Error::refused("that is a key or a certificate in PEM, not a client secret")
            .with_hint("a private key goes to: tokenbroker key import CLIENT"));
    }
    if text.contains(char::is_control) {
        return Err(Error::refused("the secret has a line break or another control character in it")
            .with_hint("a client secret is one line; see what was pasted or piped in"));
    }
    if text.len() > MAX_SECRET {
        return Err(Error::refused(format!("the secret is longer than {MAX_SECRET} bytes"))
            .with_hint("see what was pasted or piped in"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
