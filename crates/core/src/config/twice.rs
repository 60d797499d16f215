//! A key that is set twice in one file: which one it is, and where else it is set.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::errors::Mistake;
use super::names::{key_path, shown};
use super::source::Place;

/// Something that nobody calls a key, as TOML has it.
const ANOTHER_NAME: &str = "\"(the second of two)\"";

/// The mistake of a key, at `span` of a file's text, that is there before.
pub(super) fn mistake(text: &str, span: Range<usize>, beginning: Place<'_>) -> Mistake {
    match first(text, &span) {
        Some((path, offset, is_table)) => {
            let first = beginning.at(offset);
            Mistake::new(format!("`{path}` is set twice: here and at {first}")).with_hint(match is_table {
                true => "put all of it in one place, or give one of the two another name",
                false => "remove one of the two",
            })
        }
        None => {
            let key = text.get(span).unwrap_or_default();
            Mistake::new(format!("`{}` is set twice in this file", shown(key)))
                .with_hint("remove one of the two")
        }
    }
}

/// The whole path of a key that is there twice, where its first is, and whether that is a table.
///
/// TOML's parser tells neither. Under another name, though, the second lands in the table that has the first.
fn first(text: &str, second: &Range<usize>) -> Option<(String, usize, bool)> {
    let (before, key, after) =
        (text.get(..second.start)?, text.get(second.clone())?, text.get(second.end..)?);
    let alone = format!("{key} = 0");
    let (alone, _) = DeTable::parse_recoverable(&alone);
    let name = alone.get_ref().keys().next()?.get_ref();
    let renamed = format!("{before}{ANOTHER_NAME}{after}");
    let (renamed, _) = DeTable::parse_recoverable(&renamed);
    let (table, path) = table_with(renamed.get_ref(), second.start, String::new())?;
    let (first, value) = table.get_key_value(name.as_ref())?;
    Some((key_path(&path, name), first.span().start, value.get_ref().is_table()))
}

/// The table in which a key begins at an offset, and the path to it.
fn table_with<'t, 's>(
    table: &'t DeTable<'s>,
    offset: usize,
    path: String,
) -> Option<(&'t DeTable<'s>, String)> {
    if table.keys().any(|key| key.span().start == offset) {
        return Some((table, path));
    }
    table.iter().find_map(|(key, value)| within(value.get_ref(), offset, &key_path(&path, key.get_ref())))
}

fn within<'t, 's>(value: &'t DeValue<'s>, offset: usize, path: &str) -> Option<(&'t DeTable<'s>, String)> {
    match value {
        DeValue::Table(table) => table_with(table, offset, path.to_owned()),
        DeValue::Array(values) => values.iter().find_map(|value| within(value.get_ref(), offset, path)),
        _ => None,
    }
}
