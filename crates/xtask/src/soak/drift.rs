//! Whether what the daemon takes grows while it does the same things over and over.

use std::fmt;

use crate::Result;
use crate::host::Sample;

/// Resident memory may grow by this many KiB, or by [`NOISE_PART`] of it: allocators take and give back in large pieces.
const NOISE: u64 = 2 * 1024;

const NOISE_PART: f64 = 0.05;

/// Callers come and go: so many connections more or less say nothing.
const NOISE_DESCRIPTORS: usize = 24;

/// The medians of the first and of the last third.
pub(super) struct Drift {
    samples: usize,
    resident: (u64, u64),
    descriptors: (usize, usize),
}

impl Drift {
    /// From samples in the order of time. What comes before the daemon has warmed up should not be among them.
    pub(super) fn of(samples: Vec<Sample>) -> Self {
        let third = samples.len().div_ceil(3);
        let (first, last) = (&samples[..third], &samples[samples.len() - third..]);
        Self {
            samples: samples.len(),
            resident: (
                median(first.iter().map(|sample| sample.resident)),
                median(last.iter().map(|sample| sample.resident)),
            ),
            descriptors: (
                median(first.iter().map(|sample| sample.descriptors)),
                median(last.iter().map(|sample| sample.descriptors)),
            ),
        }
    }

    /// Whether the daemon was never looked at.
    pub(super) fn is_empty(&self) -> bool {
        self.samples == 0
    }

    pub(super) fn check(&self) -> Result {
        let (before, after) = self.resident;
        let noise = NOISE.max((before as f64 * NOISE_PART) as u64);
        if after > before + noise {
            return Err(format!("resident memory grew from {before} KiB to {after} KiB").into());
        }
        let (before, after) = self.descriptors;
        if after > before + NOISE_DESCRIPTORS {
            return Err(format!("descriptors grew from {before} to {after}").into());
        }
        Ok(())
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, resident: (before, after), descriptors: (few, many) } = self;
        write!(
            f,
            "daemon, {samples} samples without a restart: resident {before} KiB in the first third, {after} KiB in the \
             last; descriptors {few} and {many}"
        )
    }
}

fn median<T: Ord + Copy + Default>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(resident: impl Fn(u64) -> u64, descriptors: impl Fn(usize) -> usize) -> Vec<Sample> {
        (0..90)
            .map(|at| Sample {
                resident: resident(at as u64),
                descriptors: descriptors(at),
                unix_sockets: 3,
                threads: 5,
            })
            .collect()
    }

    #[test]
    fn what_stays_the_same_is_fine_and_a_single_peak_too() {
        let peak = |at| if at == 80 { 90_000 } else { 20_000 };
        Drift::of(samples(peak, |at| 100 + at % 7)).check().unwrap();
    }

    #[test]
    fn a_leak_is_seen() {
        let leak = Drift::of(samples(|at| 20_000 + at * 50, |_| 100)).check();
        assert!(leak.unwrap_err().to_string().starts_with("resident memory grew"));
        let leak = Drift::of(samples(|_| 20_000, |at| 100 + at)).check();
        assert_eq!(leak.unwrap_err().to_string(), "descriptors grew from 115 to 175");
    }
}
