//! The one place where xtask reads a clock.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec};

/// Measures from where it was started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        now().duration_since(self.0)
    }
}

/// Measures what comes one after the other, with one reading of the clock for each.
#[derive(Debug)]
pub(crate) struct Laps {
    started: Instant,
    last: Instant,
}

impl Laps {
    pub(crate) fn start() -> Self {
        let now = now();
        Self { started: now, last: now }
    }

    /// Nanoseconds since the last lap.
    pub(crate) fn lap(&mut self) -> u64 {
        let before = std::mem::replace(&mut self.last, now());
        nanoseconds(self.last.duration_since(before))
    }

    /// From the start to the last lap.
    pub(crate) fn total(&self) -> Duration {
        self.last.duration_since(self.started)
    }
}

/// A duration as a sample. One that does not fit is longer than any measurement.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Reads the clock that the lifetimes of tokens count on: for comparison with what has to read it.
#[expect(clippy::disallowed_methods, reason = "xtask's clock module")]
pub(crate) fn boot_time() -> Timespec {
    rustix::time::clock_gettime(ClockId::Boottime)
}

#[expect(clippy::disallowed_methods, reason = "xtask's clock module")]
fn now() -> Instant {
    Instant::now()
}
