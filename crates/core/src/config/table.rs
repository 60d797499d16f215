//! Reads the keys of a table one by one, and knows afterwards which were there and which nobody knows.
//!
//! A mistake does not stop the reading: it is reported, and the key counts as absent. Whoever reads a table asks
//! for every key it may have before [`Table::finish`], so that one run finds all mistakes.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeValue;

use super::errors::{Mistake, Mistakes};
use super::merge::{self, Entries, Entry, Node, Value};
use super::names::{key_path, shown, suggestion};
use super::source::Place;

/// A table that is being read.
pub(super) struct Table<'m, 's> {
    /// From the root, as in `clients.signtext`; empty for the root.
    path: String,
    place: Place<'s>,
    entries: Entries<'s>,
    /// Every key that was asked for, and where it is if it is there.
    known: BTreeMap<&'static str, Option<Place<'s>>>,
    /// Every key that must be there and is not, with an example.
    missing: Vec<(&'static str, String)>,
    mistakes: &'m Mistakes<'s>,
}

impl<'m, 's> Table<'m, 's> {
    /// The configuration as a whole.
    pub(super) fn root(entries: Entries<'s>, place: Place<'s>, mistakes: &'m Mistakes<'s>) -> Self {
        Self::new(String::new(), place, entries, mistakes)
    }

    fn new(path: String, place: Place<'s>, entries: Entries<'s>, mistakes: &'m Mistakes<'s>) -> Self {
        Self { path, place, entries, known: BTreeMap::new(), missing: Vec::new(), mistakes }
    }

    /// Whether a key that was asked for is there, mistaken or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.known.get(key).is_some_and(Option::is_some)
    }

    /// Reads a value; `None` if the key is absent or its value a mistake.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Value<'s>) -> Result<T, Mistake>,
    ) -> Option<T> {
        let entry = self.take(key)?;
        self.convert(key, entry, read)
    }

    /// Reads a value that must be there; `example` shows how it is set.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(Value<'s>) -> Result<T, Mistake>,
    ) -> Option<T> {
        let value = self.read(key, read);
        if !self.has(key) {
            self.missing.push((key, format!("{key} = {example}")));
        }
        value
    }

    /// The table that a key holds; an empty one if it is absent.
    pub(super) fn table(&mut self, key: &'static str) -> Table<'m, 's> {
        let place = self.place;
        match self.take(key) {
            Some(entry) => self.inner(key, entry),
            None => Table::new(key_path(&self.path, key), place, Entries::new(), self.mistakes),
        }
    }

    /// Reads an array of tables.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl Fn(Table<'_, 's>) -> T,
    ) -> Option<Vec<T>> {
        let tables = self.read(key, |value| {
            array_of_tables(value)
                .ok_or_else(|| Mistake::new(format!("expected an array of tables such as [{example}]")))
        })?;
        let path = key_path(&self.path, key);
        let read = |(start, entries)| read(Table::new(path.clone(), start, entries, self.mistakes));
        Some(tables.into_iter().map(read).collect())
    }

    /// The tables of a table whose keys are names that its author has chosen.
    pub(super) fn named_tables(mut self) -> impl Iterator<Item = (String, Table<'m, 's>)> {
        let entries = std::mem::take(&mut self.entries);
        entries.into_iter().map(move |(name, entry)| {
            let table = self.inner(&name, entry);
            (name, table)
        })
    }

    /// Reads a table whose keys are names that its author has chosen.
    pub(super) fn named_values<T>(
        mut self,
        read: impl Fn(&str, Value<'s>) -> Result<T, Mistake>,
    ) -> BTreeMap<String, T> {
        let entries = std::mem::take(&mut self.entries);
        let convert = |(name, entry): (String, Entry<'s>)| {
            let value = self.convert(&name, entry, |value| read(&name, value))?;
            Some((name, value))
        };
        entries.into_iter().filter_map(convert).collect()
    }

    /// Adds what is not set yet.
    pub(super) fn fill_in(&mut self, more: Entries<'s>) {
        for (key, entry) in more {
            self.entries.entry(key).or_insert(entry);
        }
    }

    /// Refuses keys whose feature is still to come. Tells whether one of them is there.
    pub(super) fn not_supported_yet<const N: usize>(&mut self, keys: [&str; N]) -> bool {
        let found: Vec<_> = keys.into_iter().filter_map(|key| self.entries.remove_entry(key)).collect();
        for (key, entry) in &found {
            let mistake = Mistake::new(format!("`{}` is not supported yet", key_path(&self.path, key)));
            self.mistakes.report(entry.place, mistake.with_hint("remove it"));
        }
        !found.is_empty()
    }

    /// Reports a mistake that concerns the table as a whole.
    pub(super) fn report(&self, mistake: Mistake) {
        self.mistakes.report(self.place, mistake);
    }

    /// Reports a mistake at a key, or at the table if the key is not there.
    pub(super) fn report_at(&self, key: &str, mistake: Mistake) {
        let place = self.known.get(key).copied().flatten();
        self.mistakes.report(place.unwrap_or(self.place), mistake.about(&key_path(&self.path, key)));
    }

    /// Reports every key that nobody asked for, and those that had to be there.
    pub(super) fn finish(self) {
        let known: Vec<_> = self.known.keys().copied().collect();
        let table = if self.path.is_empty() { String::new() } else { format!(" in [{}]", self.path) };
        for (key, entry) in &self.entries {
            let mistake = Mistake::new(format!("unknown key `{}`{table}", shown(key)));
            self.mistakes.report(entry.place, mistake.with_hint(suggestion(key, &known)));
        }
        if !self.missing.is_empty() {
            let (keys, examples): (Vec<_>, Vec<_>) =
                self.missing.iter().map(|(key, example)| (format!("`{key}`"), example.as_str())).unzip();
            let mistake = Mistake::new(format!("{} missing{table}", keys.join(", ")));
            self.report(mistake.with_hint(format!("set, for example, {}", examples.join(", "))));
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Entry<'s>> {
        let entry = self.entries.remove(key);
        self.known.insert(key, entry.as_ref().map(|entry| entry.place));
        entry
    }

    fn convert<T>(
        &self,
        key: &str,
        entry: Entry<'s>,
        read: impl FnOnce(Value<'s>) -> Result<T, Mistake>,
    ) -> Option<T> {
        let (place, read) = match entry.node {
            Node::Value(value) => (value.place, read(value)),
            Node::Table(_) => (entry.place, Err(Mistake::new("expected a value, found a table"))),
        };
        read.map_err(|mistake| self.mistakes.report(place, mistake.about(&key_path(&self.path, key)))).ok()
    }

    fn inner(&self, key: &str, entry: Entry<'s>) -> Table<'m, 's> {
        let path = key_path(&self.path, key);
        let entries = match entry.node {
            Node::Table(entries) => entries,
            Node::Value(value) => {
                // At the key, where what is missing in the table would be reported, too.
                self.mistakes.report(entry.place, value.unexpected("a table").about(&path));
                Entries::new()
            }
        };
        Table::new(path, entry.place, entries, self.mistakes)
    }
}

/// The tables of an array that has nothing else in it, and where each begins.
fn array_of_tables<'s>(value: Value<'s>) -> Option<Vec<(Place<'s>, Entries<'s>)>> {
    let Value { place, content: DeValue::Array(elements) } = value else { return None };
    let table = |element: Spanned<DeValue<'s>>| {
        let start = place.at(element.span().start);
        let DeValue::Table(table) = element.into_inner() else { return None };
        Some((start, merge::entries(table, &|offset| place.at(offset))))
    };
    elements.into_iter().map(table).collect()
}
