//! The one place where the testkit reads clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// For lifetimes and deadlines.
#[expect(clippy::disallowed_methods, reason = "the testkit's clock module")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// For what assertions claim.
#[expect(clippy::disallowed_methods, reason = "the testkit's clock module")]
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
