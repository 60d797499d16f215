//! A credential store in one encrypted file, for hosts without a keyring.
//!
//! Every change writes the whole file anew. What can't be decrypted is never written over.

mod format;
mod key;

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use keyring_core::api::{CredentialApi, CredentialStoreApi};
use keyring_core::{Credential, Entry, Error as StoreError};
use tokenbroker_secret::{Secret, heap};

use self::format::{Entries, Header, Indexed, Malformed, Name};
use self::key::{Key, KeyPlaces, Place};
use crate::private_file::{self, Readers, Stamp};
use crate::{Error, Needed, vault};

/// The attribute to search by for the items of one client.
pub(crate) const CLIENT: &str = "client";

/// The store. Clones share the file.
#[derive(Clone)]
pub(crate) struct EncryptedFile(Arc<Inner>);

struct Inner {
    path: PathBuf,
    key: KeyPlaces,
    /// What the file held when it had this stamp: clients by the thousand are looked up one after the other.
    cache: Mutex<Option<(Stamp, Arc<Entries>)>>,
}

impl EncryptedFile {
    /// A store in `path`, whether it is there or not; its key is looked for in a directory of systemd's and
    /// then in `key_file`.
    pub(crate) fn new(path: PathBuf, credentials_directory: Option<&Path>, key_file: PathBuf) -> Self {
        let key = KeyPlaces::new(credentials_directory, key_file);
        Self(Arc::new(Inner { path, key, cache: Mutex::default() }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Refuses files that others can read.
    pub(crate) fn check(&self) -> Result<(), Error> {
        private_file::stamp(&self.0.path, Readers::Owner)?;
        self.0.key.read()?;
        Ok(())
    }

    /// Whether the file holds credentials, as far as it says without being decrypted. What can't be read does.
    pub(crate) fn holds_credentials(&self) -> Result<bool, Error> {
        let Some((file, _)) = private_file::read(&self.0.path, Readers::Owner)? else { return Ok(false) };
        let is_credential = |line: &Indexed| vault::split_user(&line.user).is_some();
        Ok(Header::parse(file.expose()).map_or(true, |header| header.index.iter().any(is_credential)))
    }

    /// What the placement of the key protects against.
    pub(crate) fn note(&self) -> String {
        let path = self.0.path.display();
        match self.0.key.place() {
            Place::Systemd(_) => format!(
                "credentials rest in {path}, encrypted with a key that systemd passes at start: a copy of \
                 that file is worth nothing without the key, which is as safe as systemd keeps it \
                 (LoadCredentialEncrypted= binds it to this host); root and the daemon's own user can read \
                 both while the service runs"
            ),
            Place::File(key) => format!(
                "credentials rest in {path}, encrypted with the key in {}: this protects a copy of the first \
                 file alone, such as a backup that leaves the key out; it does not protect against root, the \
                 daemon's own user or whoever has both files",
                key.display()
            ),
        }
    }

    fn entries(&self) -> Result<Arc<Entries>, Error> {
        let Some(stamp) = private_file::stamp(&self.0.path, Readers::Owner)? else {
            return self.check_directory().map(|()| Arc::default());
        };
        let mut cache = self.0.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, entries)) = &*cache
            && *at == stamp
        {
            return Ok(Arc::clone(entries));
        }
        let Some((file, stamp)) = private_file::read(&self.0.path, Readers::Owner)? else {
            return self.check_directory().map(|()| Arc::default());
        };
        let (entries, _) = self.decrypt(&file)?;
        let entries = Arc::new(entries);
        *cache = Some((stamp, Arc::clone(&entries)));
        drop(file);
        heap::give_back();
        Ok(entries)
    }

    /// A file that is not there holds nothing. One whose directory is gone as well, because a disk was unmounted for
    /// example, may hold anything.
    fn check_directory(&self) -> Result<(), Error> {
        match self.0.path.parent() {
            Some(directory) if !directory.is_dir() => {
                Err(Error::unavailable(format!("the directory {} is not there", directory.display()))
                    .with_hint("mount or restore it"))
            }
            _ => Ok(()),
        }
    }

    /// Changes the entries and writes them. The file is decrypted first, cache or not: what the present key
    /// does not open is not ours to replace.
    fn change<T>(&self, change: impl FnOnce(&mut Entries) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut cache = self.0.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut entries, key) = match private_file::read(&self.0.path, Readers::Owner).map_err(into_store)? {
            Some((file, _)) => {
                self.decrypt(&file).map(|(entries, key)| (entries, Some(key))).map_err(into_store)?
            }
            None => (Entries::new(), None),
        };
        let outcome = change(&mut entries)?;
        let key = key.map_or_else(|| self.key_for_a_new_file(), Ok).map_err(into_store)?;
        let file = format::seal(&entries, &key)
            .map_err(|_| into_store(Error::unavailable("the credentials could not be encrypted")))?;
        *cache = None;
        private_file::replace(&self.0.path, &file).map_err(into_store)?;
        drop((entries, file));
        heap::give_back();
        Ok(outcome)
    }

    /// Adds and removes entries in one write.
    pub(crate) fn exchange(
        &self,
        service: &str,
        added: Vec<(String, Secret)>,
        removed: &[String],
    ) -> Result<(), Error> {
        let service: Arc<str> = service.into();
        let name = |user: &str| (Arc::clone(&service), user.into());
        let exchanged = self.change(|entries| {
            removed.iter().for_each(|user| drop(entries.remove(&name(user))));
            entries.extend(added.into_iter().map(|(user, value)| (name(&user), value)));
            Ok(())
        });
        Ok(exchanged?)
    }

    fn key_for_a_new_file(&self) -> Result<Key, Error> {
        match self.0.key.read()? {
            Some(key) => Ok(key),
            None => self.0.key.create(),
        }
    }

    fn decrypt(&self, file: &Secret) -> Result<(Entries, Key), Error> {
        let header = Header::parse(file.expose()).map_err(|malformed| self.malformed(malformed, None))?;
        let place = self.0.key.place();
        let Some(key) = self.0.key.read()? else {
            return Err(self.key_lost(&format!("its key {} is missing", place.path().display()), &header));
        };
        if key.id() != header.key_id {
            return Err(self.key_lost(&format!("{} is not its key", place.path().display()), &header));
        }
        match header.open(&key) {
            Ok(entries) => Ok((entries, key)),
            Err(malformed) => Err(self.malformed(malformed, Some(&header))),
        }
    }

    fn key_lost(&self, why: &str, header: &Header<'_>) -> Error {
        let needed = needed(header);
        let path = self.0.path.display();
        Error::KeyLost {
            message: format!("the key store {path} can't be decrypted: {why}; it is left as it is"),
            hint: format!("bring the key back, or move {path} away and {}", set_again(&needed)),
            needed,
        }
    }

    fn malformed(&self, malformed: Malformed, header: Option<&Header<'_>>) -> Error {
        let path = self.0.path.display();
        let remedy = match (malformed, header) {
            (Malformed::Newer { .. }, _) => "run the newer version again, or move the file away".to_owned(),
            (_, Some(header)) => {
                format!("restore it from a backup, or move it away and {}", set_again(&needed(header)))
            }
            (_, None) => "restore it from a backup, or move it away and set the credentials again".to_owned(),
        };
        Error::refused(format!("the key store {path} can't be used: {malformed}; it is left as it is"))
            .with_hint(remedy)
    }
}

/// The names of a client's items: a client's name has no slash, and nothing is between a slash and the next character.
fn names_of(service: &str, client: &str) -> Range<Name> {
    (service.into(), format!("{client}/").into())..(service.into(), format!("{client}0").into())
}

fn needed(header: &Header<'_>) -> Vec<Needed> {
    let client = |user: &str| vault::split_user(user).map(|(client, _)| client.to_owned());
    let mut needed: Vec<_> = (header.index.iter())
        .filter_map(|line| Some(Needed { client: client(&line.user)?, kind: line.kind }))
        .collect();
    needed.sort();
    needed.dedup();
    needed
}

fn set_again(needed: &[Needed]) -> String {
    match needed {
        [] => "start with an empty one".to_owned(),
        needed => {
            let commands: Vec<_> = needed.iter().map(Needed::command).collect();
            format!("set again what it held: {}", commands.join("; "))
        }
    }
}

/// Our own error travels through the store's interface as the platform's.
fn into_store(error: Error) -> StoreError {
    match error {
        Error::Unavailable { .. } => StoreError::NoStorageAccess(Box::new(error)),
        error => StoreError::PlatformFailure(Box::new(error)),
    }
}

impl CredentialStoreApi for EncryptedFile {
    fn vendor(&self) -> String {
        "tokenbroker encrypted file".to_owned()
    }

    fn id(&self) -> String {
        self.0.path.display().to_string()
    }

    fn build(
        &self,
        service: &str,
        user: &str,
        modifiers: Option<&HashMap<&str, &str>>,
    ) -> Result<Entry, StoreError> {
        if modifiers.is_some_and(|modifiers| !modifiers.is_empty()) {
            return Err(StoreError::NotSupportedByStore(
                "entries of the encrypted file have no modifiers".to_owned(),
            ));
        }
        Ok(self.entry((service.into(), user.into())))
    }

    /// By `service` and `username`, the attributes of a Secret Service, or by `service` and [`CLIENT`].
    fn search(&self, spec: &HashMap<&str, &str>) -> Result<Vec<Entry>, StoreError> {
        if let Some(unknown) = spec.keys().find(|key| !["service", "username", CLIENT].contains(key)) {
            return Err(StoreError::Invalid((*unknown).to_owned(), "is not an attribute".to_owned()));
        }
        let matches =
            |attribute: &str, value: &str| spec.get(attribute).is_none_or(|wanted| *wanted == value);
        let is_wanted = |(service, user): &&Name| matches("service", service) && matches("username", user);
        let entries = self.entries().map_err(into_store)?;
        let found: Vec<_> = match (spec.get("service"), spec.get(CLIENT)) {
            (Some(service), Some(client)) => {
                entries.range(names_of(service, client)).map(|(name, _)| name).filter(is_wanted).collect()
            }
            (None, Some(_)) => {
                return Err(StoreError::Invalid(CLIENT.to_owned(), "goes with a service".to_owned()));
            }
            (_, None) => entries.keys().filter(is_wanted).collect(),
        };
        Ok(found.into_iter().map(|name| self.entry(name.clone())).collect())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn debug_fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl EncryptedFile {
    fn entry(&self, name: Name) -> Entry {
        Entry::new_with_credential(Arc::new(FileCredential { store: self.clone(), name }))
    }
}

impl fmt::Debug for EncryptedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EncryptedFile").field(&self.0.path).finish()
    }
}

/// One value in the file, whether it is there or not.
#[derive(Debug)]
struct FileCredential {
    store: EncryptedFile,
    name: Name,
}

impl CredentialApi for FileCredential {
    fn set_secret(&self, secret: &[u8]) -> Result<(), StoreError> {
        self.store.change(|entries| {
            entries.insert(self.name.clone(), Secret::from(secret));
            Ok(())
        })
    }

    fn get_secret(&self) -> Result<Vec<u8>, StoreError> {
        let entries = self.store.entries().map_err(into_store)?;
        entries.get(&self.name).map(|value| value.expose().to_vec()).ok_or(StoreError::NoEntry)
    }

    fn delete_credential(&self) -> Result<(), StoreError> {
        self.store.change(|entries| entries.remove(&self.name).map(drop).ok_or(StoreError::NoEntry))
    }

    /// A credential in the file is named by what specifies it, so there is nothing else to wrap.
    fn get_credential(&self) -> Result<Option<Arc<Credential>>, StoreError> {
        self.get_secret().map(Secret::new).map(|_| None)
    }

    fn get_specifiers(&self) -> Option<(String, String)> {
        let (service, user) = &self.name;
        Some((service.to_string(), user.to_string()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn debug_fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tempfile::TempDir;

    use super::*;

    struct Fixture {
        directory: TempDir,
        store: EncryptedFile,
    }

    impl Fixture {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let store = open(&directory);
            Self { directory, store }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        /// As a process that starts now finds it.
        fn reopened(&self) -> EncryptedFile {
            open(&self.directory)
        }
    }

    fn open(directory: &TempDir) -> EncryptedFile {
        let path = directory.path();
        EncryptedFile::new(path.join("keystore"), None, path.join("keystore.key"))
    }

    fn entry(store: &EncryptedFile, user: &str) -> Entry {
        store.build("tokenbroker", user, None).unwrap()
    }

    fn ours(error: StoreError) -> Error {
        Error::from(error)
    }

    #[test]
    fn entries_are_set_found_replaced_and_deleted() {
        let fixture = Fixture::new();
        let (one, two) = (entry(&fixture.store, "one/1"), entry(&fixture.store, "two/1"));
        assert!(matches!(one.get_secret(), Err(StoreError::NoEntry)));
        one.set_secret(b"first").unwrap();
        two.set_secret(b"other").unwrap();
        one.set_secret(b"second").unwrap();

        let store = fixture.reopened();
        assert_eq!(entry(&store, "one/1").get_secret().unwrap(), b"second");
        let found = store.search(&HashMap::from([("service", "tokenbroker")])).unwrap();
        let users: Vec<_> = found.iter().map(|entry| entry.get_specifiers().unwrap().1).collect();
        assert_eq!(users, ["one/1", "two/1"]);
        assert_eq!(store.search(&HashMap::from([("username", "two/1")])).unwrap().len(), 1);
        assert!(store.search(&HashMap::from([("service", "another")])).unwrap().is_empty());
        assert!(store.search(&HashMap::from([("colour", "red")])).is_err());
        assert!(store.search(&HashMap::from([(CLIENT, "one")])).is_err());

        one.delete_credential().unwrap();
        assert!(matches!(one.delete_credential(), Err(StoreError::NoEntry)));
        assert!(matches!(entry(&store, "one/1").get_secret(), Err(StoreError::NoEntry)));
        assert_eq!(entry(&store, "two/1").get_secret().unwrap(), b"other");
    }

    #[test]
    fn a_clients_entries_are_found_by_its_name_and_those_of_similar_names_are_not() {
        let fixture = Fixture::new();
        for user in ["a/1", "a", "a-b/1", "a/2", "a0/1", "ab/1", "\u{1f511}/1"] {
            entry(&fixture.store, user).set_secret(b"x").unwrap();
        }
        let found = |service, client| {
            let found =
                fixture.store.search(&HashMap::from([("service", service), (CLIENT, client)])).unwrap();
            found.iter().map(|entry| entry.get_specifiers().unwrap().1).collect::<Vec<_>>()
        };
        assert_eq!(found("tokenbroker", "a"), ["a/1", "a/2"]);
        assert_eq!(found("tokenbroker", "a0"), ["a0/1"]);
        assert_eq!(found("tokenbroker", "\u{1f511}"), ["\u{1f511}/1"]);
        assert_eq!(found("tokenbroker", "b"), [""; 0]);
        assert_eq!(found("another", "a"), [""; 0]);
    }

    #[test]
    fn s52_a_directory_that_is_gone_is_a_store_that_can_not_be_used_and_not_an_empty_one() {
        let fixture = Fixture::new();
        let one = entry(&fixture.store, "one/1");
        one.set_secret(b"first").unwrap();
        let away = fixture.directory.path().with_extension("away");
        std::fs::rename(fixture.directory.path(), &away).unwrap();
        let gone = ours(one.get_secret().unwrap_err());
        std::fs::rename(&away, fixture.directory.path()).unwrap();
        assert!(matches!(&gone, Error::Unavailable { .. }), "{gone:?}");
        assert!(gone.to_string().ends_with("is not there"), "{gone}");
        assert_eq!(one.get_secret().unwrap(), b"first");
    }

    #[test]
    fn reading_makes_no_files_and_writing_makes_private_ones() {
        let fixture = Fixture::new();
        assert!(fixture.store.search(&HashMap::new()).unwrap().is_empty());
        assert_eq!(std::fs::read_dir(fixture.directory.path()).unwrap().count(), 0);
        entry(&fixture.store, "one/1").set_secret(b"x").unwrap();
        for name in ["keystore", "keystore.key"] {
            assert_eq!(std::fs::metadata(fixture.path(name)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(fixture.directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn s56_a_file_that_others_can_read_is_refused_from_the_start() {
        for name in ["keystore", "keystore.key"] {
            let fixture = Fixture::new();
            entry(&fixture.store, "one/1").set_secret(b"x").unwrap();
            fixture.store.check().unwrap();
            std::fs::set_permissions(fixture.path(name), Permissions::from_mode(0o644)).unwrap();
            let error = fixture.reopened().check().unwrap_err();
            assert!(error.hint().unwrap().contains("chmod 0600"), "{error:?}");
            assert!(entry(&fixture.reopened(), "one/1").get_secret().is_err());
        }
    }

    #[test]
    fn s77_without_its_key_the_store_says_what_it_held_and_is_not_written_over() {
        let fixture = Fixture::new();
        entry(&fixture.store, "one/1").set_secret(b"x").unwrap();
        let (file, key) = (fixture.path("keystore"), fixture.path("keystore.key"));
        let before = std::fs::read(&file).unwrap();

        let kept = std::fs::read(&key).unwrap();
        std::fs::remove_file(&key).unwrap();
        let missing = ours(entry(&fixture.reopened(), "one/1").get_secret().unwrap_err());
        private_file::replace(&key, &[9; 32]).unwrap();
        let wrong = ours(entry(&fixture.reopened(), "one/1").get_secret().unwrap_err());
        for (error, words) in [(missing, "is missing"), (wrong, "is not its key")] {
            assert!(error.message().contains(words), "{error:?}");
            let Error::KeyLost { needed, hint, .. } = error else { panic!("{error:?}") };
            assert_eq!(needed, [Needed { client: "one".to_owned(), kind: None }]);
            assert!(hint.contains("one"), "{hint}");
        }
        // The store that still has it in its cache may not write either.
        for store in [&fixture.store, &fixture.reopened()] {
            let refused = ours(entry(store, "two/1").set_secret(b"y").unwrap_err());
            assert!(matches!(refused, Error::KeyLost { .. }), "{refused:?}");
            assert!(entry(store, "one/1").delete_credential().is_err());
        }
        assert_eq!(std::fs::read(&file).unwrap(), before);

        private_file::replace(&key, &kept).unwrap();
        assert_eq!(entry(&fixture.reopened(), "one/1").get_secret().unwrap(), b"x");
    }

    #[test]
    fn s77_no_new_key_is_made_while_there_is_something_that_needs_the_old_one() {
        let fixture = Fixture::new();
        entry(&fixture.store, "one/1").set_secret(b"x").unwrap();
        std::fs::remove_file(fixture.path("keystore.key")).unwrap();
        assert!(entry(&fixture.reopened(), "one/1").set_secret(b"y").is_err());
        assert!(!fixture.path("keystore.key").exists());
    }

    #[test]
    fn s71_a_file_of_a_newer_version_is_refused_and_kept() {
        let fixture = Fixture::new();
        entry(&fixture.store, "one/1").set_secret(b"x").unwrap();
        let mut newer = std::fs::read(fixture.path("keystore")).unwrap();
        newer[8] = 2;
        private_file::replace(&fixture.path("keystore"), &newer).unwrap();
        let error = ours(entry(&fixture.store, "one/1").set_secret(b"y").unwrap_err());
        assert!(error.message().contains("newer tokenbroker (format 2)"), "{error:?}");
        assert_eq!(std::fs::read(fixture.path("keystore")).unwrap(), newer);
        assert!(fixture.store.holds_credentials().unwrap());
    }

    #[test]
    fn s63_a_changed_file_is_refused_and_kept() {
        let fixture = Fixture::new();
        entry(&fixture.store, "one/1").set_secret(b"x").unwrap();
        let mut changed = std::fs::read(fixture.path("keystore")).unwrap();
        *changed.last_mut().unwrap() ^= 1;
        private_file::replace(&fixture.path("keystore"), &changed).unwrap();
        let error = ours(entry(&fixture.store, "one/1").get_secret().unwrap_err());
        assert!(error.message().contains("damaged or changed"), "{error:?}");
        assert!(error.hint().unwrap().contains("one"), "{error:?}");
        assert!(entry(&fixture.store, "two/1").set_secret(b"y").is_err());
        assert_eq!(std::fs::read(fixture.path("keystore")).unwrap(), changed);
    }

    #[test]
    fn s60_a_crash_between_writing_and_renaming_leaves_the_old_content() {
        let fixture = Fixture::new();
        entry(&fixture.store, "one/1").set_secret(b"x").unwrap();
        for name in ["keystore.tmp", "keystore.key.tmp"] {
            std::fs::write(fixture.path(name), b"torn").unwrap();
        }
        let store = fixture.reopened();
        store.check().unwrap();
        assert_eq!(entry(&store, "one/1").get_secret().unwrap(), b"x");
        entry(&store, "two/1").set_secret(b"y").unwrap();
        assert!(!fixture.path("keystore.tmp").exists());
    }

    #[test]
    fn a_change_by_another_process_is_seen() {
        let fixture = Fixture::new();
        entry(&fixture.store, "one/1").set_secret(b"x").unwrap();
        assert_eq!(entry(&fixture.store, "one/1").get_secret().unwrap(), b"x");
        entry(&fixture.reopened(), "one/1").set_secret(b"y").unwrap();
        assert_eq!(entry(&fixture.store, "one/1").get_secret().unwrap(), b"y");
        std::fs::remove_file(fixture.path("keystore")).unwrap();
        assert!(matches!(entry(&fixture.store, "one/1").get_secret(), Err(StoreError::NoEntry)));
    }

    #[test]
    fn readers_beside_a_writer_always_see_a_whole_store() {
        let fixture = Fixture::new();
        entry(&fixture.store, "one/1").set_secret(&[0; 500]).unwrap();
        let done = AtomicBool::new(false);
        let written = std::thread::scope(|scope| {
            for store in [fixture.store.clone(), fixture.reopened()] {
                let done = &done;
                scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        let value = entry(&store, "one/1").get_secret().unwrap();
                        assert_eq!(value, [value[0]; 500]);
                    }
                });
            }
            let written = (1..=30).map(|round| entry(&fixture.store, "one/1").set_secret(&[round; 500]));
            let written: Vec<_> = written.collect();
            done.store(true, Ordering::Relaxed);
            written
        });
        assert!(written.iter().all(Result::is_ok), "{written:?}");
        assert_eq!(entry(&fixture.store, "one/1").get_secret().unwrap(), [30; 500]);
    }

    #[test]
    fn the_note_tells_the_two_placements_of_the_key_apart() {
        let fixture = Fixture::new();
        assert!(fixture.store.note().contains("does not protect against root"));
        let credentials = tempfile::tempdir().unwrap();
        std::fs::write(credentials.path().join("keystore.key"), [1; 32]).unwrap();
        let store =
            EncryptedFile::new(fixture.path("keystore"), Some(credentials.path()), fixture.path("unused"));
        assert!(store.note().contains("systemd passes"), "{}", store.note());
    }

    #[test]
    fn s57_neither_store_nor_entry_prints_a_value() {
        let fixture = Fixture::new();
        let entry = entry(&fixture.store, "one/1");
        entry.set_secret(b"hunter2").unwrap();
        let store: &keyring_core::CredentialStore = &fixture.store;
        for printed in [format!("{entry:?}"), format!("{store:?}")] {
            assert!(!printed.contains("hunter2") && printed.contains("keystore"), "{printed}");
        }
    }
}
