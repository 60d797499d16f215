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
pub(crate) fn unix_seconds() -> u64 {
    wall_clock().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// So many seconds from now, or before now, as HTTP writes it (RFC 9110 section 5.6.7).
#[cfg(feature = "servers")]
pub fn http_date(seconds: i64) -> String {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let now = wall_clock();
    let time = if seconds < 0 { now.checked_sub(distance) } else { now.checked_add(distance) };
    httpdate::fmt_http_date(time.unwrap_or(UNIX_EPOCH))
}

#[cfg(feature = "servers")]
#[expect(clippy::disallowed_methods, reason = "the testkit's clock module")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
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
