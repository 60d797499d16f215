//! The one place where xtask reads a clock.

use std::time::{Duration, Instant};

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

#[expect(clippy::disallowed_methods, reason = "xtask's clock module")]
fn now() -> Instant {
    Instant::now()
}
