//! Which of a client's credentials is in use, and which comes next.
//!
//! It follows from the order in which they were stored and from what each says it is for. No credential is written again
//! while it is in use: the next one takes its place when the one before is deleted, or marked as retired.

use crate::Standing;
use crate::envelope::Role;
use crate::vault::Item;

/// Gives each of the items its standing. They are sorted by client, the newest first.
pub(crate) fn assign(items: &mut [Item]) {
    for of_client in items.chunk_by_mut(|a, b| a.client == b.client) {
        assign_one(of_client);
    }
}

fn assign_one(items: &mut [Item]) {
    let is_live = |item: &Item| item.envelope.role != Role::Retired;
    let Some(newest) = items.iter().position(is_live) else { return };
    let predecessor = match &items[newest].envelope.role {
        Role::Succeeds(version) => items.iter().position(|item| is_live(item) && item.version == *version),
        Role::Live | Role::Retired => None,
    };
    match predecessor {
        Some(current) => {
            items[newest].standing = Standing::Next;
            items[current].standing = Standing::Current;
        }
        None => items[newest].standing = Standing::Current,
    }
}
