//! What an authorization server's clock says: assertions are dated by it, because it is the server that compares.

use std::time::Duration;

use crate::time::{Moment, Now};

/// Clocks that are no further apart than this are together: a `Date` header has whole seconds and took its way.
const TOLERANCE: i64 = 10;

/// A header that is further off than this is nonsense.
const FARTHEST: i64 = 24 * 3600;

/// An exchange that took longer than this does not tell when within it the header was written.
const LONGEST_EXCHANGE: Duration = Duration::from_secs(5);

/// What is known of a server's clock, from the `Date` headers of its responses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ServerClock {
    /// What it said when this host started, in seconds since 1970: by this, no change of our wall clock moves it.
    at_boot: Option<i64>,
    /// The offset that the operator was told of.
    told: i64,
}

impl ServerClock {
    /// Takes in what a response said of it.
    pub(crate) fn learn(&mut self, now: Now, requested_at: Moment, server_time: Option<u64>) {
        let took = now.boot.since(requested_at);
        let Some(server_time) = server_time.and_then(|time| i64::try_from(time).ok()) else { return };
        if took > LONGEST_EXCHANGE || server_time.abs_diff(seconds(now.unix)) > FARTHEST.unsigned_abs() {
            return;
        }
        let written = requested_at.after(took / 2);
        self.at_boot = Some(server_time - seconds(written.since(Moment::BOOT).as_secs()));
    }

    /// By how many seconds it is ahead of our wall clock; 0 while they are together or it is not known.
    pub(crate) fn offset(&self, now: Now) -> i64 {
        let Some(at_boot) = self.at_boot else { return 0 };
        let server_time = at_boot + seconds(now.boot.since(Moment::BOOT).as_secs());
        let offset = server_time - seconds(now.unix);
        if offset.abs() < TOLERANCE { 0 } else { offset }
    }

    /// What it says now, as well as we know; in seconds since 1970.
    pub(crate) fn unix(&self, now: Now) -> u64 {
        now.unix.saturating_add_signed(self.offset(now))
    }

    /// The offset, if the operator should be told: it is another than the last one told.
    pub(crate) fn news(&mut self, now: Now) -> Option<i64> {
        let offset = self.offset(now);
        let is_news = are_apart(offset, self.told);
        self.told = if is_news { offset } else { self.told };
        (is_news && offset != 0).then_some(offset)
    }
}

/// Whether it makes a difference which of two offsets an assertion was dated by.
pub(crate) fn are_apart(offset: i64, other: i64) -> bool {
    (offset - other).abs() >= TOLERANCE
}

fn seconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIX: u64 = 1_800_000_000;

    fn at(seconds: u64) -> Now {
        Now { boot: Moment::BOOT.after(Duration::from_secs(3600 + seconds)), unix: UNIX + seconds }
    }

    #[test]
    fn s40_a_clock_that_is_minutes_off_is_followed_and_told_of_once() {
        let mut clock = ServerClock::default();
        assert_eq!(clock.unix(at(0)), UNIX);
        clock.learn(at(0), at(0).boot, Some(UNIX - 300));
        assert_eq!((clock.offset(at(0)), clock.unix(at(60))), (-300, UNIX + 60 - 300));
        assert_eq!((clock.news(at(0)), clock.news(at(1))), (Some(-300), None));
        clock.learn(at(2), at(2).boot, Some(UNIX + 2 - 304));
        assert_eq!(clock.news(at(2)), None, "a little further off is no news");
    }

    #[test]
    fn seconds_apart_are_together_and_years_apart_are_nonsense() {
        for header in [UNIX + 9, UNIX - 9, UNIX + 90_000, 0, u64::MAX] {
            let mut clock = ServerClock::default();
            clock.learn(at(0), at(0).boot, Some(header));
            assert_eq!((clock.offset(at(0)), clock.news(at(0))), (0, None), "{header}");
        }
    }

    #[test]
    fn s47_our_own_wall_clock_does_not_move_it() {
        let mut clock = ServerClock::default();
        clock.learn(at(0), at(0).boot, Some(UNIX));
        let jumped = Now { unix: UNIX + 3600, ..at(0) };
        assert_eq!((clock.offset(jumped), clock.unix(jumped)), (-3600, UNIX));
    }

    #[test]
    fn a_slow_exchange_says_nothing_of_the_clock() {
        let mut clock = ServerClock::default();
        clock.learn(at(30), at(0).boot, Some(UNIX + 30));
        assert_eq!(clock, ServerClock::default());
        clock.learn(at(4), at(0).boot, Some(UNIX + 60 + 2));
        assert_eq!(clock.offset(at(4)), 60, "halfway between request and response");
    }
}
