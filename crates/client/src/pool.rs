//! Connections kept for the next call.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many are kept while nobody uses them.
const MOST_IDLE: usize = 8;

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
}
