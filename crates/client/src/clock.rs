//! The clocks that this crate reads, and how the daemon's compares to ours.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) use tokenbroker_ipc::boot_time;

#[expect(clippy::disallowed_methods, reason = "the clock module: deadlines of calls are measured here")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The wall clock, in milliseconds since 1970: what tokens for tests expire by.
#[expect(clippy::disallowed_methods, reason = "the clock module")]
pub(crate) fn wall_time_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

/// How far the daemon's boot clock is ahead of ours, in milliseconds. Zero but for time namespaces.
///
/// All times are since boot, as [`boot_time`] has them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Skew(i128);

impl Skew {
    /// What the first answer on a connection shows, to what was `asked` then and is `read` now.
    ///
    /// On the same clock it was given in between. On another one nobody knows when: at the earliest when it was asked.
    pub(crate) fn of(answered_at_ms: u64, asked: Duration, read: Duration) -> Self {
        let answered = i128::from(answered_at_ms);
        match (milliseconds(asked)..=milliseconds(read)).contains(&answered) {
            true => Self(0),
            false => Self(answered - milliseconds(asked)),
        }
    }

    /// When something was answered, on our clock; never later than it was `read`.
    ///
    /// A message that lay in a buffer while the host was suspended is as old as it is.
    pub(crate) fn ours(self, answered_at_ms: u64, read: Duration) -> Duration {
        let ours = (i128::from(answered_at_ms) - self.0).max(0);
        Duration::from_millis(u64::try_from(ours).unwrap_or(u64::MAX)).min(read)
    }
}

/// Rounded down, as the daemon does it.
fn milliseconds(time: Duration) -> i128 {
    i128::try_from(time.as_millis()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn on_the_same_clock_an_answer_is_as_old_as_it_says() {
        let skew = Skew::of(1_000_200, at(1000.1), at(1000.3));
        assert_eq!(skew.ours(1_000_200, at(1000.3)), at(1000.2));
        // The daemon rounds down, and an answer may come within the same millisecond.
        let skew = Skew::of(1_000_100, at(1000.1008), at(1000.1009));
        assert_eq!(skew.ours(1_000_100, at(1000.1009)), at(1000.1));
    }

    #[test]
    fn s48_a_push_that_waited_through_a_suspend_is_old() {
        let skew = Skew::of(1_000_200, at(1000.1), at(1000.3));
        assert_eq!(skew.ours(1_060_000, at(9000.0)), at(1060.0));
    }

    #[test]
    fn s48_on_another_clock_nothing_is_taken_for_younger_than_it_is() {
        for ahead in [-900.0_f64, 5_000.0] {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "small positive numbers"
            )]
            let theirs = |ours: f64| ((ours + ahead) * 1000.0) as u64;
            let skew = Skew::of(theirs(1000.2), at(1000.1), at(1000.3));
            assert_eq!(skew.ours(theirs(1000.2), at(1000.3)), at(1000.1), "asked at 1000.1 s");
            let pushed = skew.ours(theirs(1060.0), at(9000.0));
            assert!((at(1059.8)..=at(1060.0)).contains(&pushed), "{pushed:?}");
        }
    }

    #[test]
    fn nothing_was_answered_later_than_it_was_read() {
        assert_eq!(Skew::default().ours(u64::MAX, at(1.0)), at(1.0));
        assert_eq!(Skew::of(u64::MAX, at(1.0), at(2.0)).ours(0, at(2.0)), Duration::ZERO);
    }
}
