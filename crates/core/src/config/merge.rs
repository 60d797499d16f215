//! From the text of the files to one tree of tables.
//!
//! Tables merge across files; a key set twice, in two files or in one, is a mistake that names both places.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::errors::{Mistake, Mistakes};
use super::names::key_path;
use super::source::{Numbered, Place};
use super::{secrets, twice};

/// The keys of a table and what they are set to.
pub(super) type Entries<'s> = BTreeMap<String, Entry<'s>>;

/// A key and what it is set to.
pub(super) struct Entry<'s> {
    /// Where the key is.
    pub(super) place: Place<'s>,
    pub(super) node: Node<'s>,
}

/// What a key is set to.
pub(super) enum Node<'s> {
    Table(Entries<'s>),
    Value(Value<'s>),
}

/// A value that is no table, and where it is. An array may have tables in it.
pub(super) struct Value<'s> {
    pub(super) place: Place<'s>,
    pub(super) content: DeValue<'s>,
}

/// Reads all files. After mistakes in TOML's own grammar there is nothing to merge: `None`.
pub(super) fn read<'s>(files: &'s [Numbered<'s>], mistakes: &Mistakes<'s>) -> Option<Entries<'s>> {
    let places = files.iter().map(|file| (Place::beginning(file), file.text()));
    let files: Vec<_> = places.map(|(place, text)| (place, parse(text, place, mistakes))).collect();
    if !mistakes.is_empty() {
        return None;
    }
    let mut merged = Entries::new();
    for (place, mut table) in files {
        secrets::refuse(&mut table, place, mistakes);
        add(&mut merged, entries(table, &|offset| place.at(offset)), "", mistakes);
    }
    Some(merged)
}

/// The keys of a table. `place` tells where an offset in its text is.
pub(super) fn entries<'s>(table: DeTable<'s>, place: &dyn Fn(usize) -> Place<'s>) -> Entries<'s> {
    let entry = |(key, value): (Spanned<DeString<'s>>, Spanned<DeValue<'s>>)| {
        let key_place = place(key.span().start);
        let value_place = place(value.span().start);
        let node = match value.into_inner() {
            DeValue::Table(table) => Node::Table(entries(table, place)),
            content => Node::Value(Value { place: value_place, content }),
        };
        (key.into_inner().into_owned(), Entry { place: key_place, node })
    };
    table.into_iter().map(entry).collect()
}

/// Reads one file, as far as it can be read.
fn parse<'s>(text: &'s str, beginning: Place<'s>, mistakes: &Mistakes<'s>) -> DeTable<'s> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut repeated_table = None;
    for error in errors {
        let span = error.span().unwrap_or_default();
        let header = header_line(text, span.start);
        let is_duplicate = error.message() == "duplicate key";
        if is_duplicate && repeated_table.as_ref() == Some(&header) {
            // Each key of a table that is there twice is there twice, too: enough is said about it.
            continue;
        }
        if is_duplicate && header.contains(&span.start) {
            repeated_table = Some(header);
        }
        let place = beginning.at(span.start);
        let mistake = match is_duplicate {
            true => twice::mistake(text, span, beginning),
            // The message has nothing of the text in it; the error's `Display` would quote the whole line.
            false => Mistake::new(format!("this is not TOML: {}", error.message())),
        };
        mistakes.report(place, mistake);
    }
    table.into_inner()
}

/// The line with the header of the table that an offset is in; the first line if it is in none.
fn header_line(text: &str, offset: usize) -> Range<usize> {
    let start = text.get(..offset).and_then(|before| before.rfind("\n[")).map_or(0, |newline| newline + 1);
    let length = text.get(start..).and_then(|rest| rest.find('\n'));
    start..length.map_or(text.len(), |length| start + length)
}

fn add<'s>(merged: &mut Entries<'s>, more: Entries<'s>, table: &str, mistakes: &Mistakes<'s>) {
    for (key, entry) in more {
        let path = key_path(table, &key);
        match merged.entry(key) {
            Slot::Vacant(free) => {
                free.insert(entry);
            }
            Slot::Occupied(taken) => merge(taken.into_mut(), entry, &path, mistakes),
        }
    }
}

fn merge<'s>(first: &mut Entry<'s>, second: Entry<'s>, path: &str, mistakes: &Mistakes<'s>) {
    match (&mut first.node, second.node) {
        (Node::Table(merged), Node::Table(more)) => add(merged, more, path, mistakes),
        _ => mistakes.report(
            second.place,
            Mistake::new(format!("`{path}` is set twice: here and at {}", first.place))
                .with_hint("remove one of the two"),
        ),
    }
}
