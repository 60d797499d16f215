//! Points in time, as arguments: nothing in this crate reads a clock.

use std::time::Duration;

/// A point in time: nanoseconds since boot, suspend included (CLOCK_BOOTTIME). No change of the wall clock moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// When the host started.
    pub const BOOT: Self = Self(0);

    /// The given number of nanoseconds after boot.
    pub fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since boot.
    pub fn as_nanos(self) -> u64 {
        self.0
    }

    /// This much later; the end of time if that is beyond it.
    pub fn after(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// This much earlier; the host's start if that is before it.
    pub fn before(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }

    /// How long ago `earlier` was; zero if it is still to come.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// How long it is until `later`; zero if it has passed.
    pub fn until(self, later: Self) -> Duration {
        later.since(self)
    }
}

/// What both clocks say. Lifetimes and deadlines count on `boot`; `unix` is only for what other hosts read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since boot.
    pub boot: Moment,
    /// Wall clock: seconds since 1970 (UTC).
    pub unix: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_stop_at_the_end_of_time_and_intervals_at_zero() {
        let hour = Duration::from_secs(3600);
        let moment = Moment::BOOT.after(hour);
        assert_eq!(moment.since(Moment::BOOT), hour);
        assert_eq!(Moment::BOOT.since(moment), Duration::ZERO);
        assert_eq!(Moment::BOOT.until(moment), hour);
        assert_eq!(moment.after(Duration::MAX), Moment::from_nanos(u64::MAX));
    }
}
