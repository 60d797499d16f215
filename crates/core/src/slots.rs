//! Where the current tokens are published: one writer, many readers.
//!
//! The engine writes; IPC sessions read. A warm get looks a slot up in the index, checks who asks and the clock,
//! and takes the token: no lock, no channel. A slot changes by an atomic swap; the index is replaced only when
//! clients come or go.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use tokenbroker_oauth::AccessToken;

use crate::config::ClientName;
use crate::policy::Access;
use crate::time::Moment;

/// A token as callers get it.
#[derive(Debug)]
pub struct Published {
    /// The token itself.
    pub access_token: AccessToken,
    /// What was granted, if the request or the server named a scope.
    pub scope: Option<String>,
    /// Counts up with each new token of the token key.
    pub generation: u64,
    /// When it expires.
    pub expires: Moment,
    /// Until when it is given to callers: a token on its last seconds would expire on its way to the resource.
    pub serve_until: Moment,
    /// How long it lived when it was issued.
    pub lifetime: Duration,
}

/// What is published of one client.
#[derive(Debug)]
pub struct Slot {
    handle: u64,
    access: ArcSwap<Access>,
    token: ArcSwapOption<Published>,
    gets: AtomicU64,
}

impl Slot {
    /// Nobody may have it until [`permit`](Self::permit) says who.
    pub(crate) fn new(handle: u64) -> Self {
        Self { handle, access: ArcSwap::default(), token: ArcSwapOption::empty(), gets: AtomicU64::new(0) }
    }

    /// Names the token key within this daemon instance.
    pub fn handle(&self) -> u64 {
        self.handle
    }

    /// Who may have the token.
    pub fn access(&self) -> Guard<Arc<Access>> {
        self.access.load()
    }

    /// Changes who may have the token, from the next get on.
    pub fn permit(&self, access: Access) {
        self.access.store(Arc::new(access));
    }

    /// The token, if it may be served now. Count it with [`served`](Self::served) when it was given to a caller.
    pub fn current(&self, now: Moment) -> Option<Arc<Published>> {
        self.token.load_full().filter(|token| now < token.serve_until)
    }

    /// Counts a token given to a caller.
    pub fn served(&self) {
        self.gets.fetch_add(1, Ordering::Relaxed);
    }

    /// How many tokens were given to callers, those of the slots before it included.
    pub fn gets(&self) -> u64 {
        self.gets.load(Ordering::Relaxed)
    }

    /// Counts on from the slot that this one is in place of.
    pub(crate) fn count_on(&self, before: &Self) {
        self.gets.fetch_add(before.gets(), Ordering::Relaxed);
    }

    pub(crate) fn publish(&self, token: Option<Arc<Published>>) {
        self.token.store(token);
    }
}

/// All slots, by client name.
#[derive(Debug, Default)]
pub struct Slots {
    index: ArcSwap<HashMap<ClientName, Arc<Slot>>>,
}

impl Slots {
    /// The slot of a client.
    pub fn find(&self, client: &str) -> Option<Arc<Slot>> {
        self.index.load().get(client).cloned()
    }

    /// The names and slots of all clients as they are now.
    pub fn all(&self) -> Arc<HashMap<ClientName, Arc<Slot>>> {
        self.index.load_full()
    }

    pub(crate) fn replace(&self, slots: HashMap<ClientName, Arc<Slot>>) {
        self.index.store(Arc::new(slots));
    }
}

#[cfg(test)]
mod tests {
    use tokenbroker_secret::SecretString;

    use super::*;

    #[test]
    fn s22_a_slot_never_gives_out_a_token_that_may_not_be_served_any_more() {
        let at = |seconds| Moment::BOOT.after(Duration::from_secs(seconds));
        let slot = Slot::new(1);
        assert!(slot.current(at(0)).is_none());

        slot.publish(Some(Arc::new(Published {
            access_token: AccessToken::parse(SecretString::from("abc")).unwrap(),
            scope: None,
            generation: 1,
            expires: at(100),
            serve_until: at(95),
            lifetime: Duration::from_secs(100),
        })));
        assert_eq!(slot.current(at(94)).map(|token| token.generation), Some(1));
        assert!(slot.current(at(95)).is_none());

        slot.publish(None);
        assert!(slot.current(at(0)).is_none());
    }

    #[test]
    fn nobody_is_permitted_until_somebody_is() {
        let root = crate::policy::Caller { uid: 0, gid: 0, groups: &[] };
        let slot = Slot::new(1);
        assert!(!slot.access().permits(&root));
        slot.permit(Access::own_and_root(0));
        assert!(slot.access().permits(&root));
    }
}
