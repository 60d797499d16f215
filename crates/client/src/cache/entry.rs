//! What the cache holds of one key.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::Token;
use crate::key::Key;
use crate::token::Handle;

/// A key, its token, and how it is kept.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Arc<Key>,
    pub(crate) hash: u64,
    slot: Slot,
    /// The last token of a daemon that is gone, for when no other can be asked.
    spare: Mutex<Option<Token>>,
    stage: AtomicU8,
    used: AtomicBool,
    idle: AtomicU8,
}

/// How far an entry is on the way to being kept fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// It was asked for once.
    Seen,
    /// It is to be subscribed to.
    Wanted,
    /// It is subscribed to, or the daemon was asked to.
    Kept,
    /// The daemon has refused the subscription.
    Refused,
    /// It is not in the table any more.
    Dropped,
}

impl Entry {
    pub(crate) fn new(key: Key, hash: u64) -> Self {
        Self {
            key: Arc::new(key),
            hash,
            slot: Slot::new(),
            spare: Mutex::new(None),
            stage: AtomicU8::new(Stage::Seen as u8),
            used: AtomicBool::new(true),
            idle: AtomicU8::new(0),
        }
    }

    /// The token, if it may be given out without asking.
    pub(crate) fn fresh(&self, now: impl FnOnce() -> Duration, min_ttl: Duration) -> Option<Token> {
        let held = self.slot.mine()?.load();
        if self.key.is_accused() || !held.as_ref()?.is_fresh(now(), min_ttl) {
            return None;
        }
        // Written only by the first after a sweep, so that threads do not take the memory from each other.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        arc_swap::Guard::into_inner(held).map(Token)
    }

    /// The token in the cache, whatever it is worth.
    pub(crate) fn current(&self) -> Option<Token> {
        self.slot.mine()?.load_full().map(Token)
    }

    /// A token that has not expired and that no daemon has taken back, for when none can be asked; and whether the daemon
    /// that gave it is gone.
    pub(crate) fn fallback(&self, now: Duration) -> Option<(Token, bool)> {
        let _writing = self.slot.lock();
        let current = self.current().map(|token| (token, false));
        let (held, is_orphan) = current.or_else(|| Some((self.spare().clone()?, true)))?;
        (held.is_fresh(now, Duration::ZERO) && !self.key.is_accused()).then_some((held, is_orphan))
    }

    /// What the subscription says: this is the token. One that a caller has seen a successor of is not.
    pub(crate) fn publish(&self, token: &Token) {
        let _writing = self.slot.lock();
        if self.current().is_none_or(|current| token.succeeds(&current) || !current.succeeds(token)) {
            self.slot.set(Some(token));
            *self.spare() = None;
        }
    }

    /// What a caller was answered. It is taken in the place of an older token, but not where there is none: that may be
    /// because of what happened since.
    pub(crate) fn offer(&self, token: &Token) {
        let _writing = self.slot.lock();
        match self.current() {
            Some(current) if token.succeeds(&current) && !current.succeeds(token) => {
                self.slot.set(Some(token))
            }
            Some(_) => {}
            // A daemon answers, and what it said last is what to fall back on.
            None => {
                let mut spare = self.spare();
                if spare.as_ref().is_some_and(|spare| !spare.succeeds(token)) {
                    *spare = Some(token.clone());
                }
            }
        }
    }

    /// The daemon has taken the token back, or has refused to give it.
    pub(crate) fn forget(&self) {
        let _writing = self.slot.lock();
        self.slot.set(None);
        *self.spare() = None;
    }

    /// The same for somebody who asked when this was the token. One that was pushed since stays: the daemon would take
    /// that back itself, and does not push it again.
    pub(crate) fn forget_unless_replaced(&self, seen: Option<&Token>) {
        let _writing = self.slot.lock();
        if self.current().is_none_or(|current| seen.is_some_and(|seen| seen.succeeds(&current))) {
            self.slot.set(None);
            *self.spare() = None;
        }
    }

    /// There is no daemon any more that would say if the token were taken back.
    pub(crate) fn orphan(&self) {
        let _writing = self.slot.lock();
        if let Some(held) = self.current() {
            *self.spare() = Some(held);
            self.slot.set(None);
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        [Stage::Seen, Stage::Wanted, Stage::Kept, Stage::Refused]
            .into_iter()
            .find(|stage| *stage as u8 == self.stage.load(Ordering::Acquire))
            .unwrap_or(Stage::Dropped)
    }

    /// Whether it was at one stage, and is at the other now.
    pub(crate) fn advance(&self, from: Stage, to: Stage) -> bool {
        self.stage.compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// It has left the table, and no get finds it any more.
    pub(crate) fn drop_out(&self) {
        self.stage.store(Stage::Dropped as u8, Ordering::Release);
        self.forget();
    }

    pub(crate) fn touch(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    /// How many sweeps in a row have found it unused, this one included.
    pub(crate) fn sweep(&self) -> u8 {
        let idle = if self.used.swap(false, Ordering::Relaxed) { 0 } else { self.idle().saturating_add(1) };
        self.idle.store(idle, Ordering::Relaxed);
        idle
    }

    /// What to drop first when there are too many: the largest.
    pub(crate) fn dispensability(&self) -> (bool, u8, bool) {
        (self.stage() == Stage::Seen, self.idle(), !self.used.load(Ordering::Relaxed))
    }

    fn idle(&self) -> u8 {
        self.idle.load(Ordering::Relaxed)
    }

    /// Nothing panics with the lock held.
    fn spare(&self) -> MutexGuard<'_, Option<Token>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A token behind several counters: threads that count on the same one would take its memory from each other.
#[derive(Debug)]
struct Slot {
    /// Made with the first token: most keys of a program with very many never have one.
    shards: OnceLock<Box<[Shard]>>,
    writing: Mutex<()>,
}

/// As far from the next one as processors fetch memory at a time.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(ArcSwapOption<Handle>);

/// More are of no use: then two threads seldom have the same.
const MOST_SHARDS: usize = 16;

/// As many as threads can run at a time.
static SHARDS: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from).min(MOST_SHARDS));

impl Slot {
    fn new() -> Self {
        Self { shards: OnceLock::new(), writing: Mutex::new(()) }
    }

    /// That of this thread, if there was ever a token.
    fn mine(&self) -> Option<&ArcSwapOption<Handle>> {
        /// The number of the next thread that asks.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
        }
        let shards = self.shards.get()?;
        let number = NUMBER.try_with(|number| {
            if number.get() == usize::MAX {
                number.set(NEXT.fetch_add(1, Ordering::Relaxed) % *SHARDS);
            }
            number.get()
        });
        Some(&shards[number.unwrap_or(0)].0)
    }

    /// One at a time may look at what is there and change it.
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, token: Option<&Token>) {
        if token.is_none() && self.shards.get().is_none() {
            return;
        }
        for Shard(shard) in self.shards.get_or_init(|| (0..*SHARDS).map(|_| Shard::default()).collect()) {
            shard.store(token.map(|token| token.another().0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Get;
    use crate::token::tests::{answer, from, token};

    const SECOND: Duration = Duration::from_secs(1);
    const NOW: Duration = Duration::from_secs(1001);

    fn entry() -> Entry {
        Entry::new(Key::of(&Get::new("x"), &Arc::default()), 1)
    }

    fn value(token: Option<Token>) -> Option<String> {
        token.map(|token| token.value().to_owned())
    }

    fn fresh(entry: &Entry) -> Option<String> {
        value(entry.fresh(|| NOW, Duration::ZERO))
    }

    fn is(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn s48_a_token_is_served_until_its_time_and_no_longer() {
        let entry = entry();
        entry.publish(&token("a", 1, 60));
        assert!(entry.fresh(|| 1054 * SECOND, Duration::ZERO).is_some());
        assert!(entry.fresh(|| 1055 * SECOND, Duration::ZERO).is_none());
        assert!(entry.fresh(|| 9000 * SECOND, Duration::ZERO).is_none(), "after a suspend");
        assert!(entry.fresh(|| 1010 * SECOND, 51 * SECOND).is_none(), "it does not live that long");
    }

    #[test]
    fn a_caller_that_was_quicker_than_the_push_is_not_undone_by_it() {
        let entry = entry();
        entry.publish(&token("old", 1, 60));
        entry.offer(&token("newer", 3, 60));
        entry.publish(&token("new", 2, 60));
        assert_eq!(fresh(&entry), is("newer"));
        entry.publish(&token("newer", 3, 90));
        assert!(entry.fresh(|| 1070 * SECOND, Duration::ZERO).is_some(), "its expiry has changed");
        entry.publish(&from(2, answer("after a restart", 1, 60)));
        assert_eq!(fresh(&entry), is("after a restart"));
        entry.offer(&token("newest of the instance before", 9, 60));
        assert_eq!(fresh(&entry), is("after a restart"));
    }

    #[test]
    fn s55_what_was_taken_back_is_gone_and_stays_gone() {
        let entry = entry();
        entry.publish(&token("a", 1, 60));
        entry.forget();
        entry.offer(&token("b", 2, 60));
        assert!(fresh(&entry).is_none() && entry.fallback(NOW).is_none());
        entry.orphan();
        assert!(entry.fallback(NOW).is_none());
    }

    #[test]
    fn s69_the_token_of_a_daemon_that_is_gone_is_only_fallen_back_on() {
        let entry = entry();
        entry.publish(&token("a", 1, 60));
        entry.orphan();
        entry.orphan();
        assert!(fresh(&entry).is_none());
        let (token, is_orphan) = entry.fallback(NOW).unwrap();
        assert_eq!((token.value(), is_orphan), ("a", true));
        assert!(entry.fallback(1055 * SECOND).is_none(), "never an expired one");
        entry.publish(&from(2, answer("b", 1, 60)));
        entry.forget();
        assert!(entry.fallback(NOW).is_none());
    }

    #[test]
    fn s69_what_a_daemon_said_last_is_what_is_fallen_back_on() {
        let entry = entry();
        entry.publish(&token("b", 2, 60));
        entry.orphan();
        let fallback = || value(entry.fallback(NOW).map(|(token, _)| token));
        entry.offer(&token("a", 1, 60));
        assert_eq!(fallback(), is("b"));
        entry.offer(&token("c", 3, 60));
        assert_eq!(fallback(), is("c"));
        entry.offer(&from(2, answer("d", 1, 60)));
        assert_eq!(fallback(), is("d"));
        assert!(fresh(&entry).is_none());
    }

    #[test]
    fn s46_a_token_that_was_complained_of_is_neither_served_nor_fallen_back_on() {
        let entry = entry();
        let token = token("a", 1, 60);
        entry.publish(&token);
        entry.key.complain(token.complaint(), Duration::MAX);
        assert!(fresh(&entry).is_none() && entry.fallback(NOW).is_none());
        entry.key.settle(&token.complaint());
        assert_eq!(fresh(&entry), is("a"));
    }

    #[test]
    fn every_thread_sees_the_same() {
        let entry = entry();
        entry.publish(&token("a", 1, 60));
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..40).map(|_| scope.spawn(|| fresh(&entry))).collect();
            threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), is("a")));
        });
    }

    #[test]
    fn what_is_used_is_not_idle() {
        let entry = entry();
        entry.publish(&token("a", 1, 60));
        assert_eq!([entry.sweep(), entry.sweep(), entry.sweep()], [0, 1, 2]);
        fresh(&entry);
        assert_eq!([entry.sweep(), entry.sweep()], [0, 1]);
    }

    #[test]
    fn what_has_left_is_never_kept() {
        let entry = entry();
        assert!(entry.advance(Stage::Seen, Stage::Wanted));
        entry.drop_out();
        assert!(!entry.advance(Stage::Wanted, Stage::Kept));
        assert_eq!(entry.stage(), Stage::Dropped);
    }
}
