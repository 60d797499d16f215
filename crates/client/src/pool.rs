//! Connections kept for the next call.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many are kept while nobody uses them.
const MOST_IDLE: usize = 8;

/// How many calls of one broker are with the daemon at once; the others wait for their turn. A program of thousands of
/// threads or tasks that all begin with a get would otherwise use up its descriptors, and its user's connections.
pub(crate) const MOST_AT_ONCE: usize = 256;

/// Idle connections. A call takes one for itself, so that a slow call is in nobody's way.
#[derive(Debug)]
pub(crate) struct Pool<C>(Mutex<Vec<C>>);

impl<C> Pool<C> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::with_capacity(MOST_IDLE)))
    }

    /// The one used last: the likeliest to be alive.
    pub(crate) fn take(&self) -> Option<C> {
        self.idle().pop()
    }

    pub(crate) fn keep(&self, connection: C) {
        let mut idle = self.idle();
        if idle.len() < MOST_IDLE {
            idle.push(connection);
        }
    }

    /// Drops them all: when one is dead, so is the daemon that the others led to.
    pub(crate) fn clear(&self) {
        let dead = std::mem::take(&mut *self.idle());
        drop(dead);
    }

    /// Nothing here panics with the lock held.
    fn idle(&self) -> MutexGuard<'_, Vec<C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Turns of calls that block; those of tasks are a semaphore's, which the blocking half has none of.
#[derive(Debug)]
pub(crate) struct Turns {
    free: Mutex<usize>,
    freed: Condvar,
}

/// A call that is with the daemon.
pub(crate) struct Turn<'a>(&'a Turns);

impl Turns {
    pub(crate) fn new() -> Self {
        Self { free: Mutex::new(MOST_AT_ONCE), freed: Condvar::new() }
    }

    /// A turn, if there is one within this time.
    pub(crate) fn take(&self, patience: Duration) -> Option<Turn<'_>> {
        let free = self.free();
        let waited = self.freed.wait_timeout_while(free, patience, |free| *free == 0);
        let (mut free, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *free = free.checked_sub(1)?;
        Some(Turn(self))
    }

    /// Nothing panics with the lock held.
    fn free(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free() += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_are_kept_and_the_last_comes_first() {
        let pool = Pool::new();
        (0..MOST_IDLE + 3).for_each(|connection| pool.keep(connection));
        assert_eq!(pool.take(), Some(MOST_IDLE - 1));
        pool.clear();
        assert_eq!(pool.take(), None);
    }

    #[test]
    fn who_finds_no_turn_waits_for_one() {
        let turns = Turns::new();
        let mut taken: Vec<_> = (0..MOST_AT_ONCE).map(|_| turns.take(Duration::ZERO).unwrap()).collect();
        assert!(turns.take(Duration::from_millis(1)).is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| turns.take(Duration::from_secs(10)).is_some());
            taken.pop();
            assert!(waiting.join().unwrap());
        });
        assert!(turns.take(Duration::ZERO).is_some());
    }
}
