//! The only place where this crate reads a clock.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "the clock module: deadlines of calls are measured here")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
