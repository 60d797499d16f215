//! Many days, on as many threads as there are processors.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fmt, thread};

use super::{Fault, Figures, Hits, day};
use crate::Stopwatch;

#[cfg(feature = "mutations")]
use tokenbroker_core::mutation::{self, Mutation};

/// With fewer days than this, some kind of fault may not have its turn.
const ENOUGH_DAYS: u64 = 1_000;

/// Days to simulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Campaign {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// On how many threads; 0: one for each processor.
    pub threads: usize,
    /// The bug to switch on.
    #[cfg(feature = "mutations")]
    pub mutation: Option<Mutation>,
}

/// What came of a campaign.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The days that went well.
    pub days: u64,
    /// The failure with the lowest seed.
    pub failure: Option<super::Failure>,
    /// What went wrong outside, altogether.
    pub hits: Hits,
    /// How much happened, altogether.
    pub figures: Figures,
    /// The trace hashes of the days, combined so that their order does not matter.
    pub hash: u64,
    /// In seconds.
    pub took: f64,
    is_complete: bool,
}

impl Campaign {
    /// Runs until all days are done or one fails.
    pub fn run(&self) -> Report {
        let stopwatch = Stopwatch::start();
        let next = AtomicU64::new(0);
        let report = Mutex::new(Report { is_complete: self.seeds >= ENOUGH_DAYS, ..Report::default() });
        let threads = match self.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| self.work(&next, &report));
            }
        });
        let mut report = report.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        report.took = stopwatch.elapsed().as_secs_f64();
        report
    }

    fn work(&self, next: &AtomicU64, report: &Mutex<Report>) {
        #[cfg(feature = "mutations")]
        mutation::set(self.mutation);
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= self.seeds {
                return;
            }
            let outcome = day(self.from + number);
            let mut report = report.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            match outcome {
                Ok(day) => {
                    report.days += 1;
                    report.hash ^= day.hash.rotate_left((day.seed % 64) as u32);
                    report.hits.add(&day.hits);
                    report.figures.add(day.figures);
                }
                Err(failure) => {
                    // No more days begin; those under way with lower seeds may fail too, and then count instead.
                    next.store(self.seeds, Ordering::Relaxed);
                    if report.failure.as_ref().is_none_or(|other| failure.seed < other.seed) {
                        report.failure = Some(failure);
                    }
                }
            }
        }
    }
}

impl Report {
    /// Whether every day went well, and no kind of fault was missing from a campaign that is large enough for all.
    pub fn is_good(&self) -> bool {
        self.failure.is_none() && self.missing().is_empty()
    }

    /// The kinds of fault that should have occurred.
    pub fn missing(&self) -> Vec<Fault> {
        if self.is_complete { self.hits.never() } else { Vec::new() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in Fault::ALL {
            writeln!(f, "{:9}  {fault}", self.hits.of(*fault))?;
        }
        let Figures { steps, token_requests, gets, failed_gets } = self.figures;
        writeln!(
            f,
            "{} kinds of fault, {} of them seen",
            Fault::ALL.len(),
            Fault::ALL.len() - self.hits.never().len()
        )?;
        writeln!(
            f,
            "{steps} steps, {token_requests} token requests, {gets} gets, {failed_gets} without a token"
        )?;
        write!(f, "{} days in {:.1} s (hash {:016x})", self.days, self.took, self.hash)?;
        if let Some(failure) = &self.failure {
            write!(f, "\n\n{failure}")?;
        }
        for fault in self.missing() {
            write!(f, "\nnever seen: {fault}")?;
        }
        Ok(())
    }
}
