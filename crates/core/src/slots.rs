//! Where the current tokens are published: one writer, many readers.
//!
//! The engine writes; IPC sessions read. A warm get looks a slot up in the index, checks who asks and the clock,
//! and takes the token: no lock, no channel. A slot changes by an atomic swap; the index is replaced only when
//! clients come or go, and a client's own index of narrower token keys only when one of these does.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use tokenbroker_oauth::AccessToken;

use crate::config::ClientName;
use crate::mutation::{self, Mutation};
use crate::narrowing::Narrowing;
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

impl Published {
    /// Whether it may be given to a caller.
    pub fn is_servable(&self, now: Moment) -> bool {
        now < self.serve_until || mutation::is(Mutation::ServePastExpiry)
    }
}

/// Where one token key's token is published.
#[derive(Debug)]
pub struct Cell {
    handle: u64,
    token: ArcSwapOption<Published>,
    last_used: AtomicU64,
    watchers: AtomicU32,
}

impl Cell {
    pub(crate) fn new(handle: u64) -> Self {
        let token = ArcSwapOption::empty();
        Self { handle, token, last_used: AtomicU64::new(0), watchers: AtomicU32::new(0) }
    }

    /// Names the token key within this daemon instance.
    pub fn handle(&self) -> u64 {
        self.handle
    }

    /// The token, if it may be served now.
    pub fn current(&self, now: Moment) -> Option<Arc<Published>> {
        self.token.load_full().filter(|token| token.is_servable(now))
    }

    /// Has the engine say when another token is published, or none any more. What is published before is for whoever
    /// watches to look up, after this.
    pub fn watch(self: &Arc<Self>) -> Watch {
        self.watchers.fetch_add(1, Ordering::Relaxed);
        // Either the engine sees the watcher after it has published, or the watcher sees what was published.
        fence(Ordering::SeqCst);
        Watch(Arc::clone(self))
    }

    pub(crate) fn publish(&self, token: Option<Arc<Published>>) {
        self.token.store(token);
        fence(Ordering::SeqCst);
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    /// Somebody asked for this token key: it is worth keeping warm.
    pub(crate) fn used(&self, now: Moment) {
        self.last_used.fetch_max(now.as_nanos(), Ordering::Relaxed);
    }

    pub(crate) fn last_used(&self) -> Moment {
        Moment::from_nanos(self.last_used.load(Ordering::Relaxed))
    }
}

/// Somebody is to be told of what is published; until it is dropped.
#[derive(Debug)]
pub struct Watch(Arc<Cell>);

impl Watch {
    /// What is watched.
    pub fn cell(&self) -> &Cell {
        &self.0
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is published of one client.
#[derive(Debug)]
pub struct Slot {
    client: ClientName,
    access: ArcSwap<Access>,
    configured: Arc<Cell>,
    /// `None` for none: hardly any client has them.
    narrowed: ArcSwapOption<HashMap<Narrowing, Arc<Cell>>>,
    gets: AtomicU64,
    gets_from_cache: AtomicU64,
}

impl Slot {
    /// Nobody may have it until [`permit`](Self::permit) says who.
    pub(crate) fn new(client: ClientName, configured: Arc<Cell>) -> Self {
        Self {
            client,
            access: ArcSwap::default(),
            configured,
            narrowed: ArcSwapOption::empty(),
            gets: AtomicU64::new(0),
            gets_from_cache: AtomicU64::new(0),
        }
    }

    /// Names the token key that the configuration names, within this daemon instance.
    pub fn handle(&self) -> u64 {
        self.configured.handle()
    }

    /// Who may have the token.
    pub fn access(&self) -> Guard<Arc<Access>> {
        self.access.load()
    }

    /// Changes who may have the token, from the next get on. Clients with the same rules best share what is given here.
    pub fn permit(&self, access: impl Into<Arc<Access>>) {
        self.access.store(access.into());
    }

    /// The configured token, if it may be served now. Count it with [`served`](Self::served) when it was given to a
    /// caller.
    pub fn current(&self, now: Moment) -> Option<Arc<Published>> {
        self.configured.current(now)
    }

    /// Where the token of a narrower token key is, if that was asked for lately; the caller who asks now counts as a
    /// use of it.
    pub fn narrowed(&self, narrowing: &Narrowing, now: Moment) -> Option<Arc<Cell>> {
        let cell = self.narrowed.load().as_ref()?.get(narrowing).cloned()?;
        cell.used(now);
        Some(cell)
    }

    /// Where the token of the token key with this handle is.
    pub fn cell(&self, handle: u64) -> Option<Arc<Cell>> {
        if self.configured.handle() == handle {
            return Some(Arc::clone(&self.configured));
        }
        self.narrowed.load().as_ref()?.values().find(|cell| cell.handle() == handle).cloned()
    }

    /// What is asked of the token key with this handle; `None` if that is what the client is configured for, or if it is
    /// not kept any more.
    pub fn narrowing(&self, handle: u64) -> Option<Narrowing> {
        let narrowed = self.narrowed.load();
        let (narrowing, _) = narrowed.as_ref()?.iter().find(|(_, cell)| cell.handle() == handle)?;
        Some(narrowing.clone())
    }

    /// All tokens of the client that may be served now.
    pub fn all_current(&self, now: Moment) -> Vec<Arc<Published>> {
        let narrowed = self.narrowed.load();
        let narrowed = narrowed.iter().flat_map(|cells| cells.values());
        [&self.configured].into_iter().chain(narrowed).filter_map(|cell| cell.current(now)).collect()
    }

    /// Counts a token that was given to a caller at once.
    pub fn served(&self) {
        self.gets.fetch_add(1, Ordering::Relaxed);
        self.gets_from_cache.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a token that was given to a caller who had to wait for it.
    pub fn served_late(&self) {
        self.gets.fetch_add(1, Ordering::Relaxed);
    }

    /// How many tokens were given to callers, those of the slots before it included.
    pub fn gets(&self) -> u64 {
        self.gets.load(Ordering::Relaxed)
    }

    /// How many of them were there already: as many token requests that no caller had to make.
    pub fn gets_from_cache(&self) -> u64 {
        self.gets_from_cache.load(Ordering::Relaxed)
    }

    /// Counts on from the slot that this one is in place of.
    pub(crate) fn count_on(&self, before: &Self) {
        self.gets.fetch_add(before.gets(), Ordering::Relaxed);
        self.gets_from_cache.fetch_add(before.gets_from_cache(), Ordering::Relaxed);
    }

    pub(crate) fn replace_narrowed(&self, cells: HashMap<Narrowing, Arc<Cell>>) {
        self.narrowed.store((!cells.is_empty()).then(|| Arc::new(cells)));
    }
}

/// All slots, by client name and by handle.
#[derive(Debug, Default)]
pub struct Slots {
    index: ArcSwap<Index>,
}

/// The slots as they were at one time: see [`Slots::load`].
#[derive(Debug)]
pub struct Loaded(Guard<Arc<Index>>);

impl Loaded {
    /// The slot of a client.
    pub fn find(&self, client: &str) -> Option<&Arc<Slot>> {
        self.0.by_name.get(client.as_bytes())
    }
}

#[derive(Debug, Default)]
struct Index {
    by_name: HashMap<Name, Arc<Slot>>,
    by_number: HashMap<u64, Arc<Slot>>,
    /// By name, in order.
    in_order: Vec<Arc<Slot>>,
}

/// A client's name, kept in the index itself: a get of one among very many waits for memory as seldom as possible.
#[derive(PartialEq, Eq)]
struct Name {
    length: u8,
    /// Followed by zeros.
    text: [u8; ClientName::LONGEST],
}

impl Name {
    fn of(client: &ClientName) -> Self {
        let name = client.as_str().as_bytes();
        let mut text = [0; ClientName::LONGEST];
        text[..name.len()].copy_from_slice(name);
        Self { length: name.len() as u8, text }
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.text[..self.length.into()]
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Borrow::<[u8]>::borrow(self).hash(state);
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self.borrow()).fmt(f)
    }
}

/// The clients' numbers are the upper halves of their token keys' handles.
const CLIENT_SHIFT: u32 = 32;

/// The handle of the token key that a client's configuration names; its narrower ones follow it.
pub(crate) fn first_handle(client_number: u64) -> u64 {
    client_number << CLIENT_SHIFT
}

/// The handles of all the token keys that a client can have.
pub(crate) fn handles_from(first: u64) -> Range<u64> {
    first..first + (1 << CLIENT_SHIFT)
}

impl Slots {
    /// The slots as they are now, to be looked at for a moment: without counting who does, which would be another wait for
    /// memory.
    pub fn load(&self) -> Loaded {
        Loaded(self.index.load())
    }

    /// The slot of a client.
    pub fn find(&self, client: &str) -> Option<Arc<Slot>> {
        self.load().find(client).cloned()
    }

    /// The client that a handle belongs to, and its slot.
    pub fn find_handle(&self, handle: u64) -> Option<(ClientName, Arc<Slot>)> {
        let slot = self.index.load().by_number.get(&(handle >> CLIENT_SHIFT)).cloned()?;
        Some((slot.client.clone(), slot))
    }

    /// The names of clients whose slots are wanted: the first so many after a name, in order.
    pub fn names_after(
        &self,
        after: Option<&str>,
        most: usize,
        is_wanted: impl Fn(&Slot) -> bool,
    ) -> Vec<ClientName> {
        let index = self.index.load();
        let is_before = |slot: &Arc<Slot>| after.is_some_and(|after| slot.client.as_str() <= after);
        let from = index.in_order.partition_point(is_before);
        let wanted = index.in_order[from..].iter().filter(|slot| is_wanted(slot));
        wanted.take(most).map(|slot| slot.client.clone()).collect()
    }

    pub(crate) fn replace(&self, slots: HashMap<ClientName, Arc<Slot>>) {
        let number = |slot: &Slot| slot.handle() >> CLIENT_SHIFT;
        let by_number = slots.values().map(|slot| (number(slot), Arc::clone(slot))).collect();
        let mut in_order: Vec<_> = slots.values().map(Arc::clone).collect();
        in_order.sort_unstable_by(|a, b| a.client.cmp(&b.client));
        let by_name = slots.into_iter().map(|(name, slot)| (Name::of(&name), slot)).collect();
        self.index.store(Arc::new(Index { by_name, by_number, in_order }));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokenbroker_secret::SecretString;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::BOOT.after(Duration::from_secs(seconds))
    }

    fn token() -> Arc<Published> {
        Arc::new(Published {
            access_token: AccessToken::parse(SecretString::from("abc")).unwrap(),
            scope: None,
            generation: 1,
            expires: at(100),
            serve_until: at(95),
            lifetime: Duration::from_secs(100),
        })
    }

    fn slot() -> Slot {
        Slot::new(ClientName::new("a").unwrap(), Arc::new(Cell::new(first_handle(1))))
    }

    #[test]
    fn s22_a_slot_never_gives_out_a_token_that_may_not_be_served_any_more() {
        let slot = slot();
        assert!(slot.current(at(0)).is_none());

        slot.configured.publish(Some(token()));
        assert_eq!(slot.current(at(94)).map(|token| token.generation), Some(1));
        assert!(slot.current(at(95)).is_none());

        slot.configured.publish(None);
        assert!(slot.current(at(0)).is_none());
    }

    #[test]
    fn nobody_is_permitted_until_somebody_is() {
        let root = crate::policy::Caller::default();
        let slot = slot();
        assert!(!slot.access().permits(&root, None));
        slot.permit(Access::own_and_root(0));
        assert!(slot.access().permits(&root, None));
    }

    #[test]
    fn names_come_in_order_a_page_after_the_other() {
        let slots = Slots::default();
        let named = |name: &str| {
            let name = ClientName::new(name).unwrap();
            let slot = Slot::new(name.clone(), Arc::new(Cell::new(first_handle(name.as_str().len() as u64))));
            (name, Arc::new(slot))
        };
        slots.replace(["ccc", "a", "dddd", "bb", "eeeee"].map(named).into());
        let page = |after, most| {
            let names = slots.names_after(after, most, |slot| slot.handle() != first_handle(3));
            names.iter().map(ClientName::to_string).collect::<Vec<_>>()
        };
        assert_eq!(page(None, 2), ["a", "bb"]);
        assert_eq!(page(Some("bb"), 2), ["dddd", "eeeee"]);
        assert_eq!(page(Some("bbb"), 9), ["dddd", "eeeee"], "no client has to be called so");
        assert!(page(Some("eeeee"), 9).is_empty());
    }

    #[test]
    fn every_token_key_is_found_by_its_handle_and_a_use_is_remembered() {
        let slot = Arc::new(slot());
        let narrowing =
            Narrowing { resource: BTreeSet::from(["https://api.example/".into()]), ..Narrowing::default() };
        let cell = Arc::new(Cell::new(slot.handle() + 1));
        slot.replace_narrowed(HashMap::from([(narrowing.clone(), Arc::clone(&cell))]));
        let slots = Slots::default();
        let name = ClientName::new("a").unwrap();
        slots.replace(HashMap::from([(name.clone(), Arc::clone(&slot))]));

        assert!(slot.narrowed(&Narrowing::default(), at(5)).is_none());
        assert_eq!(cell.last_used(), Moment::BOOT);
        assert!(Arc::ptr_eq(&slot.narrowed(&narrowing, at(5)).unwrap(), &cell));
        assert_eq!(cell.last_used(), at(5));

        for handle in [slot.handle(), cell.handle()] {
            let (found, of) = slots.find_handle(handle).unwrap();
            assert_eq!(found, name);
            assert_eq!(of.cell(handle).unwrap().handle(), handle);
        }
        assert!(slots.find_handle(first_handle(2)).is_none());

        assert!(slot.all_current(at(0)).is_empty());
        slot.configured.publish(Some(token()));
        cell.publish(Some(token()));
        assert_eq!(slot.all_current(at(0)).len(), 2);
        assert!(slot.cell(slot.handle() + 2).is_none());
    }
}
