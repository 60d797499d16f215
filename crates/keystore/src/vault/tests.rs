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
        self.vault.put(client, Content::Secret(secret.into()), created)
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
    assert_eq!(secret_of(&fixture.vault.get("one", &newest.version).unwrap().unwrap()), "second");
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

#[test]
fn deleting_what_is_gone_already_is_no_error() {
    let fixture = Fixture::new();
    let item = fixture.put("one", "first", 10).unwrap();
    fixture.vault.delete(&item).unwrap();
    fixture.vault.delete(&item).unwrap();
    assert!(fixture.secrets(None).is_empty());
}
