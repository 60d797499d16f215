//! All that is left to chance, from one seed.

use std::ops::Range;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Draws the same for the same seed.
#[derive(Debug)]
pub(crate) struct Dice(StdRng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    pub(crate) fn chance(&mut self, of_one: f64) -> bool {
        self.0.random_bool(of_one)
    }

    pub(crate) fn number(&mut self, range: Range<u64>) -> u64 {
        self.0.random_range(range)
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        self.0.random_range(0..length)
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }

    /// A duration to the millisecond.
    pub(crate) fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.number(range))
    }

    pub(crate) fn seconds(&mut self, range: Range<u64>) -> Duration {
        self.millis(range.start * 1000..range.end * 1000)
    }

    /// The pause until the next of events that come at random, this long on average.
    pub(crate) fn pause(&mut self, mean: Duration) -> Duration {
        let draw: f64 = self.0.random();
        Duration::from_millis((-(1.0 - draw).ln() * mean.as_millis() as f64) as u64)
    }

    /// For an engine's own randomness.
    pub(crate) fn seed(&mut self) -> [u8; 32] {
        self.0.random()
    }
}
