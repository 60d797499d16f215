//! Memory for secrets in one mapping: places of the right size in it, wiped when they are given back.
//!
//! One mapping, because each costs a page and a system call, and because the limit of what a process may lock is spent by
//! whole pages. [`layout`] keeps the books and touches no memory; here is the memory.
#![expect(unsafe_code, reason = "it hands out parts of a mapping")]

mod layout;

use std::ptr::NonNull;
use std::slice;
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::layout::Layout;
use crate::locked::Mapping;
use crate::storage::Rank;
use crate::wipe::wipe;

pub(crate) use self::layout::RUN;

/// A mapping and what is where in it. What is free in it is zero.
pub(crate) struct Slab {
    memory: Mapping,
    layout: Mutex<Layout>,
}

impl Slab {
    /// All of the mapping, which is still all zero, as free memory.
    pub(crate) fn new(memory: Mapping) -> Self {
        let layout = Mutex::new(Layout::new(memory.length() / RUN));
        Self { memory, layout }
    }

    pub(crate) fn memory(&self) -> &Mapping {
        &self.memory
    }

    /// How many bytes of secrets are in it.
    pub(crate) fn held(&self) -> usize {
        self.layout().held()
    }

    /// A copy of these bytes in it; `None` if there is no room for them.
    pub(crate) fn hold(&'static self, bytes: &[u8], rank: Rank) -> Option<Block> {
        let offset = self.layout().take(bytes.len(), rank)?;
        // SAFETY: the layout gives places that lie in the mapping as a whole.
        let start = unsafe { self.memory.start().add(offset) };
        // SAFETY: the place is as long as the bytes, writable, initialized, and nobody else's until it is given back. The bytes
        // are not in it: they are borrowed from somebody, and it was nobody's.
        unsafe { start.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        Some(Block { slab: self, start, length: bytes.len() })
    }

    fn layout(&self) -> MutexGuard<'_, Layout> {
        self.layout.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a slab, wiped and given back when dropped.
pub(crate) struct Block {
    slab: &'static Slab,
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a block is the only one that has its place; the slab's books are behind a lock. So it can be dropped anywhere.
unsafe impl Send for Block {}
// SAFETY: what is shared of a block can only be read.
unsafe impl Sync for Block {}

impl Block {
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the place is this block's own for as long as it lives, initialized, and not written to meanwhile.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the place is this block's own, and nobody borrows from it any more.
        unsafe { wipe(self.start.as_ptr(), self.length) };
        // SAFETY: both pointers are into the one mapping.
        let offset = unsafe { self.start.offset_from(self.slab.memory.start()) };
        // Only now may another block have it.
        self.slab.layout().give_back(offset.unsigned_abs(), self.length);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: usize = 16 * RUN;

    fn slab() -> &'static Slab {
        Box::leak(Box::new(Slab::new(Mapping::unlocked(SIZE).unwrap())))
    }

    impl Slab {
        fn all(&self) -> &[u8] {
            // SAFETY: the whole mapping, in a test that has no thread that writes to it meanwhile.
            unsafe { slice::from_raw_parts(self.memory.start().as_ptr(), SIZE) }
        }
    }

    fn content(seed: usize, length: usize) -> Vec<u8> {
        (0..length).map(|place| (place * 31 + seed * 7) as u8 | 1).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn s57_what_is_held_stays_as_it_is_and_what_is_dropped_is_gone(
            steps in prop::collection::vec((any::<bool>(), 1_usize..40_000, any::<prop::sample::Index>()), 1..200),
        ) {
            let slab = slab();
            let mut held: Vec<(Block, Vec<u8>)> = Vec::new();
            for (seed, (drops, length, which)) in steps.into_iter().enumerate() {
                if drops && !held.is_empty() {
                    let (block, bytes) = held.swap_remove(which.index(held.len()));
                    prop_assert_eq!(block.bytes(), &bytes[..]);
                } else {
                    let bytes = content(seed, length);
                    held.extend(slab.hold(&bytes, Rank::Credential).map(|block| (block, bytes)));
                }
            }
            let expected: usize = held.iter().map(|(_, bytes)| bytes.len()).sum();
            prop_assert_eq!(slab.held(), expected);
            // Whatever is not zero is held by somebody, and nobody's place is another's.
            prop_assert_eq!(slab.all().iter().filter(|byte| **byte != 0).count(), expected);
            for (block, bytes) in &held {
                prop_assert_eq!(block.bytes(), &bytes[..]);
            }
            drop(held);
            prop_assert!(slab.all().iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn s57_threads_share_it() {
        let slab = slab();
        let churn = |thread: usize| {
            for round in 0..300 {
                let bytes = content(thread + round, 1 + (thread * 977 + round * 131) % 20_000);
                let Some(block) = slab.hold(&bytes, Rank::Yielding) else { continue };
                std::thread::yield_now();
                assert_eq!(block.bytes(), bytes);
            }
        };
        std::thread::scope(|scope| {
            for thread in 0..8 {
                scope.spawn(move || churn(thread));
            }
        });
        assert_eq!(slab.held(), 0);
        assert!(slab.all().iter().all(|byte| *byte == 0));
    }
}
