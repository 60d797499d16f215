//! What was written down before, so that it is not written down again: a record is for what is new, and not for each get.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// So many marks one connection has room for. With more clients than this it finds them in what all share.
const MOST_OF_A_CONNECTION: usize = 64;

/// So many are remembered for all connections, twice: see [`Memory`].
const MOST: usize = 8192;

/// What was decided, in numbers. Nothing that a caller can make long is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Mark {
    /// This token key's generation was handed out.
    Token { handle: u64, generation: u64 },
    /// What has this hash was denied, by the rules of a configuration with this number.
    Denied { hash: u64, configuration: u64 },
}

/// What one connection was given and denied. Every warm get passes here, and nearly always it is what was given last: then no
/// lock is taken.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The last token, [in one number](Mark::in_one_number).
    last_token: AtomicU64,
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    marks: Vec<Mark>,
    oldest: usize,
}

impl Mark {
    /// The client's number, which of its token keys, and the generation, side by side: as long as all three are as short as
    /// they nearly always are.
    fn in_one_number(self) -> Option<u64> {
        let Self::Token { handle, generation } = self else { return None };
        let (client, part) = (handle >> 32, handle & u64::from(u32::MAX));
        let is_short = client < 1 << 20 && part < 1 << 14 && generation < 1 << 30;
        (is_short && handle != 0).then_some(client << 44 | part << 30 | generation)
    }
}

impl Seen {
    /// Whether it was seen before on this connection. From now on it was.
    pub(super) fn saw(&self, mark: Mark) -> bool {
        let number = mark.in_one_number();
        if number.is_some_and(|number| self.last_token.load(Ordering::Relaxed) == number) {
            return true;
        }
        // Nothing here panics with the lock held.
        let saw = self.ring.lock().unwrap_or_else(PoisonError::into_inner).saw(mark);
        if let Some(number) = number {
            self.last_token.store(number, Ordering::Relaxed);
        }
        saw
    }
}

impl Ring {
    fn saw(&mut self, mark: Mark) -> bool {
        if self.marks.contains(&mark) {
            return true;
        }
        if self.marks.len() < MOST_OF_A_CONNECTION {
            self.marks.push(mark);
        } else {
            self.marks[self.oldest] = mark;
            self.oldest = (self.oldest + 1) % MOST_OF_A_CONNECTION;
        }
        false
    }
}

/// What was written down of all callers, whichever connection it was on: the latest, in two halves of which the older makes
/// room when the younger is full. What is asked for again is young again.
///
/// Callers are hashes here, which take no more room whatever is known of them.
#[derive(Debug, Default)]
pub(super) struct Memory {
    young: HashSet<(u64, Mark)>,
    old: HashSet<(u64, Mark)>,
}

impl Memory {
    pub(super) fn has(&mut self, caller: u64, mark: Mark) -> bool {
        if self.young.contains(&(caller, mark)) {
            return true;
        }
        let is_old = self.old.contains(&(caller, mark));
        if is_old {
            self.put(caller, mark);
        }
        is_old
    }

    pub(super) fn put(&mut self, caller: u64, mark: Mark) {
        if self.young.len() >= MOST {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert((caller, mark));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(handle: u64, generation: u64) -> Mark {
        Mark::Token { handle, generation }
    }

    #[test]
    fn a_connection_sees_each_generation_once() {
        let seen = Seen::default();
        assert!(!seen.saw(token(1, 1)));
        assert!(seen.saw(token(1, 1)));
        assert!(!seen.saw(token(2, 1)));
        assert!(seen.saw(token(1, 1)));
        assert!(!seen.saw(token(1, 2)));
    }

    #[test]
    fn numbers_that_are_too_long_are_told_apart_all_the_same() {
        let seen = Seen::default();
        let long = 1 << 32;
        for mark in [token(0, 0), token(1, 0), token(0, long), token(long, 0), token(1, long), token(long, 1)]
        {
            assert!(!seen.saw(mark), "{mark:?}");
            assert!(seen.saw(mark), "{mark:?}");
        }
    }

    #[test]
    fn a_connection_takes_no_more_room_whatever_is_asked_on_it() {
        let seen = Seen::default();
        for number in 0..100_000 {
            seen.saw(Mark::Denied { hash: number, configuration: 0 });
        }
        assert_eq!(seen.ring.lock().unwrap().marks.capacity(), MOST_OF_A_CONNECTION);
        assert!(seen.saw(Mark::Denied { hash: 99_999, configuration: 0 }));
    }

    #[test]
    fn what_all_share_is_bounded_and_forgets_what_nobody_asks_for() {
        let mut memory = Memory::default();
        memory.put(0, token(1, 1));
        memory.put(1, token(1, 1));
        for pid in 2..100_000 {
            memory.put(pid, token(1, 1));
            assert!(pid % 1000 != 0 || memory.has(0, token(1, 1)), "it is asked for");
        }
        assert!(!memory.has(1, token(1, 1)));
        assert!(memory.young.len() + memory.old.len() <= 2 * MOST);
    }
}
