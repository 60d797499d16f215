//! Rules about callers: `allow` of a client, `admin` of the daemon.

use std::collections::BTreeSet;

use serde::Deserialize;
use tokenbroker_oauth::Scope;

use super::errors::Mistake;
use super::merge::Value;
use super::table::Table;
use super::values::{text, texts};
use super::{Principal, Rule};
use crate::narrowing::Narrowing;
use crate::policy::OVERFLOW_ID;

const EXAMPLE: &str = "{ user = \"ann\" }, { group = \"signers\" }";

/// What a client is configured for: a rule of its permits all of that or a part.
#[derive(Clone, Copy)]
pub(super) struct Whole<'a> {
    /// `None` if it is mistaken: then nothing is said about parts of it.
    pub(super) scope: Option<Option<&'a Scope>>,
    /// The same.
    pub(super) resource: Option<&'a [String]>,
}

/// The rules of `admin`, if it is there.
pub(super) fn of_administrators(table: &mut Table<'_, '_>) -> Option<Vec<Rule>> {
    table.list("admin", EXAMPLE, |table| read(table, None))
}

/// The rules of a client's `allow`, if it is there.
pub(super) fn of_a_client(table: &mut Table<'_, '_>, whole: Whole<'_>) -> Option<Vec<Rule>> {
    table.list("allow", EXAMPLE, |table| read(table, Some(whole)))
}

fn read(mut table: Table<'_, '_>, whole: Option<Whole<'_>>) -> Rule {
    let rule = Rule {
        user: table.read("user", principal),
        group: table.read("group", principal),
        unit: table.read("unit", unit),
        user_unit: table.read("user_unit", unit),
        part: whole.map(|whole| part(&mut table, whole)).unwrap_or_default(),
    };
    if table.has("user_unit") && !table.has("user") {
        let mistake = Mistake::new("every user can have a unit of this name: say whose it is");
        table.report_at("user_unit", mistake.with_hint("add `user` to the rule, as in user = \"ann\""));
    } else if !["user", "group", "unit"].iter().any(|key| table.has(key)) {
        table.report(Mistake::new("a rule needs a condition: `user`, `group` or `unit`"));
    }
    table.finish();
    rule
}

/// The part of a client that the rule permits. All of it is no part.
fn part(table: &mut Table<'_, '_>, whole: Whole<'_>) -> Narrowing {
    let scope = table.read("scope", |value| part_of_scope(value, whole.scope)).flatten();
    let resource = table.read("resource", |value| part_of_resource(value, whole.resource));
    Narrowing { scope, resource: resource.unwrap_or_default(), audience: None }
}

fn part_of_scope(value: Value<'_>, whole: Option<Option<&Scope>>) -> Result<Option<Scope>, Mistake> {
    let part = Scope::parse(&texts(value)?.join(" ")).map_err(|error| {
        Mistake::new(error.to_string()).with_hint("leave `scope` out to permit all of the client's")
    })?;
    match whole {
        None => Ok(None),
        Some(Some(whole)) if part == *whole => Ok(None),
        Some(Some(whole)) if part.is_within(whole) => Ok(Some(part)),
        Some(Some(_)) => Err(Mistake::new("a rule can't permit more than `scope` of the client has")
            .with_hint("add it there, or remove it here")),
        Some(None) => Err(Mistake::new("the client has no `scope` to permit a part of")
            .with_hint("give the client a `scope` with this in it, or remove it here")),
    }
}

fn part_of_resource(value: Value<'_>, whole: Option<&[String]>) -> Result<BTreeSet<String>, Mistake> {
    let part: BTreeSet<String> = texts(value)?.into_iter().collect();
    let Some(whole) = whole else { return Ok(BTreeSet::new()) };
    if part.is_empty() {
        let mistake = Mistake::new("an empty list permits nothing");
        return Err(mistake.with_hint("leave `resource` out to permit all of the client's"));
    }
    if !part.iter().all(|resource| whole.contains(resource)) {
        let mistake = Mistake::new("a rule can't permit more than `resource` of the client has");
        return Err(mistake.with_hint("add it there, or remove it here"));
    }
    let is_whole = whole.iter().all(|resource| part.contains(resource));
    Ok(if is_whole { BTreeSet::new() } else { part })
}

/// The name of a unit that has processes.
fn unit(value: Value<'_>) -> Result<String, Mistake> {
    /// `UNIT_NAME_MAX` of systemd.
    const LONGEST: usize = 255;
    let is_of_systemd = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);

    let name = text(value)?;
    let unexpected = || Mistake::new("expected the name of a unit such as \"signer.service\"");
    let Some((stem, kind)) = name.rsplit_once('.') else {
        return Err(unexpected().with_hint("the name of a unit ends in .service or .scope: add that"));
    };
    if !matches!(kind, "service" | "scope") {
        return Err(unexpected().with_hint("processes are in units whose names end in .service or .scope"));
    }
    if stem.ends_with('@') {
        return Err(unexpected().with_hint("name an instance of the template, as in \"signer@one.service\""));
    }
    match name.len() <= LONGEST && name.bytes().all(is_of_systemd) && !name.starts_with(['.', '@']) {
        true => Ok(name),
        false => Err(unexpected().with_hint("`systemd-escape` gives what other characters are in its name")),
    }
}

/// A name, or a number as an integer or in a string.
fn principal(value: Value<'_>) -> Result<Principal, Mistake> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum NameOrId {
        Id(u32),
        Name(String),
    }

    let name = match value.to("a name or a numeric ID")? {
        NameOrId::Id(id) => return numeric(id),
        NameOrId::Name(name) => name,
    };
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
        let id = name.parse().map_err(|_| Mistake::new("expected a numeric ID below 4294967296"))?;
        return numeric(id);
    }
    match name.is_empty() || name.chars().any(|c| c.is_control() || c == ':') {
        true => Err(Mistake::new("expected a name, not empty and without colons and control characters")),
        false => Ok(Principal::Name(name)),
    }
}

fn numeric(id: u32) -> Result<Principal, Mistake> {
    match id {
        OVERFLOW_ID => {
            Err(Mistake::new("65534 permits nobody: it stands for whoever has no ID on this host")
                .with_hint("give the caller a user or a group of its own, and name that"))
        }
        id => Ok(Principal::Id(id)),
    }
}
