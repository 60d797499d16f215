//! What can be done with a client's credentials, whatever store they rest in.

mod sealing;
mod signing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokenbroker_secret::{Secret, SecretString};

use crate::envelope::{Content, Unreadable};
use crate::key::{self, PrivateKey};
use crate::os_keyring::OsKeyring;
use crate::placement::{Backend, Placement};
use crate::relocation::{self, Moved};
use crate::systemd::{self, Passed, PassedContent, SystemdCredentials};
use crate::vault::{self, Found, Item, Vault};
use crate::{
    Algorithm, CredentialKind, Current, Error, Live, PublicKey, Standing, StoreKind, Stored, Storing, Usable,
};

/// Longer than any server's; it leaves room for the envelope within what Windows takes (2,560 bytes).
const MAX_SECRET: usize = 2048;

/// Which store the configuration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StoreChoice {
    /// What systemd passes; for the rest it is decided at the first write, remembered in the state directory, and never
    /// changed by itself.
    #[default]
    Auto,
    /// The keyring of the operating system.
    OsKeyring,
    /// What systemd passes, and nothing else: nothing can be stored.
    SystemdCredentials,
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
    /// What systemd passes as `CREDENTIALS_DIRECTORY`: a `keystore.key` in it comes before any key file, and
    /// `client_NAME.secret` and `client_NAME.key` are credentials.
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
    /// Those that are used come before those that are stored.
    systemd: Option<SystemdCredentials>,
    /// The next credentials that were accepted while the store could not take that down, by client.
    accepted: Accepted,
    /// Stored items that are no credentials to this version, by their names.
    unreadable: Mutex<BTreeMap<String, Unreadable>>,
}

/// The next credentials that were accepted, as long as the store does not know. What is noted is completed before anything else
/// happens to a client's credentials.
#[derive(Debug, Clone, Default)]
pub struct Accepted(Arc<Mutex<BTreeMap<String, String>>>);

impl Accepted {
    /// Notes the version of a client's next credential.
    pub fn note(&self, client: &str, version: &str) {
        self.lock().insert(client.to_owned(), version.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        let placement = Placement::open(options, keyring)?;
        let systemd = match (options.choice, options.credentials_directory.as_deref()) {
            (StoreChoice::Auto | StoreChoice::SystemdCredentials, Some(directory)) => {
                Some(SystemdCredentials::open(directory, &options.state_dir)?)
            }
            (StoreChoice::SystemdCredentials, None) => {
                return Err(Error::refused(
                    "store = \"systemd-credentials\", but systemd passes no credentials to this service",
                )
                .with_hint(
                    "name them in the unit (systemctl edit tokenbrokerd): \
                     LoadCredentialEncrypted=client_NAME.secret:/etc/credstore.encrypted/client_NAME.secret",
                ));
            }
            _ => None,
        };
        Ok(Self { placement, systemd, accepted: Accepted::default(), unreadable: Mutex::default() })
    }

    /// For whoever learns that a next credential was accepted, and has to have the store told by somebody else.
    pub fn accepted(&self) -> Accepted {
        self.accepted.clone()
    }

    /// Where credentials are stored; `None` until [`StoreChoice::Auto`] has decided.
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
    /// characters, and for clients whose credential systemd passes.
    pub fn set_secret(
        &mut self,
        client: &str,
        secret: &SecretString,
        storing: Storing,
    ) -> Result<Vec<Stored>, Error> {
        check_client(client)?;
        check_secret(secret)?;
        let vault = self.for_writing(client, CredentialKind::Secret)?;
        vault.put(client, Content::Secret(secret.clone()), storing)?;
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
            self.refuse_what_systemd_passes(client, CredentialKind::Secret)?;
        }
        let contents = secrets.into_iter().map(|(client, secret)| (client, Content::Secret(secret)));
        self.placement.for_writing()?.put_all(contents.collect(), now_unix)
    }

    /// Generates a key pair, then removes the credentials it replaces. `bits` is for RSA: 2048, 3072 (the
    /// default) or 4096. The key ID is the thumbprint (RFC 7638) unless `kid` names another.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for a length that is not offered, for what is no key ID, and for clients whose credential systemd
    /// passes.
    pub fn generate_key(
        &mut self,
        client: &str,
        algorithm: Algorithm,
        bits: Option<u32>,
        kid: Option<&str>,
        storing: Storing,
    ) -> Result<PublicKey, Error> {
        check_client(client)?;
        kid.map_or(Ok(()), key::check_key_id)?;
        // Generating takes long: not for a store that would not take the key.
        self.refuse_what_systemd_passes(client, CredentialKind::PrivateKey)?;
        self.placement.for_reading()?;
        let key = PrivateKey::generate(algorithm, bits)?;
        let vault = self.for_writing(client, CredentialKind::PrivateKey)?;
        put_key(&vault, client, algorithm, &key, kid, storing)
    }

    /// Stores a private key (unencrypted PKCS#8 in PEM, or PKCS#1 for RSA), then removes the credentials it
    /// replaces. Without an algorithm the key is for the one that is most usual for its kind.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for anything else, and for keys that are not the algorithm's, too short or too
    /// long, in words of its own for each, with the command that converts it if there is one; and for clients whose
    /// credential systemd passes.
    pub fn import_key(
        &mut self,
        client: &str,
        algorithm: Option<Algorithm>,
        pem: &Secret,
        kid: Option<&str>,
        storing: Storing,
    ) -> Result<PublicKey, Error> {
        check_client(client)?;
        kid.map_or(Ok(()), key::check_key_id)?;
        let key = match algorithm {
            Some(algorithm) => PrivateKey::import(algorithm, pem)?,
            None => PrivateKey::import_any(pem)?,
        };
        let vault = self.for_writing(client, CredentialKind::PrivateKey)?;
        put_key(&vault, client, key.algorithm(), &key, kid, storing)
    }

    /// What a client can authenticate with: the credential in use, and the next one if there is that.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if there is one that only a newer version can read, and if systemd passes two.
    pub fn live(&self, client: &str) -> Result<Option<Live>, Error> {
        if let Some(passed) = self.passed(client)? {
            return Ok(Some(Live { current: passed.into_usable()?, next: None }));
        }
        let Some(vault) = self.placement.for_reading()? else { return Ok(None) };
        let found = self.find(&vault, Some(client))?;
        let (mut current, mut next) = (None, None);
        for item in found.items {
            match item.standing {
                Standing::Current => current = Some(item),
                Standing::Next => next = Some(item),
                Standing::Previous => {}
            }
        }
        match current {
            Some(current) => {
                let usable = |item| usable(&vault, item);
                Ok(Some(Live { current: usable(current), next: next.map(usable) }))
            }
            None => found.unreadable.first().map_or(Ok(None), |(_, why)| Err(unusable(client, *why))),
        }
    }

    /// The credential that a client uses.
    ///
    /// # Errors
    ///
    /// As [`live`](Self::live).
    pub fn current(&self, client: &str) -> Result<Option<Current>, Error> {
        Ok(self.live(client)?.map(|live| live.current.credential))
    }

    /// What is stored or passed for one client or for all, by client, the newest first. Of all, what systemd passes is there
    /// even if it can't be used, with the version `unusable`.
    ///
    /// # Errors
    ///
    /// As [`live`](Self::live).
    pub fn list(&self, client: Option<&str>) -> Result<Vec<Stored>, Error> {
        let mut stored = match self.placement.for_reading()? {
            Some(vault) => self.describe(&vault, client)?,
            None => Vec::new(),
        };
        let Some(systemd) = &self.systemd else { return Ok(stored) };
        let is_one = client.is_some();
        let clients = match client {
            Some(client) => vec![client.to_owned()],
            None => systemd.clients()?,
        };
        for client in clients {
            match systemd.find(&client) {
                Ok(None) => {}
                Ok(Some(passed)) => {
                    // What is stored for it as well is not used.
                    let hidden = stored.iter_mut().filter(|stored| stored.client == client);
                    hidden.for_each(|stored| stored.standing = Standing::Previous);
                    stored.push(passed.describe());
                }
                Err(error) if is_one => return Err(error),
                // That of one client must not hide those of all others. What is wrong with it is said when it is used.
                Err(_) => stored.push(systemd.describe_unusable(&client)),
            }
        }
        stored.sort_by(|a, b| a.client.cmp(&b.client).then(place(a.standing).cmp(&place(b.standing))));
        Ok(stored)
    }

    /// The next credential of a client was accepted: from now on it is the one in use. A secret before it is removed, a key
    /// is kept for [`retire`](Self::retire). `false` if it is not the next one any more.
    pub fn promote(&mut self, client: &str, version: &str) -> Result<bool, Error> {
        self.accepted.note(client, version);
        let Some(vault) = self.placement.for_reading()? else { return Ok(false) };
        self.complete(&vault, client)
    }

    /// Takes down that a next credential was accepted, if that could not be done before: nothing else must happen to it until
    /// then.
    fn complete(&mut self, vault: &Vault, client: &str) -> Result<bool, Error> {
        let Some(version) = self.accepted.lock().get(client).cloned() else { return Ok(false) };
        let promoted = vault.promote(client, &version)?;
        self.accepted.lock().remove(client);
        Ok(promoted)
    }

    /// Removes the next credential of a client, and says which it was; the one in use stays.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is none.
    pub fn withdraw(&mut self, client: &str) -> Result<Stored, Error> {
        let nothing = || {
            Error::not_found(format!("{client} has no next credential"))
                .with_hint(format!("see what it has: tokenbroker secret list {client}"))
        };
        let vault = self.placement.for_reading()?.ok_or_else(nothing)?;
        self.complete(&vault, client)?;
        let withdrawn = vault.withdraw(client)?.ok_or_else(nothing)?;
        Ok(vault.describe(&withdrawn))
    }

    /// Moves everything to another store: all is copied and read back before any old copy is removed. What systemd passes
    /// stays where it is. The new store counts at once; the configuration may say so already or be changed afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the configuration says a third store, or that one holds other credentials already, and
    /// [`Error::Unavailable`] if it fails half-way: then all is where it was.
    pub fn move_to(&mut self, to: StoreKind) -> Result<Moved, Error> {
        let unwritten: Vec<_> = self.accepted.lock().keys().cloned().collect();
        if let Some(vault) = self.placement.for_reading().ok().flatten() {
            unwritten.iter().try_for_each(|client| self.complete(&vault, client).map(drop))?;
        }
        let (other, target) = self.placement.to_move(to)?;
        if self.placement.is_at(to) {
            // Copies may have been left where they were, if that can be looked at.
            let left_behind =
                other.and_then(|other| relocation::remove_copies(&other, &target)).unwrap_or_default();
            let (credentials, configured) = (target.raw()?.len(), self.placement.contradicts());
            return Ok(Moved { from: to, to, credentials, left_behind, configured });
        }
        let from = other?;
        let credentials = relocation::copy(&from, &target)?;
        if let Err(error) = self.placement.moved(to) {
            // Best effort: what is left there is the same, and is found when they are moved again.
            let _left_there = relocation::remove_copies(&target, &from);
            return Err(error);
        }
        // From here on they have been moved, whatever becomes of the old copies.
        let left_behind = relocation::remove_copies(&from, &target)
            .unwrap_or_else(|error| vec![("what was there".to_owned(), error.to_string())]);
        let configured = self.placement.contradicts();
        Ok(Moved { from: from.kind(), to, credentials, left_behind, configured })
    }

    /// Removes all credentials of a client, and says which.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there are none, [`Error::Refused`] if there is none but that which systemd passes.
    pub fn remove(&mut self, client: &str) -> Result<Vec<Stored>, Error> {
        let passed = self.passed(client)?.map(|passed| passed.describe());
        let nothing = || match &passed {
            None => Error::not_found(format!("no credential is stored for {client}"))
                .with_hint("see what is stored: tokenbroker secret list"),
            Some(passed) => {
                let name = systemd::name_of(client, passed.kind);
                let why =
                    format!("the credential of {client} is passed by systemd, and can't be removed here");
                Error::refused(why).with_hint(format!(
                    "remove {name} from LoadCredential= or LoadCredentialEncrypted= of the unit, and restart the service"
                ))
            }
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
        if let Some(passed) = self.passed(client)? {
            let version = passed.version().to_owned();
            return match passed.content {
                PassedContent::Key { key, kid, .. } => {
                    Ok(vec![describe_public(&key, version, Standing::Current, &kid)?])
                }
                PassedContent::Secret(_) => Ok(Vec::new()),
            };
        }
        let Some(vault) = self.placement.for_reading()? else { return Ok(Vec::new()) };
        let found = self.find(&vault, Some(client))?;
        found.items.iter().filter_map(|item| public_key(item).transpose()).collect()
    }

    /// Removes one key that is not in use: the next one, or one whose place was taken.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if the client has no key with this ID, [`Error::Refused`] if it is the one in use.
    pub fn retire(&mut self, client: &str, kid: &str) -> Result<Stored, Error> {
        let nothing = || {
            Error::not_found(format!("{client} has no key with that key ID"))
                .with_hint(format!("see which it has: tokenbroker key list {client}"))
        };
        let vault = self.placement.for_reading()?.ok_or_else(nothing)?;
        self.complete(&vault, client)?;
        let retired = vault.retire(client, kid)?.ok_or_else(nothing)?;
        Ok(vault.describe(&retired))
    }

    /// The credential of a client that systemd passes.
    fn passed(&self, client: &str) -> Result<Option<Passed>, Error> {
        self.systemd.as_ref().map_or(Ok(None), |systemd| systemd.find(client))
    }

    /// The same, if this is its version.
    fn passed_as(&self, client: &str, version: &str) -> Result<Option<Passed>, Error> {
        Ok(self.passed(client)?.filter(|passed| passed.version() == version))
    }

    /// The store that a credential of a client can be written to.
    fn for_writing(&mut self, client: &str, kind: CredentialKind) -> Result<Vault, Error> {
        self.refuse_what_systemd_passes(client, kind)?;
        let vault = self.placement.for_writing()?;
        self.complete(&vault, client)?;
        Ok(vault)
    }

    fn refuse_what_systemd_passes(&self, client: &str, kind: CredentialKind) -> Result<(), Error> {
        let is_all = self.placement.is_systemd_alone();
        if !is_all && self.passed(client)?.is_none() {
            return Ok(());
        }
        let why = match self.passed(client) {
            Ok(None) => format!("store = \"systemd-credentials\", so nothing can be stored for {client}"),
            _ => format!("the credential of {client} is passed by systemd, and nothing can be stored for it"),
        };
        Err(Error::refused(why).with_hint(systemd::how_to_replace(client, kind)))
    }

    fn describe(&self, vault: &Vault, client: Option<&str>) -> Result<Vec<Stored>, Error> {
        Ok(self.find(vault, client)?.items.iter().map(|item| vault.describe(item)).collect())
    }

    /// What is there, taking note of what can't be read.
    fn find(&self, vault: &Vault, client: Option<&str>) -> Result<Found, Error> {
        let mut found = vault.find(client)?;
        let accepted = self.accepted.lock();
        for (client, version) in accepted.iter() {
            found.take_for_promoted(client, version);
        }
        drop(accepted);
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
    storing: Storing,
) -> Result<PublicKey, Error> {
    let kid = key::key_id(kid, &key.public()?)?;
    if storing.as_next && vault.find(Some(client))?.has_key(&kid) {
        return Err(Error::refused(format!("{client} has a key with the key ID {kid} already")).with_hint(
            format!(
                "give this one another with --kid, or see which there are: tokenbroker key list {client}"
            ),
        ));
    }
    let content = Content::Key { kid: kid.clone(), algorithm, pkcs8: key.to_pkcs8()? };
    let item = vault.put(client, content, storing)?;
    describe_public(key, item.version, item.standing, &kid)
}

/// `None` for what is no key.
fn public_key(item: &Item) -> Result<Option<PublicKey>, Error> {
    let Content::Key { kid, algorithm, pkcs8 } = &item.envelope.content else { return Ok(None) };
    let key = PrivateKey::from_pkcs8(*algorithm, pkcs8)?;
    describe_public(&key, item.version.clone(), item.standing, kid).map(Some)
}

fn describe_public(
    key: &PrivateKey,
    version: String,
    standing: Standing,
    kid: &str,
) -> Result<PublicKey, Error> {
    let (public, algorithm) = (key.public()?, key.algorithm());
    let (pem, jwk) = (public.pem(), public.jwk(algorithm, kid));
    Ok(PublicKey { version, standing, kid: kid.to_owned(), algorithm, pem, jwk })
}

fn usable(vault: &Vault, item: Item) -> Usable {
    let stored = vault.describe(&item);
    let version = item.version;
    let credential = match item.envelope.content {
        Content::Secret(secret) => Current::Secret { version, secret },
        Content::Key { kid, algorithm, .. } => Current::Key { version, kid, algorithm },
    };
    Usable { stored, credential }
}

/// In which order a client's credentials are listed.
fn place(standing: Standing) -> u8 {
    match standing {
        Standing::Next => 0,
        Standing::Current => 1,
        Standing::Previous => 2,
    }
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

pub(crate) fn check_secret(secret: &SecretString) -> Result<(), Error> {
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
