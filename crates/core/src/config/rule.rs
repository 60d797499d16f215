//! Rules about callers: `allow` of a client, `admin` of the daemon.

use serde::Deserialize;

use super::errors::Mistake;
use super::merge::Value;
use super::table::Table;
use super::{Principal, Rule};
use crate::policy::OVERFLOW_ID;

/// The rules of a key, if it is there.
pub(super) fn read_all(table: &mut Table<'_, '_>, key: &'static str) -> Option<Vec<Rule>> {
    table.list(key, "{ user = \"ann\" }, { group = \"signers\" }", read)
}

fn read(mut table: Table<'_, '_>) -> Rule {
    let rule = Rule { user: table.read("user", principal), group: table.read("group", principal) };
    let later = table.not_supported_yet(["unit", "user_unit", "scope", "resource"]);
    if !(later || table.has("user") || table.has("group")) {
        table.report(Mistake::new("a rule needs a condition: `user`, `group` or both"));
    }
    table.finish();
    rule
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
