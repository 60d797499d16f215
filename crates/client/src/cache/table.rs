//! The entries by key, so that a get finds its own without a lock and without making a key.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::entry::Entry;
use crate::question::Get;

/// The fewest places that a table has.
const SMALLEST: usize = 8;

/// Entries in the places that their hashes point to, or the next free ones. One can be added in place; all else makes
/// another table.
#[derive(Debug)]
pub(crate) struct Table {
    places: Box<[OnceLock<Arc<Entry>>]>,
    taken: AtomicUsize,
}

impl Table {
    /// With these, and room for as many more.
    pub(crate) fn of(entries: impl ExactSizeIterator<Item = Arc<Entry>>) -> Self {
        let places = (entries.len() * 4).next_power_of_two().max(SMALLEST);
        let table =
            Self { places: (0..places).map(|_| OnceLock::new()).collect(), taken: AtomicUsize::new(0) };
        for entry in entries {
            // There is room.
            let _added = table.add(&entry);
        }
        table
    }

    pub(crate) fn find(&self, hash: u64, get: &Get<'_>) -> Option<&Arc<Entry>> {
        probe(hash, self.places.len())
            .map_while(|place| self.places[place].get())
            .find(|entry| entry.hash == hash && entry.key.is_of(get))
    }

    /// Takes in one more, if there is room, and says so. To be called by one thread at a time.
    pub(crate) fn add(&self, entry: &Arc<Entry>) -> bool {
        // At most half full, so that a search ends.
        if self.len() * 2 >= self.places.len() {
            return false;
        }
        let added = probe(entry.hash, self.places.len())
            .any(|place| self.places[place].set(Arc::clone(entry)).is_ok());
        self.taken.fetch_add(usize::from(added), Ordering::Relaxed);
        added
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.places.iter().filter_map(OnceLock::get)
    }
}

/// Every place once, starting with the right one.
fn probe(hash: u64, places: usize) -> impl Iterator<Item = usize> {
    let mask = places - 1;
    // Multiplication mixes upwards: the high half is the better one.
    let first = (hash >> 32) as usize;
    (0..places).map(move |offset| (first + offset) & mask)
}

/// Quick rather than unpredictable: only keys that a daemon gave tokens for come into the table, and not many.
pub(crate) fn hash(get: &Get<'_>) -> u64 {
    let mut hash = mix(0, get.client.as_bytes());
    for part in [get.scope, get.audience].into_iter().flatten() {
        hash = mix(hash, part.as_bytes());
    }
    let hash = get.resource.iter().fold(hash, |hash, resource| mix(hash, resource.as_bytes()));
    (hash ^ (hash >> 32)).wrapping_mul(FACTOR)
}

/// As FxHash has it.
const FACTOR: u64 = 0x517c_c1b7_2722_0a95;

fn mix(hash: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(hash, |hash, word| step(hash, u64::from_le_bytes(*word)));
    let rest = rest.iter().fold(1, |word, byte| word << 8 | u64::from(*byte));
    step(hash, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokenRequest;
    use crate::key::Key;

    fn entry(get: &Get<'_>) -> Arc<Entry> {
        Arc::new(Entry::new(Key::of(get, &Arc::default()), hash(get)))
    }

    #[test]
    fn each_is_found_by_its_key_and_by_no_other() {
        let names: Vec<_> = (0..1000).map(|number| format!("client-{number}")).collect();
        let mut entries: Vec<_> = names.iter().map(|name| entry(&Get::new(name))).collect();
        let narrowed = TokenRequest::new("client-7").scope("read");
        entries.push(entry(&Get::with(&narrowed)));
        let table = Table::of(entries.iter().cloned());
        let find = |get: &Get<'_>| table.find(hash(get), get);
        for (name, entry) in names.iter().zip(&entries) {
            assert!(Arc::ptr_eq(find(&Get::new(name)).unwrap(), entry));
        }
        assert!(Arc::ptr_eq(find(&Get::with(&narrowed)).unwrap(), &entries[1000]));
        assert!(find(&Get::new("client-1000")).is_none());
        assert!(find(&Get::with(&TokenRequest::new("client-7").scope("write"))).is_none());
        assert_eq!(table.entries().count(), 1001);
    }

    #[test]
    fn equal_hashes_are_told_apart() {
        let make = |name| Arc::new(Entry::new(Key::of(&Get::new(name), &Arc::default()), 7));
        let table = Table::of([make("a"), make("b"), make("c")].into_iter());
        assert_eq!(&*table.find(7, &Get::new("b")).unwrap().key.client, "b");
        assert!(table.find(7, &Get::new("d")).is_none());
    }

    #[test]
    fn one_is_added_in_place_until_the_table_is_half_full() {
        let make = |number: usize| entry(&Get::new(&number.to_string()));
        let table = Table::of((0..2).map(make).collect::<Vec<_>>().into_iter());
        assert!((2..4).all(|number| table.add(&make(number))));
        assert!(!table.add(&make(4)));
        assert_eq!((table.len(), table.entries().count()), (4, 4));
        assert!(table.find(hash(&Get::new("3")), &Get::new("3")).is_some());
        assert!(table.find(hash(&Get::new("4")), &Get::new("4")).is_none());
    }

    #[test]
    fn an_empty_table_has_nothing() {
        assert!(Table::of([].into_iter()).find(u64::MAX, &Get::new("x")).is_none());
    }

    #[test]
    fn names_that_differ_little_do_not_crowd_together() {
        let names = (0..512).map(|number| format!("service-{number:04}"));
        let entries: Vec<_> = names.map(|name| entry(&Get::new(&name))).collect();
        let table = Table::of(entries.iter().cloned());
        let places = table.places.len();
        let steps = |entry: &Arc<Entry>| {
            let held = |place: &usize| table.places[*place].get().is_some_and(|at| Arc::ptr_eq(at, entry));
            probe(entry.hash, places).position(|place| held(&place)).unwrap()
        };
        let total: usize = entries.iter().map(steps).sum();
        assert!(total < 512, "{total} steps beyond the first for 512 names");
    }
}
