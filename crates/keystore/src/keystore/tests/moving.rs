//! From one store to another.

use super::*;
use crate::test_stores::Fault;

fn holds(store: &KeyStore) -> Vec<(String, StoreKind)> {
    store.list(None).unwrap().into_iter().map(|stored| (stored.version, stored.store)).collect()
}

fn versions(held: &[(String, StoreKind)]) -> Vec<&str> {
    held.iter().map(|(version, _)| version.as_str()).collect()
}

/// Two secrets, a key and a sealing key in the encrypted file.
fn filled(fixture: &Fixture) -> KeyStore {
    let mut store = fixture.file();
    store.set_secret("one", &"old".into(), Storing::at(10)).unwrap();
    store.set_secret("one", &"new".into(), Storing::at(10).as_next()).unwrap();
    store.generate_key("two", Algorithm::EdDsa, None, None, Storing::at(10)).unwrap();
    store.sealing_key_or_new().unwrap().unwrap();
    fixture.open(StoreChoice::Auto)
}

#[test]
fn everything_moves_and_keeps_its_versions() {
    let fixture = Fixture::new();
    let mut store = filled(&fixture);
    let (before, key) = (holds(&store), store.sealing_key().unwrap().unwrap().id());
    let moved = store.move_to(StoreKind::OsKeyring).unwrap();
    assert_eq!(
        (moved.from, moved.to, moved.credentials),
        (StoreKind::EncryptedFile, StoreKind::OsKeyring, 3)
    );
    assert_eq!(moved.left_behind, []);
    let after = holds(&store);
    assert!(after.iter().all(|(_, store)| *store == StoreKind::OsKeyring), "{after:?}");
    assert_eq!(versions(&after), versions(&before));
    assert_eq!(store.sealing_key().unwrap().unwrap().id(), key, "what was sealed can still be opened");
    assert_eq!(holds(&fixture.open(StoreChoice::Auto)), after, "and so it is after a restart");

    let back = store.move_to(StoreKind::EncryptedFile).unwrap();
    assert_eq!((back.from, back.credentials), (StoreKind::OsKeyring, 3));
    assert_eq!(holds(&store), before);
    fixture.keyring.lock(true);
    assert_eq!(holds(&fixture.file()), before, "nothing is left in the keyring that would be missed");
}

#[test]
fn a_store_that_fails_in_the_middle_leaves_everything_where_it_was() {
    for fault in [Fault::Set, Fault::Keep] {
        let fixture = Fixture::new();
        let mut store = filled(&fixture);
        let before = holds(&store);
        fixture.keyring.store.set_fault_after(fault, 1);
        let error = store.move_to(StoreKind::OsKeyring).unwrap_err();
        assert!(error.message().contains("nothing was moved"), "{error:?}");
        assert_eq!(holds(&store), before, "{fault:?}");
        fixture.keyring.store.set_fault(Fault::None);
        assert_eq!(holds(&fixture.file()), before, "{fault:?}");
        let moved = store.move_to(StoreKind::OsKeyring).unwrap();
        assert_eq!(moved.credentials, 3, "what was copied is no obstacle: {fault:?}");
    }
}

#[test]
fn copies_that_can_not_be_removed_are_named_and_removed_later() {
    let fixture = Fixture::new();
    let mut store = filled(&fixture);
    store.move_to(StoreKind::OsKeyring).unwrap();
    fixture.keyring.store.set_fault(Fault::Delete);
    let moved = store.move_to(StoreKind::EncryptedFile).unwrap();
    assert_eq!((moved.credentials, moved.left_behind.len()), (3, 4), "{moved:?}");
    let after = holds(&store);
    assert!(after.iter().all(|(_, store)| *store == StoreKind::EncryptedFile), "{after:?}");

    fixture.keyring.store.set_fault(Fault::None);
    let moved = store.move_to(StoreKind::EncryptedFile).unwrap();
    assert_eq!(moved.left_behind, []);
    assert_eq!(holds(&store), after);
}

#[test]
fn other_credentials_that_are_there_already_are_not_mixed_with_these() {
    let fixture = Fixture::new();
    let mut store = filled(&fixture);
    let before = holds(&store);
    let other = Fixture { state: tempfile::tempdir().unwrap(), keyring: fixture.keyring.clone() };
    let mut others = other.open(StoreChoice::OsKeyring);
    others.set_secret("one", &"of another".into(), Storing::at(1)).unwrap();
    let error = store.move_to(StoreKind::OsKeyring).unwrap_err();
    assert!(error.message().contains("holds credentials already") && error.hint().is_some(), "{error:?}");
    assert_eq!(holds(&store), before);
}

#[test]
fn s53_the_configuration_and_the_move_have_to_agree() {
    let fixture = Fixture::new();
    filled(&fixture);
    let mut changed = fixture.open(StoreChoice::OsKeyring);
    let error = changed.list(None).unwrap_err();
    assert!(error.hint().unwrap().contains("tokenbroker secret move --to os-keyring"), "{error:?}");
    let moved = changed.move_to(StoreKind::OsKeyring).unwrap();
    assert_eq!((moved.credentials, moved.configured), (3, None));
    assert_eq!(holds(&changed).len(), 3);

    // The other way round: the configuration follows.
    let moved = changed.move_to(StoreKind::EncryptedFile).unwrap();
    assert_eq!((moved.credentials, moved.configured), (3, Some(StoreKind::OsKeyring)));
    assert_eq!(holds(&changed).len(), 3, "nobody goes without until then");
    assert!(changed.set_secret("three", &"x".into(), Storing::at(1)).is_ok());
    assert!(matches!(fixture.open(StoreChoice::OsKeyring).list(None), Err(Error::WouldChange { .. })));
    assert_eq!(holds(&fixture.file()).len(), 4);
    assert!(changed.move_to(StoreKind::OsKeyring).unwrap().configured.is_none());
    let third =
        fixture.with_passed(StoreChoice::SystemdCredentials, &[]).unwrap().move_to(StoreKind::EncryptedFile);
    assert!(third.unwrap_err().message().contains("store = \"systemd-credentials\""));

    let mut auto = fixture.open(StoreChoice::Auto);
    let error = auto.move_to(StoreKind::SystemdCredentials).unwrap_err();
    assert!(error.hint().unwrap().contains("systemd-creds"), "{error:?}");
    let error = Fixture::new().open(StoreChoice::Auto).move_to(StoreKind::OsKeyring).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}
