//! What is where in a slab: the books, which touch no memory.
//!
//! The memory is divided into runs. A run is free, or it holds blocks of one size, or it is part of one large piece. A run
//! whose last block is given back is free again, for any size: so no size that is not asked for any more keeps memory.
//!
//! What yields takes no run that would leave less than a quarter of them free, and no block in a run that was taken from
//! that quarter. It is runs that are counted, not bytes: when all tokens change their length, they hold on to the runs of
//! their old length until the last of them is gone, though these are nearly empty.

use crate::storage::Rank;

/// The length of a run in bytes.
pub(crate) const RUN: usize = 64 * 1024;

/// The sizes of blocks: four steps from each power of two to the next, so that at most a fifth is lost.
const SIZES: [usize; 37] = sizes();

/// What is larger takes whole runs.
const LARGEST: usize = SIZES[SIZES.len() - 1];

const fn sizes() -> [usize; 37] {
    let mut sizes = [0; 37];
    let mut class = 0;
    while class < sizes.len() {
        let power = 32 << (class / 4);
        sizes[class] = power + power / 4 * (class % 4);
        class += 1;
    }
    sizes
}

/// Who has what of a slab. Places are offsets in bytes.
#[derive(Debug)]
pub(super) struct Layout {
    runs: Vec<Run>,
    free: Runs,
    /// How many of them are free.
    left: usize,
    /// How many of the last free ones are for credentials alone.
    reserve: usize,
    /// The runs with blocks of each size of which some are free.
    open: [Open; SIZES.len()],
    held: usize,
}

#[derive(Debug)]
enum Run {
    Free,
    Blocks(Blocks),
    /// The whole of it, or more, is one piece.
    Whole,
}

/// A run of blocks of one size.
#[derive(Debug)]
struct Blocks {
    class: usize,
    /// One bit for each block.
    taken: Box<[u64]>,
    /// How many are taken.
    count: usize,
    /// Whether it was taken from the reserve: then it is for credentials alone.
    is_reserved: bool,
}

#[derive(Debug, Clone)]
struct Open {
    common: Runs,
    reserved: Runs,
}

impl Layout {
    /// So many runs, all free.
    pub(super) fn new(runs: usize) -> Self {
        let none = Runs::none(runs);
        let open = Open { common: none.clone(), reserved: none };
        Self {
            runs: (0..runs).map(|_| Run::Free).collect(),
            free: Runs::all(runs),
            left: runs,
            reserve: runs.div_ceil(4),
            open: std::array::from_fn(|_| open.clone()),
            held: 0,
        }
    }

    /// How many bytes were asked for and not yet given back.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// A place for so many bytes, at least one; `None` if there is no room.
    pub(super) fn take(&mut self, length: usize, rank: Rank) -> Option<usize> {
        debug_assert!(length > 0);
        let place = match SIZES.iter().position(|size| *size >= length) {
            Some(class) => self.take_block(class, rank),
            None => self.take_runs(length.div_ceil(RUN), rank),
        }?;
        self.held += length;
        Some(place)
    }

    /// Gives back what [`take`](Self::take) gave for this length.
    pub(super) fn give_back(&mut self, offset: usize, length: usize) {
        self.held -= length;
        let run = offset / RUN;
        if length > LARGEST {
            for run in run..run + length.div_ceil(RUN) {
                self.free_run(run);
            }
            return;
        }
        let Run::Blocks(blocks) = &mut self.runs[run] else {
            debug_assert!(false, "a block is in a run of blocks");
            return;
        };
        blocks.give_back(offset % RUN / SIZES[blocks.class]);
        let (class, is_empty, is_reserved) = (blocks.class, blocks.count == 0, blocks.is_reserved);
        let open = self.open[class].of(is_reserved);
        if is_empty {
            open.remove(run);
            self.free_run(run);
        } else {
            open.insert(run);
        }
    }

    /// A block of this size; where no run for it can be opened a larger one, rather than none.
    fn take_block(&mut self, class: usize, rank: Rank) -> Option<usize> {
        let run = self
            .open_run(class, rank)
            .or_else(|| self.open_new(class, rank))
            .or_else(|| (class + 1..SIZES.len()).find_map(|larger| self.open_run(larger, rank)))?;
        let Run::Blocks(blocks) = &mut self.runs[run] else {
            debug_assert!(false, "an open run is one of blocks");
            return None;
        };
        let block = blocks.take()?;
        let class = blocks.class;
        if blocks.is_full() {
            let is_reserved = blocks.is_reserved;
            self.open[class].of(is_reserved).remove(run);
        }
        Some(run * RUN + block * SIZES[class])
    }

    /// Of this size the run with free blocks that comes first.
    fn open_run(&self, class: usize, rank: Rank) -> Option<usize> {
        let open = &self.open[class];
        match rank {
            Rank::Credential => open.reserved.first().or_else(|| open.common.first()),
            Rank::Yielding => open.common.first(),
        }
    }

    fn open_new(&mut self, class: usize, rank: Rank) -> Option<usize> {
        if !self.may_take(1, rank) {
            return None;
        }
        let run = self.free.first()?;
        self.free.remove(run);
        self.left -= 1;
        let is_reserved = self.left < self.reserve;
        self.runs[run] = Run::Blocks(Blocks::new(class, is_reserved));
        self.open[class].of(is_reserved).insert(run);
        Some(run)
    }

    fn take_runs(&mut self, count: usize, rank: Rank) -> Option<usize> {
        if !self.may_take(count, rank) {
            return None;
        }
        let is_free = |run: &Run| matches!(run, Run::Free);
        let first = self.runs.windows(count).position(|runs| runs.iter().all(is_free))?;
        for run in first..first + count {
            self.runs[run] = Run::Whole;
            self.free.remove(run);
        }
        self.left -= count;
        Some(first * RUN)
    }

    fn may_take(&self, count: usize, rank: Rank) -> bool {
        match rank {
            Rank::Credential => self.left >= count,
            Rank::Yielding => self.left >= count.saturating_add(self.reserve),
        }
    }

    fn free_run(&mut self, run: usize) {
        self.runs[run] = Run::Free;
        self.free.insert(run);
        self.left += 1;
    }
}

impl Blocks {
    fn new(class: usize, is_reserved: bool) -> Self {
        let blocks = RUN / SIZES[class];
        let mut taken = vec![0; blocks.div_ceil(64)].into_boxed_slice();
        // What is behind the last block is nobody's.
        if let (Some(last), used @ 1..) = (taken.last_mut(), blocks % 64) {
            *last = u64::MAX << used;
        }
        Self { class, taken, count: 0, is_reserved }
    }

    fn is_full(&self) -> bool {
        self.count == RUN / SIZES[self.class]
    }

    fn take(&mut self) -> Option<usize> {
        let (place, word) = self.taken.iter_mut().enumerate().find(|(_, word)| **word != u64::MAX)?;
        let bit = word.trailing_ones();
        *word |= 1 << bit;
        self.count += 1;
        Some(place * 64 + bit as usize)
    }

    fn give_back(&mut self, block: usize) {
        debug_assert!(self.taken[block / 64] & 1 << (block % 64) != 0, "it was taken");
        self.taken[block / 64] &= !(1 << (block % 64));
        self.count -= 1;
    }
}

impl Open {
    fn of(&mut self, is_reserved: bool) -> &mut Runs {
        if is_reserved { &mut self.reserved } else { &mut self.common }
    }
}

/// A set of runs, one bit for each.
#[derive(Debug, Clone)]
struct Runs(Box<[u64]>);

impl Runs {
    fn none(of: usize) -> Self {
        Self(vec![0; of.div_ceil(64)].into_boxed_slice())
    }

    fn all(of: usize) -> Self {
        let mut runs = Self::none(of);
        (0..of).for_each(|run| runs.insert(run));
        runs
    }

    fn first(&self) -> Option<usize> {
        let (place, word) = self.0.iter().enumerate().find(|(_, word)| **word != 0)?;
        Some(place * 64 + word.trailing_zeros() as usize)
    }

    fn insert(&mut self, run: usize) {
        self.0[run / 64] |= 1 << (run % 64);
    }

    fn remove(&mut self, run: usize) {
        self.0[run / 64] &= !(1 << (run % 64));
    }
}

#[cfg(test)]
mod tests;
