//! Replacing credentials in a store that fails at the worst moment.

use tempfile::TempDir;

use super::*;
use crate::test_stores::{Fault, Faulty};

struct Fixture {
    _directory: TempDir,
    faulty: Faulty,
    vault: Vault,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let faulty = Faulty::new(directory.path());
        let vault = Vault::new(StoreKind::OsKeyring, Arc::new(faulty.clone()));
        Self { _directory: directory, faulty, vault }
    }

    fn put(&self, client: &str, secret: &str, created: u64) -> Result<Item, Error> {
        self.vault.put(client, Content::Secret(secret.into()), Storing::at(created))
    }

    fn secrets(&self, client: Option<&str>) -> Vec<String> {
        let items = self.vault.find(client).unwrap().items;
        items.into_iter().map(|item| secret_of(&item)).collect()
    }

    /// Puts bytes where a credential would be.
    fn plant(&self, user: &str, bytes: &[u8]) {
        self.faulty.set_fault(Fault::None);
        self.vault.store.build(SERVICE, user, None).unwrap().set_secret(bytes).unwrap();
    }
}

fn secret_of(item: &Item) -> String {
    match &item.envelope.content {
        Content::Secret(secret) => secret.expose().to_owned(),
        Content::Key { kid, .. } => panic!("{kid}"),
    }
}

#[test]
fn a_new_credential_takes_the_place_of_the_old_and_of_no_other_clients() {
    let fixture = Fixture::new();
    fixture.put("one", "first", 10).unwrap();
    fixture.put("two", "other", 10).unwrap();
    let newest = fixture.put("one", "second", 20).unwrap();
    assert_eq!(fixture.secrets(None), ["second", "other"]);
    assert_eq!(newest.version.len(), 16);
    assert_eq!(fixture.vault.get("one", &newest.version).unwrap().unwrap(), newest.envelope);
    assert_eq!(secret_of(&newest), "second");
    assert!(fixture.vault.get("two", &newest.version).unwrap().is_none());
}

#[test]
fn clients_whose_names_begin_alike_are_told_apart() {
    let fixture = Fixture::new();
    for client in ["a", "ab", "a.b", "b"] {
        fixture.put(client, client, 1).unwrap();
    }
    assert_eq!(fixture.secrets(Some("a")), ["a"]);
    assert_eq!(fixture.secrets(None), ["a", "a.b", "ab", "b"]);
}

#[test]
fn s54_the_old_credential_stays_when_the_new_one_can_not_be_stored() {
    for fault in [Fault::Set, Fault::Keep] {
        let fixture = Fixture::new();
        fixture.put("one", "first", 10).unwrap();
        fixture.faulty.set_fault(fault);
        let error = fixture.put("one", "second", 20).map(drop).unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        assert_eq!(fixture.secrets(None), ["first"], "{fault:?}");
        assert!(
            fixture.vault.find(None).unwrap().unreadable.is_empty(),
            "what was kept wrongly is gone: {fault:?}"
        );
    }
}

#[test]
fn s54_the_new_credential_counts_when_the_old_one_can_not_be_deleted() {
    let fixture = Fixture::new();
    // The clock is set back in between: the order does not come from it.
    fixture.put("one", "first", 1000).unwrap();
    fixture.faulty.set_fault(Fault::Delete);
    fixture.put("one", "second", 10).unwrap();
    assert_eq!(fixture.secrets(None), ["second", "first"]);

    fixture.faulty.set_fault(Fault::None);
    fixture.put("one", "third", 20).unwrap();
    assert_eq!(fixture.secrets(None), ["third"], "leftovers go with the next");
}

#[test]
fn s71_what_a_newer_version_wrote_is_reported_and_stays() {
    let fixture = Fixture::new();
    fixture.plant("one/00", b"\x02from the future");
    fixture.plant("one/11", b"\x01\xff");
    fixture.plant("no version in this name", b"x");
    fixture.put("one", "mine", 10).unwrap();
    fixture.put("one", "mine again", 10).unwrap();
    let found = fixture.vault.find(Some("one")).unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(
        found.unreadable,
        [("one/00".to_owned(), Unreadable::Newer { version: 2 }), ("one/11".to_owned(), Unreadable::Damaged)]
    );
    let error = fixture.vault.get("one", "00").map(drop).unwrap_err();
    assert!(error.message().contains("newer tokenbroker"), "{error:?}");
}

fn standings(fixture: &Fixture) -> Vec<(String, Standing)> {
    let items = fixture.vault.find(Some("one")).unwrap().items;
    items.iter().map(|item| (secret_of(item), item.standing)).collect()
}

fn put_next(fixture: &Fixture, secret: &str) -> Result<Item, Error> {
    fixture.vault.put("one", Content::Secret(secret.into()), Storing::at(10).as_next())
}

#[test]
fn s54_a_next_credential_stands_beside_the_one_in_use_until_it_is_promoted() {
    let fixture = Fixture::new();
    assert_eq!(
        put_next(&fixture, "first").unwrap().standing,
        Standing::Current,
        "there is nothing to succeed"
    );
    put_next(&fixture, "second").unwrap();
    let third = put_next(&fixture, "third").unwrap();
    let both = [("third".to_owned(), Standing::Next), ("first".to_owned(), Standing::Current)];
    assert_eq!(standings(&fixture), both, "there is one next credential");

    assert!(!fixture.vault.promote("one", "another version").unwrap());
    assert_eq!(standings(&fixture), both);
    assert!(fixture.vault.promote("one", &third.version).unwrap());
    assert_eq!(standings(&fixture), [("third".to_owned(), Standing::Current)]);
    assert!(!fixture.vault.promote("one", &third.version).unwrap());

    put_next(&fixture, "fourth").unwrap();
    let both = [("fourth".to_owned(), Standing::Next), ("third".to_owned(), Standing::Current)];
    assert_eq!(standings(&fixture), both, "one that was promoted is succeeded like any other");
    assert_eq!(secret_of(&fixture.vault.withdraw("one").unwrap().unwrap()), "fourth");
    assert!(fixture.vault.withdraw("one").unwrap().is_none());
    assert_eq!(standings(&fixture), [("third".to_owned(), Standing::Current)]);
}

#[test]
fn s54_whatever_fails_the_credential_in_use_stays_that() {
    let in_use = ("first".to_owned(), Standing::Current);
    for fault in [Fault::Set, Fault::Keep] {
        let fixture = Fixture::new();
        fixture.put("one", "first", 10).unwrap();
        fixture.faulty.set_fault(fault);
        assert!(put_next(&fixture, "second").is_err());
        assert_eq!(standings(&fixture), std::slice::from_ref(&in_use), "{fault:?}");
    }
    let fixture = Fixture::new();
    fixture.put("one", "first", 10).unwrap();
    let second = put_next(&fixture, "second").unwrap();
    fixture.faulty.set_fault(Fault::Delete);
    assert!(fixture.vault.promote("one", &second.version).is_err());
    assert!(fixture.vault.withdraw("one").is_err());
    put_next(&fixture, "third").unwrap();
    let [next, leftover, current] = ["third", "second", "first"].map(str::to_owned);
    let all = [(next, Standing::Next), (leftover, Standing::Previous), (current, Standing::Current)];
    assert_eq!(standings(&fixture), all, "a leftover is neither");

    fixture.faulty.set_fault(Fault::None);
    fixture.vault.withdraw("one").unwrap();
    assert_eq!(standings(&fixture), [in_use], "nor does it come back when the next one goes");
}

#[test]
fn a_key_before_the_one_that_was_promoted_is_kept_until_it_is_retired() {
    let fixture = Fixture::new();
    let key = |kid: &str| Content::Key {
        kid: kid.to_owned(),
        algorithm: crate::Algorithm::EdDsa,
        pkcs8: Secret::from(&b"a key"[..]),
    };
    let standings = || {
        let items = fixture.vault.find(Some("one")).unwrap().items;
        items.iter().map(|item| item.standing).collect::<Vec<_>>()
    };
    fixture.vault.put("one", key("a"), Storing::at(1)).unwrap();
    for kid in ["b", "c"] {
        let next = fixture.vault.put("one", key(kid), Storing::at(2).as_next()).unwrap();
        assert!(fixture.vault.promote("one", &next.version).unwrap());
    }
    assert_eq!(standings(), [Standing::Current, Standing::Previous, Standing::Previous]);
    fixture.vault.put("one", key("d"), Storing::at(3)).unwrap();
    assert_eq!(standings(), [Standing::Current], "one that replaces all replaces these, too");
}

#[test]
fn deleting_what_is_gone_already_is_no_error() {
    let fixture = Fixture::new();
    let item = fixture.put("one", "first", 10).unwrap();
    fixture.vault.delete(&item).unwrap();
    fixture.vault.delete(&item).unwrap();
    assert!(fixture.secrets(None).is_empty());
}
