//! Which store is used, and that it does not change by itself.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::envelope::Content;
use crate::sealing_key;
use crate::test_stores::TestKeyring;

struct Fixture {
    state: TempDir,
    keyring: TestKeyring,
    _ring: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let ring = tempfile::tempdir().unwrap();
        Self { state: tempfile::tempdir().unwrap(), keyring: TestKeyring::new(ring.path()), _ring: ring }
    }

    /// As a daemon that starts now with this configuration.
    fn open(&self, choice: StoreChoice, prefer_keyring: bool) -> Result<Placement, Error> {
        let options =
            Options { choice, prefer_keyring, state_dir: self.state.path().to_owned(), ..Options::default() };
        Placement::open(&options, Box::new(self.keyring.clone()))
    }

    fn auto(&self) -> Placement {
        self.open(StoreChoice::Auto, true).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.state.path().join(name)
    }
}

fn store_in(placement: &mut Placement) -> Result<(), Error> {
    placement.for_writing()?.put("one", Content::Secret("x".into()), crate::Storing::at(1)).map(drop)
}

fn would_change(placement: &mut Placement) -> String {
    let errors =
        [placement.for_reading().map(drop).unwrap_err(), placement.for_writing().map(drop).unwrap_err()];
    for error in &errors {
        assert!(matches!(error, Error::WouldChange { .. }), "{error:?}");
    }
    let [error, _] = errors;
    format!("{error}; {}", error.hint().unwrap())
}

#[test]
fn auto_decides_at_the_first_write_and_reading_decides_nothing() {
    let fixture = Fixture::new();
    let mut placement = fixture.auto();
    assert_eq!(placement.kind(), None);
    assert!(placement.for_reading().unwrap().is_none());
    assert!(!fixture.path("keystore.choice").exists());
    store_in(&mut placement).unwrap();
    assert_eq!(placement.kind(), Some(StoreKind::OsKeyring));
    assert_eq!(fixture.auto().kind(), Some(StoreKind::OsKeyring));
    assert!(!fixture.path("keystore").exists());
}

#[test]
fn auto_takes_the_file_without_a_keyring_or_where_none_is_preferred() {
    for (prefer_keyring, locked) in [(true, true), (false, false)] {
        let fixture = Fixture::new();
        fixture.keyring.lock(locked);
        let mut placement = fixture.open(StoreChoice::Auto, prefer_keyring).unwrap();
        store_in(&mut placement).unwrap();
        assert_eq!(placement.kind(), Some(StoreKind::EncryptedFile));
        // A keyring that turns up later changes nothing.
        fixture.keyring.lock(false);
        assert_eq!(fixture.auto().kind(), Some(StoreKind::EncryptedFile));
    }
}

#[test]
fn s53_the_remembered_keyring_is_waited_for_and_not_replaced() {
    let fixture = Fixture::new();
    store_in(&mut fixture.auto()).unwrap();
    fixture.keyring.lock(true);
    let mut placement = fixture.auto();
    assert!(matches!(placement.for_reading().map(drop), Err(Error::Unavailable { .. })));
    assert!(matches!(store_in(&mut placement), Err(Error::Unavailable { .. })));
    assert!(!fixture.path("keystore").exists());
    fixture.keyring.lock(false);
    assert_eq!(placement.for_reading().unwrap().unwrap().find(None).unwrap().items.len(), 1);
}

#[test]
fn s53_another_store_in_the_configuration_is_refused_while_the_old_one_holds_credentials() {
    let fixture = Fixture::new();
    store_in(&mut fixture.open(StoreChoice::OsKeyring, false).unwrap()).unwrap();
    let said = would_change(&mut fixture.open(StoreChoice::EncryptedFile, false).unwrap());
    for words in
        ["configuration says encrypted-file", "os-keyring was in use", "holds", "store = \"os-keyring\""]
    {
        assert!(said.contains(words), "{words}: {said}");
    }

    let fixture = Fixture::new();
    store_in(&mut fixture.open(StoreChoice::EncryptedFile, false).unwrap()).unwrap();
    let said = would_change(&mut fixture.open(StoreChoice::OsKeyring, true).unwrap());
    assert!(said.contains("encrypted-file was in use"), "{said}");
}

#[test]
fn s53_a_keyring_that_can_not_be_asked_counts_as_holding_credentials() {
    let fixture = Fixture::new();
    store_in(&mut fixture.auto()).unwrap();
    fixture.keyring.lock(true);
    let said = would_change(&mut fixture.open(StoreChoice::EncryptedFile, false).unwrap());
    assert!(said.contains("can't be told") && said.contains("keystore.choice"), "{said}");
    // The remedy for a keyring that is gone for good.
    std::fs::remove_file(fixture.path("keystore.choice")).unwrap();
    store_in(&mut fixture.open(StoreChoice::EncryptedFile, false).unwrap()).unwrap();
}

#[test]
fn an_empty_store_may_be_left_for_another() {
    let fixture = Fixture::new();
    for (left, taken) in [
        (StoreChoice::OsKeyring, StoreChoice::EncryptedFile),
        (StoreChoice::EncryptedFile, StoreChoice::OsKeyring),
    ] {
        let mut placement = fixture.open(left, false).unwrap();
        store_in(&mut placement).unwrap();
        let vault = placement.for_reading().unwrap().unwrap();
        vault.delete(&vault.find(None).unwrap().items[0]).unwrap();
        // A key for tokens is no credential, and keeps nobody.
        sealing_key::create(&vault).unwrap();
        let mut placement = fixture.open(taken, false).unwrap();
        placement.for_writing().unwrap();
        assert_eq!(fixture.auto().kind(), configured(taken));
    }
}

#[test]
fn s53_a_file_with_credentials_is_remembered_without_the_memory() {
    let fixture = Fixture::new();
    store_in(&mut fixture.open(StoreChoice::EncryptedFile, false).unwrap()).unwrap();
    std::fs::remove_file(fixture.path("keystore.choice")).unwrap();
    assert_eq!(fixture.auto().kind(), Some(StoreKind::EncryptedFile));
    would_change(&mut fixture.open(StoreChoice::OsKeyring, true).unwrap());
}

#[test]
fn s71_a_memory_that_is_not_understood_is_refused_and_kept() {
    let fixture = Fixture::new();
    let memory = fixture.path("keystore.choice");
    for content in [&b"tokenbroker key store 2\ntpm\n"[..], b"", b"os-keyring"] {
        private_file::replace(&memory, content).unwrap();
        let error = fixture.open(StoreChoice::Auto, true).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        assert_eq!(std::fs::read(&memory).unwrap(), content);
    }
}

#[test]
fn s56_files_that_others_can_read_are_refused_at_the_start() {
    for name in ["keystore", "keystore.key", "keystore.choice"] {
        let fixture = Fixture::new();
        store_in(&mut fixture.open(StoreChoice::EncryptedFile, false).unwrap()).unwrap();
        std::fs::set_permissions(fixture.path(name), Permissions::from_mode(0o640)).unwrap();
        let error = fixture.open(StoreChoice::EncryptedFile, false).unwrap_err();
        assert!(error.hint().unwrap().contains("chmod 0600"), "{name}: {error:?}");
    }
}

#[test]
fn the_note_fits_the_store() {
    let fixture = Fixture::new();
    let mut placement = fixture.auto();
    assert!(placement.note().contains("nothing is stored yet"));
    store_in(&mut placement).unwrap();
    assert!(placement.note().contains("OS keyring"));
}

#[test]
fn s53_the_note_says_where_credentials_are_and_not_where_they_should_be() {
    let fixture = Fixture::new();
    store_in(&mut fixture.open(StoreChoice::EncryptedFile, false).unwrap()).unwrap();
    let note = fixture.open(StoreChoice::OsKeyring, true).unwrap().note();
    assert!(note.contains(&format!("credentials rest in {}", fixture.path("keystore").display())), "{note}");
    assert!(note.ends_with("; the configuration says os-keyring now"), "{note}");

    let fixture = Fixture::new();
    store_in(&mut fixture.open(StoreChoice::OsKeyring, false).unwrap()).unwrap();
    let note = fixture.open(StoreChoice::EncryptedFile, false).unwrap().note();
    assert!(note.contains("credentials rest in the OS keyring"), "{note}");
}
