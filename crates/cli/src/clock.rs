//! The clock that this program reads: what expires by a date is compared to today.

use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock, in seconds since 1970 (UTC).
#[expect(clippy::disallowed_methods, reason = "the clock module")]
pub(crate) fn unix_seconds() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX)
}
