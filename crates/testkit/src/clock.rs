//! The one place where the testkit reads clocks.

use std::time::{Duration, Instant};
#[cfg(feature = "servers")]
use std::time::{SystemTime, UNIX_EPOCH};

/// For lifetimes and deadlines.
#[expect(clippy::disallowed_methods, reason = "the testkit's clock module")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// For what assertions claim.
#[cfg(feature = "servers")]
#[expect(clippy::disallowed_methods, reason = "the testkit's clock module")]
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// Measures from where it was started, for tests that say how long something may take.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self(now())
    }

    /// How long ago that was.
    pub fn elapsed(self) -> Duration {
        now().duration_since(self.0)
    }
}
