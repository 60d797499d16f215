//! Two credentials of one client at a time.

use super::*;

fn versions(live: Option<Live>) -> (Option<String>, Option<String>) {
    let version = |usable: Usable| usable.stored.version;
    let Some(Live { current, next }) = live else { return (None, None) };
    (Some(version(current)), next.map(version))
}

#[test]
fn s54_the_next_secret_stands_beside_the_one_in_use_and_takes_its_place_when_promoted() {
    for choice in [StoreChoice::EncryptedFile, StoreChoice::OsKeyring] {
        let fixture = Fixture::new();
        let mut store = fixture.open(choice);
        store.set_secret("one", &"old".into(), Storing::at(10)).unwrap();
        let storing = Storing { expires: Some(99), ..Storing::at(20).as_next() };
        let [next, current] = store.set_secret("one", &"new".into(), storing).unwrap().try_into().unwrap();
        assert_eq!((next.standing, next.expires), (Standing::Next, Some(99)));
        assert_eq!((current.standing, current.expires), (Standing::Current, None));

        let mut restarted = fixture.open(choice);
        let both = (Some(current.version), Some(next.version.clone()));
        assert_eq!(versions(restarted.live("one").unwrap()), both);
        assert!(!restarted.promote("two", &next.version).unwrap());
        assert!(restarted.promote("one", &next.version).unwrap());
        assert_eq!(versions(restarted.live("one").unwrap()), (Some(next.version), None));
        assert_eq!(restarted.list(None).unwrap().len(), 1, "the old secret is removed");
        assert!(matches!(restarted.withdraw("one"), Err(Error::NotFound { .. })));
    }
}

#[test]
fn both_keys_are_published_and_the_one_before_until_it_is_retired() {
    let fixture = Fixture::new();
    let mut store = fixture.file();
    let old = store.generate_key("one", Algorithm::EdDsa, None, None, Storing::at(10)).unwrap();
    let new = store.generate_key("one", Algorithm::EdDsa, None, None, Storing::at(20).as_next()).unwrap();
    let standings = |store: &KeyStore| -> Vec<_> {
        store.public_keys("one").unwrap().into_iter().map(|key| (key.kid, key.standing)).collect()
    };
    let (kid, old_kid) = (new.kid.clone(), old.kid.clone());
    assert_eq!(standings(&store), [(kid.clone(), Standing::Next), (old_kid.clone(), Standing::Current)]);
    assert!(store.promote("one", &new.version).unwrap());
    assert_eq!(standings(&store), [(kid.clone(), Standing::Current), (old_kid, Standing::Previous)]);
    store.retire("one", &old.kid).unwrap();
    assert_eq!(standings(&store), [(kid, Standing::Current)]);
}

#[test]
fn a_next_credential_that_is_withdrawn_leaves_the_one_in_use() {
    let fixture = Fixture::new();
    let mut store = fixture.file();
    store.set_secret("one", &"old".into(), Storing::at(10)).unwrap();
    store.set_secret("one", &"new".into(), Storing::at(20).as_next()).unwrap();
    assert_eq!(store.withdraw("one").unwrap().standing, Standing::Next);
    assert!(matches!(store.live("one").unwrap(), Some(Live { next: None, .. })));
    let [left] = store.remove("one").unwrap().try_into().unwrap();
    assert_eq!(left.standing, Standing::Current);
    assert_eq!(store.live("one"), Ok(None));
}

#[test]
fn s54_what_was_accepted_while_the_store_failed_is_in_use_and_is_not_lost() {
    let fixture = Fixture::new();
    let mut store = fixture.open(StoreChoice::OsKeyring);
    store.set_secret("one", &"old".into(), Storing::at(10)).unwrap();
    let [next, _] =
        store.set_secret("one", &"new".into(), Storing::at(20).as_next()).unwrap().try_into().unwrap();
    fixture.keyring.lock(true);
    assert!(matches!(store.promote("one", &next.version), Err(Error::Unavailable { .. })));
    fixture.keyring.lock(false);
    assert_eq!(versions(store.live("one").unwrap()), (Some(next.version.clone()), None));
    assert_eq!(store.list(Some("one")).unwrap()[0].standing, Standing::Current);

    // Another next one takes nothing away from it, and withdrawing that leaves it.
    let third = store.set_secret("one", &"third".into(), Storing::at(30).as_next()).unwrap();
    let standings: Vec<_> = third.iter().map(|stored| (stored.version.clone(), stored.standing)).collect();
    let of_third = (third[0].version.clone(), Standing::Next);
    assert_eq!(standings, [of_third, (next.version.clone(), Standing::Current)]);
    assert_eq!(store.withdraw("one").unwrap().version, third[0].version);
    assert!(matches!(store.withdraw("one"), Err(Error::NotFound { .. })));
    assert_eq!(
        versions(fixture.open(StoreChoice::OsKeyring).live("one").unwrap()),
        (Some(next.version), None)
    );
}

#[test]
fn s54_what_was_noted_as_accepted_is_not_replaced_by_another_next_one() {
    let fixture = Fixture::new();
    let mut store = fixture.file();
    store.set_secret("one", &"old".into(), Storing::at(10)).unwrap();
    let noted = store.set_secret("one", &"new".into(), Storing::at(20).as_next()).unwrap()[0].version.clone();
    store.accepted().note("one", &noted);
    let third =
        store.set_secret("one", &"third".into(), Storing::at(30).as_next()).unwrap()[0].version.clone();
    assert_eq!(versions(store.live("one").unwrap()), (Some(noted), Some(third)));
}

#[test]
fn a_key_id_names_one_key_and_retiring_the_next_one_withdraws_it() {
    let fixture = Fixture::new();
    let mut store = fixture.file();
    let generate = |store: &mut KeyStore, kid, storing| {
        store.generate_key("one", Algorithm::EdDsa, None, Some(kid), storing)
    };
    let old = generate(&mut store, "a", Storing::at(10)).unwrap();
    let refused = generate(&mut store, "a", Storing::at(20).as_next()).unwrap_err();
    assert!(refused.hint().unwrap().contains("--kid"), "{refused:?}");
    let next = generate(&mut store, "b", Storing::at(20).as_next()).unwrap();
    assert_eq!(store.retire("one", "b").unwrap().version, next.version);
    assert_eq!(versions(store.live("one").unwrap()), (Some(old.version), None));
}
