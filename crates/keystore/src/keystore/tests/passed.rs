//! Credentials that systemd passes.

use super::*;

fn hint(error: &Error) -> &str {
    error.hint().unwrap()
}

#[test]
fn they_are_used_and_never_written() {
    let fixture = Fixture::new();
    let key = pem(&pkcs8(Algorithm::Es256));
    let passed = [
        ("client_one.secret", &b"s3cret\n"[..]),
        ("client_two.key", key.expose()),
        ("client_two.kid", b"mine\n"),
        ("something.else", b"x"),
    ];
    let mut store = fixture.with_passed(StoreChoice::Auto, &passed).unwrap();
    let [one, two] = store.list(None).unwrap().try_into().unwrap();
    assert_eq!((one.client.as_str(), one.kind), ("one", CredentialKind::Secret));
    assert_eq!((one.store, one.standing), (StoreKind::SystemdCredentials, Standing::Current));
    assert_eq!((two.kid.as_deref(), two.algorithm), (Some("mine"), Some(Algorithm::Es256)));
    let Some(Current::Secret { secret, version }) = store.current("one").unwrap() else { panic!("a secret") };
    assert_eq!((secret.expose(), &version), ("s3cret", &one.version));
    assert!(store.authenticate("one", &version, MacAlgorithm::Hs256, b"x").is_ok());
    assert_eq!(store.sign("two", &two.version, Algorithm::Es256, b"x").unwrap().len(), 64);
    assert_eq!(store.public_keys("two").unwrap()[0].kid, "mine");

    let next = Storing::at(1).as_next();
    let errors = [
        store.set_secret("one", &"y".into(), Storing::at(1)).map(drop).unwrap_err(),
        store.generate_key("two", Algorithm::Es256, None, None, next).map(drop).unwrap_err(),
        store.remove("one").map(drop).unwrap_err(),
    ];
    for error in &errors {
        assert!(matches!(error, Error::Refused { .. }) && error.message().contains("systemd"), "{error:?}");
    }
    assert!(hint(&errors[0]).contains("systemd-creds encrypt --name=client_one.secret"), "{errors:?}");
    assert!(hint(&errors[1]).contains("client_two.key"), "{errors:?}");
    assert!(hint(&errors[2]).contains("client_one.secret"), "{errors:?}");

    // Others are stored as ever.
    store.set_secret("three", &"z".into(), Storing::at(1)).unwrap();
    assert_eq!(store.list(None).unwrap().len(), 3);
    let again = fixture.with_passed(StoreChoice::Auto, &[]).unwrap();
    assert_eq!(again.current("one").unwrap().unwrap().version(), version, "versions outlive a restart");
    assert!(store.sealing_key_or_new().unwrap().is_some());
}

#[test]
fn a_version_changes_with_the_content_and_tells_nothing_of_it() {
    let versions = [&b"a"[..], b"b", b"a"].map(|content| {
        let fixture = Fixture::new();
        let store = fixture.with_passed(StoreChoice::Auto, &[("client_one.secret", content)]).unwrap();
        store.current("one").unwrap().unwrap().version().to_owned()
    });
    assert_ne!(versions[0], versions[1]);
    assert_ne!(versions[0], versions[2], "on another host the same secret has another");
}

#[test]
fn what_is_stored_as_well_is_not_used() {
    let fixture = Fixture::new();
    fixture.file().set_secret("one", &"stored".into(), Storing::at(1)).unwrap();
    let store = fixture.with_passed(StoreChoice::Auto, &[("client_one.secret", b"passed")]).unwrap();
    let listed: Vec<_> =
        store.list(Some("one")).unwrap().iter().map(|one| (one.store, one.standing)).collect();
    let expected =
        [(StoreKind::SystemdCredentials, Standing::Current), (StoreKind::EncryptedFile, Standing::Previous)];
    assert_eq!(listed, expected);
    let Some(Current::Secret { secret, .. }) = store.current("one").unwrap() else { panic!("a secret") };
    assert_eq!(secret.expose(), "passed");
}

#[test]
fn where_one_credential_is_meant_two_are_refused_and_no_other_client_suffers() {
    let fixture = Fixture::new();
    let key = pem(&pkcs8(Algorithm::EdDsa));
    let passed = [
        ("client_one.secret", &b"x"[..]),
        ("client_one.key", key.expose()),
        ("client_two.secret", b"two\nlines\n"),
        ("client_three.secret", b"fine"),
    ];
    let store = fixture.with_passed(StoreChoice::Auto, &passed).unwrap();
    let error = store.current("one").unwrap_err();
    assert!(error.message().contains("two credentials for client one"), "{error:?}");
    let error = store.current("two").unwrap_err();
    assert!(error.message().contains("client_two.secret"), "{error:?}");
    assert!(!format!("{error:?}").contains("lines"), "{error:?}");
    assert!(store.current("three").unwrap().is_some());
    let all = store.list(None).unwrap();
    let shown: Vec<_> = all.iter().map(|one| (one.client.as_str(), one.version == "unusable")).collect();
    assert_eq!(shown, [("one", true), ("three", false), ("two", true)]);
    assert_eq!(store.list(Some("one")).unwrap_err(), store.current("one").unwrap_err());
}

#[test]
fn the_store_can_be_systemd_alone() {
    let fixture = Fixture::new();
    let choice = StoreChoice::SystemdCredentials;
    let mut store = fixture.with_passed(choice, &[("client_one.secret", b"x")]).unwrap();
    assert_eq!(store.kind(), Some(StoreKind::SystemdCredentials));
    assert!(store.current("one").unwrap().is_some() && store.current("two").unwrap().is_none());
    let error = store.set_secret("two", &"y".into(), Storing::at(1)).unwrap_err();
    assert!(hint(&error).contains("client_two.secret"), "{error:?}");
    assert!(store.sealing_key_or_new().unwrap().is_some(), "tokens can still be kept");

    let options = Options { choice, state_dir: fixture.state.path().to_owned(), ..Options::default() };
    let error = KeyStore::with_keyring(&options, Box::new(fixture.keyring.clone())).unwrap_err();
    assert!(hint(&error).contains("LoadCredentialEncrypted="), "{error:?}");
}

#[test]
fn s53_what_is_stored_does_not_disappear_when_the_store_is_to_be_systemd_alone() {
    let fixture = Fixture::new();
    fixture.file().set_secret("one", &"stored".into(), Storing::at(1)).unwrap();
    let store = fixture.with_passed(StoreChoice::SystemdCredentials, &[]).unwrap();
    assert!(matches!(store.current("one"), Err(Error::WouldChange { .. })));
}
