//! The key store on a real gnome-keyring: used, restarted, locked, absent.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what fails in a helper of a test fails the test")]

mod session;

use std::path::Path;
use std::time::Duration;

use tokenbroker_keystore::{Algorithm, Current, Error, KeyStore, Options, StoreChoice, StoreKind, Storing};

use self::session::{Bus, Desktop, in_session, restart_keyring, unlock_keyring, within};

fn open(directory: &Path, choice: StoreChoice) -> KeyStore {
    let state_dir = directory.join("state");
    std::fs::create_dir_all(&state_dir).unwrap();
    KeyStore::open(Options { choice, prefer_keyring: true, state_dir, ..Options::default() }).unwrap()
}

/// On a keyring that is unlocked and answers.
fn open_unlocked(directory: &Path, choice: StoreChoice) -> KeyStore {
    unlock_keyring();
    let store = open(directory, StoreChoice::OsKeyring);
    let ready = within(Duration::from_secs(20), || store.list(None).ok());
    assert!(ready.is_some(), "{:?}", store.list(None));
    open(directory, choice)
}

/// Why the keyring can't be used, and what to do.
fn unavailable<T: std::fmt::Debug>(result: Result<T, Error>) -> (String, String) {
    match result {
        Err(error @ Error::Unavailable { .. }) => {
            (error.message(), error.hint().unwrap_or_default().to_owned())
        }
        other => panic!("{other:?}"),
    }
}

fn secret(store: &KeyStore, client: &str) -> Option<String> {
    match store.current(client).unwrap() {
        Some(Current::Secret { secret, .. }) => Some(secret.expose().to_owned()),
        Some(Current::Key { kid, .. }) => panic!("{kid}"),
        None => None,
    }
}

#[test]
fn credentials_are_set_listed_replaced_used_and_removed() {
    in_session("credentials_are_set_listed_replaced_used_and_removed", Bus::Fresh, |directory| {
        let mut store = open_unlocked(directory, StoreChoice::OsKeyring);
        assert_eq!(store.list(None), Ok(vec![]));
        store.set_secret("one", &"first".into(), Storing::at(10)).unwrap();
        let stored = store.set_secret("one", &"second: é".into(), Storing::at(20)).unwrap();
        let public = store.generate_key("two", Algorithm::Rs256, Some(3072), None, Storing::at(30)).unwrap();
        assert_eq!(Desktop::new().search(), (2, 0));
        drop(store);

        let mut store = open(directory, StoreChoice::OsKeyring);
        assert_eq!(store.list(Some("one")).unwrap(), stored);
        assert_eq!(store.list(None).unwrap().len(), 2);
        assert_eq!((stored[0].store, stored[0].created), (StoreKind::OsKeyring, Some(20)));
        assert_eq!(secret(&store, "one").as_deref(), Some("second: é"));
        assert_eq!(store.public_keys("two").unwrap(), std::slice::from_ref(&public));
        assert_eq!(store.sign("two", &public.version, Algorithm::Rs256, b"input").unwrap().len(), 384);

        assert_eq!(store.remove("one").unwrap(), stored);
        store.remove("two").unwrap();
        assert_eq!(store.list(None), Ok(vec![]));
        assert!(matches!(
            store.sign("two", &public.version, Algorithm::Rs256, b"input"),
            Err(Error::NotFound { .. })
        ));
        assert_eq!(Desktop::new().search(), (0, 0));
    });
}

#[test]
fn s52_a_locked_keyring_is_unavailable_and_nobody_is_prompted() {
    in_session("s52_a_locked_keyring_is_unavailable_and_nobody_is_prompted", Bus::Fresh, |directory| {
        let mut store = open_unlocked(directory, StoreChoice::OsKeyring);
        let [stored] = store.set_secret("one", &"x".into(), Storing::at(10)).unwrap().try_into().unwrap();
        let desktop = Desktop::new();
        desktop.lock();

        // One that was connected before, and one that connects now.
        for mut store in [store, open(directory, StoreChoice::OsKeyring)] {
            for (why, hint) in [
                unavailable(store.current("one")),
                unavailable(store.list(None)),
                unavailable(store.set_secret("one", &"y".into(), Storing::at(20))),
                unavailable(store.remove("one")),
                unavailable(store.sign("one", &stored.version, Algorithm::Rs256, b"x")),
            ] {
                assert!(why.contains("locked") && hint.contains("--replace --unlock"), "{why} {hint}");
            }
        }
        assert_eq!(desktop.prompts(), 0);
        desktop.ask_for_a_prompt();

        restart_keyring();
        let store = open(directory, StoreChoice::OsKeyring);
        let found = within(Duration::from_secs(20), || store.current("one").ok());
        assert!(matches!(found, Some(Some(Current::Secret { .. }))), "{found:?}");
    });
}

#[test]
fn credentials_survive_a_restart_of_the_keyring() {
    in_session("credentials_survive_a_restart_of_the_keyring", Bus::Fresh, |directory| {
        let mut store = open_unlocked(directory, StoreChoice::OsKeyring);
        store.set_secret("one", &"x".into(), Storing::at(10)).unwrap();
        restart_keyring();
        let found = within(Duration::from_secs(20), || store.current("one").ok());
        assert!(matches!(found, Some(Some(Current::Secret { .. }))), "{found:?}");
        store.set_secret("one", &"y".into(), Storing::at(20)).unwrap();
        assert_eq!(secret(&store, "one").as_deref(), Some("y"));
    });
}

#[test]
fn s53_auto_takes_a_keyring_that_works_and_stays_with_it() {
    in_session("s53_auto_takes_a_keyring_that_works_and_stays_with_it", Bus::Fresh, |directory| {
        let mut store = open_unlocked(directory, StoreChoice::Auto);
        assert_eq!(store.kind(), None);
        store.set_secret("one", &"x".into(), Storing::at(10)).unwrap();
        assert_eq!(store.kind(), Some(StoreKind::OsKeyring));

        Desktop::new().lock();
        let mut store = open(directory, StoreChoice::Auto);
        assert_eq!(store.kind(), Some(StoreKind::OsKeyring));
        unavailable(store.set_secret("two", &"y".into(), Storing::at(20)));
        let mut other = open(directory, StoreChoice::EncryptedFile);
        assert!(matches!(
            other.set_secret("two", &"y".into(), Storing::at(20)),
            Err(Error::WouldChange { .. })
        ));
    });
}

#[test]
fn s52_without_a_bus_it_is_unavailable_and_auto_takes_the_file() {
    in_session("s52_without_a_bus_it_is_unavailable_and_auto_takes_the_file", Bus::None, |directory| {
        let mut store = open(directory, StoreChoice::OsKeyring);
        let (why, hint) = unavailable(store.set_secret("one", &"x".into(), Storing::at(10)));
        assert!(why.contains("no session bus") && hint.contains("encrypted-file"), "{why} {hint}");
        unavailable(store.current("one"));

        let mut store = open(directory, StoreChoice::Auto);
        store.set_secret("one", &"x".into(), Storing::at(10)).unwrap();
        assert_eq!(store.kind(), Some(StoreKind::EncryptedFile));
        assert_eq!(secret(&store, "one").as_deref(), Some("x"));
    });
}

#[test]
fn s52_a_bus_without_a_keyring_is_unavailable() {
    in_session("s52_a_bus_without_a_keyring_is_unavailable", Bus::Bare, |directory| {
        let store = open(directory, StoreChoice::OsKeyring);
        let (why, hint) = unavailable(store.list(None));
        assert!(why.contains("no OS keyring") && hint.contains("gnome-keyring"), "{why} {hint}");
    });
}

#[test]
fn s52_a_keyring_that_was_never_set_up_is_unavailable() {
    in_session("s52_a_keyring_that_was_never_set_up_is_unavailable", Bus::Fresh, |directory| {
        let desktop = Desktop::new();
        let mut store = open(directory, StoreChoice::OsKeyring);
        for (why, hint) in [
            unavailable(store.list(None)),
            unavailable(store.set_secret("one", &"x".into(), Storing::at(10))),
        ] {
            assert!(
                why.contains("no default collection") && hint.contains("--replace --unlock"),
                "{why} {hint}"
            );
        }
        assert_eq!(desktop.prompts(), 0);

        // What the hint says.
        restart_keyring();
        let ready = within(Duration::from_secs(20), || store.list(None).ok());
        assert_eq!(ready, Some(vec![]));
    });
}
