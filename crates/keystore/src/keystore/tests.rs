//! The key store as the daemon uses it, on an encrypted file and on a keyring that can be locked.

mod moving;
mod passed;
mod rotation;
mod tls;

use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::MacAlgorithm;
use crate::private_file;
use crate::test_stores::TestKeyring;

struct Fixture {
    state: TempDir,
    keyring: TestKeyring,
}

impl Fixture {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let keyring = TestKeyring::new(state.path());
        Self { state, keyring }
    }

    fn open(&self, choice: StoreChoice) -> KeyStore {
        let options = Options {
            choice,
            prefer_keyring: true,
            state_dir: self.state.path().to_owned(),
            ..Options::default()
        };
        KeyStore::with_keyring(&options, Box::new(self.keyring.clone())).unwrap()
    }

    /// As a service to which systemd passes these credentials.
    fn with_passed(&self, choice: StoreChoice, passed: &[(&str, &[u8])]) -> Result<KeyStore, Error> {
        let directory = self.state.path().join("passed");
        std::fs::create_dir_all(&directory).unwrap();
        for (name, content) in passed {
            private_file::replace(&directory.join(name), content).unwrap();
        }
        let options = Options {
            choice,
            state_dir: self.state.path().to_owned(),
            credentials_directory: Some(directory),
            ..Options::default()
        };
        KeyStore::with_keyring(&options, Box::new(self.keyring.clone()))
    }

    fn file(&self) -> KeyStore {
        self.open(StoreChoice::EncryptedFile)
    }
}

fn pkcs8(algorithm: Algorithm) -> Secret {
    PrivateKey::generate(algorithm, None).unwrap().to_pkcs8().unwrap()
}

fn pem(der: &Secret) -> Secret {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode(der.expose());
    Secret::new(format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n").into_bytes())
}

fn key_of(current: Option<Current>) -> (String, String) {
    match current {
        Some(Current::Key { version, kid, .. }) => (version, kid),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_secret_is_stored_found_after_a_restart_replaced_and_removed() {
    for choice in [StoreChoice::EncryptedFile, StoreChoice::OsKeyring] {
        let fixture = Fixture::new();
        let mut store = fixture.open(choice);
        assert_eq!(store.current("one"), Ok(None));
        assert_eq!(store.list(None), Ok(vec![]));
        let first = store.set_secret("one", &"first".into(), Storing::at(10)).unwrap();
        let second = store.set_secret("one", &"second + : % & = é".into(), Storing::at(20)).unwrap();
        assert_ne!(first[0].version, second[0].version);
        drop(store);

        let mut store = fixture.open(choice);
        assert_eq!(store.list(None).unwrap(), second);
        let [stored] = second.as_slice() else { panic!("{second:?}") };
        assert_eq!(
            (stored.client.as_str(), stored.kind, stored.created),
            ("one", CredentialKind::Secret, Some(20))
        );
        assert_eq!(Some(stored.store), store.kind());
        let current = store.current("one").unwrap().unwrap();
        let expected =
            Current::Secret { version: stored.version.clone(), secret: "second + : % & = é".into() };
        assert_eq!(current, expected);
        assert_eq!((current.version(), current.kind()), (stored.version.as_str(), CredentialKind::Secret));

        assert_eq!(store.remove("one").unwrap(), second);
        assert_eq!(store.current("one"), Ok(None));
        assert!(matches!(store.remove("one"), Err(Error::NotFound { .. })));
    }
}

#[test]
fn many_secrets_are_stored_at_once_and_replace_what_was_there() {
    for choice in [StoreChoice::EncryptedFile, StoreChoice::OsKeyring] {
        let fixture = Fixture::new();
        let mut store = fixture.open(choice);
        let before = store.set_secret("two", &"old".into(), Storing::at(10)).unwrap();
        store.set_secret("three", &"stays".into(), Storing::at(10)).unwrap();
        let secrets = ["one", "two"].map(|client| (client.to_owned(), SecretString::from(client)));
        store.set_secrets(BTreeMap::from(secrets), 5).unwrap();

        let mut store = fixture.open(choice);
        let listed = store.list(None).unwrap();
        let clients: Vec<_> = listed.iter().map(|stored| (stored.client.as_str(), stored.created)).collect();
        assert_eq!(clients, [("one", Some(5)), ("three", Some(10)), ("two", Some(5))]);
        assert_ne!(store.list(Some("two")).unwrap(), before);
        for (client, secret) in [("one", "one"), ("two", "two"), ("three", "stays")] {
            let Some(Current::Secret { secret: stored, .. }) = store.current(client).unwrap() else {
                panic!("{client} has a secret")
            };
            assert_eq!(stored, SecretString::from(secret));
        }
        let newer = store.set_secret("two", &"newer".into(), Storing::at(1)).unwrap();
        assert_eq!(newer.len(), 1, "the order goes on from what was stored together");
    }
}

#[test]
fn one_secret_that_is_refused_keeps_the_others_from_being_stored() {
    let fixture = Fixture::new();
    let mut store = fixture.file();
    for (client, secret) in [("two", ""), ("a/b", "x")] {
        let secrets = [("one", "fine"), (client, secret)];
        let secrets = secrets.map(|(client, secret)| (client.to_owned(), SecretString::from(secret)));
        assert!(matches!(store.set_secrets(BTreeMap::from(secrets), 5), Err(Error::Refused { .. })));
    }
    assert_eq!(store.list(None), Ok(vec![]));
}

#[test]
fn a_generated_key_signs_what_its_public_half_verifies() {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    let fixture = Fixture::new();
    let mut store = fixture.file();
    let public = store.generate_key("one", Algorithm::EdDsa, None, None, Storing::at(10)).unwrap();
    let (version, kid) = key_of(store.current("one").unwrap());
    assert_eq!((&version, &kid), (&public.version, &public.kid));
    assert_eq!(store.public_keys("one").unwrap(), std::slice::from_ref(&public));

    let jwk: serde_json::Value = serde_json::from_str(&public.jwk).unwrap();
    assert_eq!(jwk["kid"], kid.as_str());
    let x = base64_url(jwk["x"].as_str().unwrap());
    let signature = store.sign("one", &version, Algorithm::EdDsa, b"input").unwrap();
    assert!(UnparsedPublicKey::new(&ED25519, x).verify(b"input", &signature).is_ok());
}

#[test]
fn a_secret_authenticates_as_in_rfc_7515_appendix_a_1() {
    const INPUT: &[u8] =
        b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQo\
                           gImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let secret =
        base64_url("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
    let tag = MacAlgorithm::Hs256.tag(&secret, INPUT);
    assert_eq!(tag, base64_url("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
}

#[test]
fn only_a_secret_authenticates_and_only_while_it_is_there() {
    let fixture = Fixture::new();
    let mut store = fixture.file();
    store.set_secret("one", &"s3cret".into(), Storing::at(10)).unwrap();
    let version = store.current("one").unwrap().unwrap().version().to_owned();
    for (algorithm, length) in
        [(MacAlgorithm::Hs256, 32), (MacAlgorithm::Hs384, 48), (MacAlgorithm::Hs512, 64)]
    {
        let tag = store.authenticate("one", &version, algorithm, b"input").unwrap();
        assert_eq!(tag, algorithm.tag(b"s3cret", b"input"));
        assert_eq!(tag.len(), length);
    }
    let key = store.generate_key("one", Algorithm::EdDsa, None, None, Storing::at(20)).unwrap();
    let refused = store.authenticate("one", &key.version, MacAlgorithm::Hs256, b"input").unwrap_err();
    assert!(refused.hint().unwrap().contains("tokenbroker secret set one"), "{refused:?}");
    let gone = store.authenticate("one", &version, MacAlgorithm::Hs256, b"input");
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
}

fn base64_url(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}

#[test]
fn keys_of_every_algorithm_are_stored_and_used() {
    let fixture = Fixture::new();
    let mut store = fixture.file();
    for algorithm in Algorithm::ALL {
        let length = match algorithm {
            Algorithm::Es256 | Algorithm::EdDsa => 64,
            Algorithm::Es384 => 96,
            Algorithm::Es512 => 132,
            _ => 256,
        };
        let bits = (length == 256).then_some(2048);
        let public = store.generate_key("one", algorithm, bits, Some("my-key"), Storing::at(10)).unwrap();
        assert_eq!((public.kid.as_str(), public.algorithm), ("my-key", algorithm));
        let signature = store.sign("one", &public.version, algorithm, b"input").unwrap();
        assert_eq!(signature.len(), length);
        let [stored] = store.list(Some("one")).unwrap().try_into().unwrap();
        assert_eq!((stored.algorithm, stored.kid.as_deref()), (Some(algorithm), Some("my-key")));
        assert_eq!(stored.kind, CredentialKind::PrivateKey);
    }
}

#[test]
fn an_imported_key_replaces_a_secret() {
    let fixture = Fixture::new();
    let mut store = fixture.file();
    store.set_secret("one", &"x".into(), Storing::at(10)).unwrap();
    let key = pkcs8(Algorithm::Es256);
    let public = store.import_key("one", Some(Algorithm::Es256), &pem(&key), None, Storing::at(20)).unwrap();
    let expected = PrivateKey::from_pkcs8(Algorithm::Es256, &key).unwrap().public().unwrap();
    assert_eq!((public.kid, public.pem), (expected.thumbprint(), expected.pem()));
    assert_eq!(store.list(None).unwrap().len(), 1);
}

#[test]
fn s58_a_refused_key_changes_nothing() {
    let fixture = Fixture::new();
    let mut store = fixture.open(StoreChoice::Auto);
    let ed25519 = pem(&pkcs8(Algorithm::EdDsa));
    for refused in [
        store.import_key("one", Some(Algorithm::Es256), &ed25519, None, Storing::at(10)),
        store.import_key("one", Some(Algorithm::EdDsa), &ed25519, Some("not a kid"), Storing::at(10)),
        store.generate_key("one", Algorithm::Rs256, Some(1024), None, Storing::at(10)),
        store.generate_key("one", Algorithm::EdDsa, None, Some(""), Storing::at(10)),
    ] {
        assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    }
    assert_eq!(store.kind(), None, "not even where credentials go was decided");
    store.set_secret("one", &"x".into(), Storing::at(10)).unwrap();
    store.import_key("one", Some(Algorithm::Es256), &ed25519, None, Storing::at(10)).unwrap_err();
    assert!(matches!(store.current("one"), Ok(Some(Current::Secret { .. }))));
}

#[test]
fn secrets_that_can_not_be_meant_are_refused_without_repeating_them() {
    let fixture = Fixture::new();
    let mut store = fixture.file();
    let long = "c4n4ry".repeat(400);
    for (secret, words) in [
        ("", "empty"),
        ("c4n4ry\n", "line break"),
        ("-----BEGIN PRIVATE KEY-----\nc4n4ry", "in PEM"),
        (&long, "longer than 2048 bytes"),
    ] {
        let error = store.set_secret("one", &secret.into(), Storing::at(10)).unwrap_err();
        assert!(error.message().contains(words) && error.hint().is_some(), "{error:?}");
        assert!(!format!("{error:?}").contains("c4n4ry"), "{error:?}");
    }
    for client in ["", "a/b", "a\nb"] {
        assert!(
            matches!(store.set_secret(client, &"x".into(), Storing::at(10)), Err(Error::Refused { .. })),
            "{client:?}"
        );
    }
    assert!(!fixture.state.path().join("keystore").exists());
}

#[test]
fn s55_a_key_that_is_gone_does_not_sign() {
    let fixture = Fixture::new();
    let mut store = fixture.file();
    let public = store.generate_key("one", Algorithm::EdDsa, None, None, Storing::at(10)).unwrap();
    // Behind this one's back.
    fixture.file().remove("one").unwrap();
    let signed = store.sign("one", &public.version, Algorithm::EdDsa, b"input");
    assert!(matches!(signed, Err(Error::NotFound { .. })), "{signed:?}");
    assert_eq!(store.current("one"), Ok(None));
}

#[test]
fn signing_with_what_is_no_key_for_the_algorithm_is_refused() {
    let fixture = Fixture::new();
    let mut store = fixture.file();
    let key = store.generate_key("one", Algorithm::EdDsa, None, None, Storing::at(10)).unwrap();
    let error = store.sign("one", &key.version, Algorithm::Es256, b"input").unwrap_err();
    assert!(error.message().contains("is for EdDSA, and ES256 is asked for"), "{error:?}");
    let [secret] = store.set_secret("one", &"x".into(), Storing::at(10)).unwrap().try_into().unwrap();
    let error = store.sign("one", &secret.version, Algorithm::Es256, b"input").unwrap_err();
    assert!(error.hint().unwrap().contains("key generate one"), "{error:?}");
}

#[test]
fn a_key_that_is_not_in_use_is_retired_by_its_id() {
    let fixture = Fixture::new();
    let mut store = fixture.file();
    let public = store.generate_key("one", Algorithm::EdDsa, None, None, Storing::at(10)).unwrap();
    let refused = store.retire("one", &public.kid).unwrap_err();
    assert!(refused.hint().unwrap().contains("tokenbroker key generate one --next"), "{refused:?}");
    assert_eq!(store.list(None).unwrap().len(), 1);
    let next = store.generate_key("one", Algorithm::EdDsa, None, None, Storing::at(11).as_next()).unwrap();
    assert_eq!(store.promote("one", &next.version), Ok(true));
    let error = store.retire("one", "another").unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("tokenbroker key list one"), "{error:?}");
    assert!(matches!(store.retire("two", &public.kid), Err(Error::NotFound { .. })));
    assert_eq!(store.retire("one", &public.kid).unwrap().version, public.version);
    assert_eq!(store.list(None).unwrap().len(), 1);
    assert!(matches!(store.retire("one", &public.kid), Err(Error::NotFound { .. })));
    assert!(matches!(store.retire("one", &next.kid), Err(Error::Refused { .. })));
}

#[test]
fn s52_a_locked_keyring_is_unavailable_and_works_again_once_unlocked() {
    let fixture = Fixture::new();
    let mut store = fixture.open(StoreChoice::OsKeyring);
    store.set_secret("one", &"x".into(), Storing::at(10)).unwrap();
    fixture.keyring.lock(true);
    assert!(matches!(store.current("one"), Err(Error::Unavailable { .. })));
    assert!(matches!(store.set_secret("one", &"y".into(), Storing::at(20)), Err(Error::Unavailable { .. })));
    assert!(matches!(
        store.generate_key("one", Algorithm::Rs256, None, None, Storing::at(20)),
        Err(Error::Unavailable { .. })
    ));
    fixture.keyring.lock(false);
    assert!(
        matches!(store.current("one"), Ok(Some(Current::Secret { secret, .. })) if secret.expose() == "x")
    );
}

#[test]
fn the_sealing_key_is_beside_the_credentials_and_stays_when_they_go() {
    for choice in [StoreChoice::EncryptedFile, StoreChoice::OsKeyring] {
        let fixture = Fixture::new();
        let mut store = fixture.open(choice);
        store.set_secret("one", &"x".into(), Storing::at(10)).unwrap();
        assert!(store.sealing_key().unwrap().is_none(), "reading makes none");
        let id = store.sealing_key_or_new().unwrap().unwrap().id();
        assert_eq!(store.sealing_key_or_new().unwrap().unwrap().id(), id);

        assert_eq!(store.list(None).unwrap().len(), 1);
        for name in ["token-key", ""] {
            assert_eq!(store.current(name).unwrap(), None);
            assert!(matches!(store.remove(name), Err(Error::NotFound { .. })));
        }
        store.remove("one").unwrap();
        assert_eq!(store.notes().len(), 1, "{:?}", store.notes());
        drop(store);

        let mut store = fixture.open(choice);
        assert_eq!(store.sealing_key().unwrap().unwrap().id(), id);
        store.remove_sealing_key().unwrap();
        assert!(store.sealing_key().unwrap().is_none());
        store.remove_sealing_key().unwrap();
    }
}

#[test]
fn a_client_called_like_the_sealing_key_has_credentials_of_its_own() {
    let fixture = Fixture::new();
    let mut store = fixture.file();
    store.set_secret("token-key", &"x".into(), Storing::at(10)).unwrap();
    let id = store.sealing_key_or_new().unwrap().unwrap().id();
    store.remove("token-key").unwrap();
    assert_eq!(store.sealing_key().unwrap().unwrap().id(), id);
}

#[test]
fn the_sealing_key_does_not_decide_where_credentials_go() {
    let fixture = Fixture::new();
    let mut store = fixture.open(StoreChoice::Auto);
    assert!(store.sealing_key_or_new().unwrap().is_none());
    store.remove_sealing_key().unwrap();
    assert_eq!(store.kind(), None);
    assert_eq!(std::fs::read_dir(fixture.state.path()).unwrap().count(), 0);

    store.set_secret("one", &"x".into(), Storing::at(10)).unwrap();
    assert!(store.sealing_key_or_new().unwrap().is_some());
}

#[test]
fn s52_the_sealing_key_waits_for_a_locked_keyring() {
    let fixture = Fixture::new();
    let mut store = fixture.open(StoreChoice::OsKeyring);
    let id = store.sealing_key_or_new().unwrap().unwrap().id();
    fixture.keyring.lock(true);
    assert!(matches!(store.sealing_key(), Err(Error::Unavailable { .. })));
    assert!(matches!(store.sealing_key_or_new(), Err(Error::Unavailable { .. })));
    assert!(matches!(store.remove_sealing_key(), Err(Error::Unavailable { .. })));
    fixture.keyring.lock(false);
    assert_eq!(store.sealing_key().unwrap().unwrap().id(), id);
}

#[test]
fn s71_a_credential_of_a_newer_version_is_reported_and_never_removed() {
    use keyring_core::api::CredentialStoreApi as _;

    let fixture = Fixture::new();
    let mut store = fixture.open(StoreChoice::OsKeyring);
    let future = fixture.keyring.store.build(vault::SERVICE, "one/ff", None).unwrap();
    future.set_secret(b"\x07from the future").unwrap();

    for error in [store.current("one").unwrap_err(), store.remove("one").unwrap_err()] {
        assert!(error.message().contains("newer tokenbroker"), "{error:?}");
    }
    let noted = |store: &KeyStore| store.notes().iter().any(|note| note.contains("one/ff is left alone"));
    assert!(noted(&store));
    store.set_secret("one", &"x".into(), Storing::at(10)).unwrap();
    assert!(matches!(store.current("one"), Ok(Some(_))), "a new credential does instead");
    store.remove("one").unwrap();
    assert_eq!(future.get_secret().unwrap(), b"\x07from the future");

    future.delete_credential().unwrap();
    store.list(None).unwrap();
    assert!(!noted(&store));
}

#[test]
fn s77_a_lost_key_says_which_clients_need_what() {
    let fixture = Fixture::new();
    let mut store = fixture.file();
    store.set_secret("one", &"x".into(), Storing::at(10)).unwrap();
    store.generate_key("two", Algorithm::EdDsa, None, None, Storing::at(10)).unwrap();
    drop(store);
    std::fs::remove_file(fixture.state.path().join("keystore.key")).unwrap();

    let mut store = fixture.file();
    for error in [
        store.current("one").unwrap_err(),
        store.list(None).unwrap_err(),
        store.set_secret("three", &"y".into(), Storing::at(20)).unwrap_err(),
    ] {
        let Error::KeyLost { hint, needed, .. } = error else { panic!("{error:?}") };
        let needed: Vec<_> = needed.iter().map(|needed| (needed.client.as_str(), needed.kind)).collect();
        assert_eq!(
            needed,
            [("one", Some(CredentialKind::Secret)), ("two", Some(CredentialKind::PrivateKey))]
        );
        assert!(hint.contains("tokenbroker secret set one; tokenbroker key generate two"), "{hint}");
    }
}

#[test]
fn s57_nothing_secret_reaches_the_disk_or_a_printed_value() {
    let fixture = Fixture::new();
    let mut store = fixture.file();
    let key = pkcs8(Algorithm::EdDsa);
    store.import_key("key", Some(Algorithm::EdDsa), &pem(&key), None, Storing::at(10)).unwrap();
    store.set_secret("secret", &"c4n4ry-of-a-secret".into(), Storing::at(10)).unwrap();
    let seed = &key.expose()[key.len() - 32..];
    for (name, bytes) in files(fixture.state.path()) {
        for canary in [&b"c4n4ry"[..], seed] {
            assert!(!bytes.windows(canary.len()).any(|window| window == canary), "{name}");
        }
    }
    let printed = format!("{:?} {store:?}", store.current("secret"));
    assert!(!printed.contains("c4n4ry"), "{printed}");
}

fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

#[test]
fn a_key_store_can_be_given_to_a_thread_of_its_own() {
    fn sendable<T: Send>() {}
    sendable::<KeyStore>();
}
