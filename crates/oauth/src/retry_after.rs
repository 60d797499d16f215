//! When a server wants to be asked again (RFC 9110 section 10.2.3).

use std::time::Duration;

use crate::{HttpResponse, parse_http_date};

/// A `Retry-After` header, as the server sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// This many seconds after the response.
    Seconds(u64),
    /// At this time, in seconds since 1970 (UTC).
    At(u64),
}

impl RetryAfter {
    /// No server is obeyed for longer than this.
    pub const LONGEST_DELAY: Duration = Duration::from_secs(3600);

    /// Reads the header of a response. A date counts from the server's own clock if it tells the time, and is a number
    /// of seconds then: this host's clock may be wrong.
    pub fn of(response: &HttpResponse) -> Option<Self> {
        let retry_after = Self::parse(response.retry_after.as_deref()?)?;
        match (retry_after, response.server_time()) {
            (Self::At(time), Some(server_now)) => Some(Self::Seconds(time.saturating_sub(server_now))),
            _ => Some(retry_after),
        }
    }

    /// Reads a header by itself; one that makes no sense counts as absent.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Self::Seconds(text.parse().unwrap_or(u64::MAX))); // more digits than that is for ever
        }
        parse_http_date(text).map(Self::At)
    }

    /// How long that is from `now` (seconds since 1970): zero for a time that has passed, and at most
    /// [`Self::LONGEST_DELAY`].
    pub fn delay(self, now: u64) -> Duration {
        let seconds = match self {
            Self::Seconds(seconds) => seconds,
            Self::At(time) => time.saturating_sub(now),
        };
        Duration::from_secs(seconds).min(Self::LONGEST_DELAY)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn s24_seconds_and_dates_are_read() {
        assert_eq!(RetryAfter::parse("120"), Some(RetryAfter::Seconds(120)));
        assert_eq!(RetryAfter::parse(" 0 "), Some(RetryAfter::Seconds(0)));
        assert_eq!(RetryAfter::parse("Fri, 31 Dec 1999 23:59:59 GMT"), Some(RetryAfter::At(946_684_799)));
    }

    #[test]
    fn s24_huge_values_saturate_and_nonsense_is_ignored() {
        assert_eq!(RetryAfter::parse("99999999999999999999999"), Some(RetryAfter::Seconds(u64::MAX)));
        for nonsense in ["", " ", "-1", "+1", "1.5", "soon", "12 s", "Fri, 31 Dec 1999", "٣"] {
            assert_eq!(RetryAfter::parse(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn s24_a_date_that_has_passed_is_no_delay() {
        assert_eq!(RetryAfter::At(1_000).delay(400), Duration::from_secs(600));
        assert_eq!(RetryAfter::At(1_000).delay(2_000), Duration::ZERO);
    }

    #[test]
    fn s24_no_delay_is_longer_than_an_hour() {
        let hour = Duration::from_secs(3600);
        for absurd in [RetryAfter::Seconds(3_601), RetryAfter::Seconds(u64::MAX), RetryAfter::At(u64::MAX)] {
            assert_eq!(absurd.delay(0), hour, "{absurd:?}");
        }
        assert_eq!(RetryAfter::Seconds(3_600).delay(0), hour);
        assert_eq!(RetryAfter::Seconds(3_599).delay(0), Duration::from_secs(3_599));
    }

    #[test]
    fn s24_a_date_counts_from_the_servers_clock_if_it_tells() {
        let read = |retry_after: &str, date: Option<&str>| {
            let (retry_after, date) = (Some(retry_after.to_owned()), date.map(str::to_owned));
            RetryAfter::of(&HttpResponse { retry_after, date, ..HttpResponse::plain(503, "") })
        };
        let in_two_minutes = "Sun, 06 Nov 1994 08:51:37 GMT";
        let told = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(read(in_two_minutes, told), Some(RetryAfter::Seconds(120)));
        assert_eq!(read(in_two_minutes, None), Some(RetryAfter::At(784_111_897)));
        assert_eq!(read(in_two_minutes, Some("noon")), Some(RetryAfter::At(784_111_897)));
        assert_eq!(
            read("Sun, 06 Nov 1994 08:00:00 GMT", told),
            Some(RetryAfter::Seconds(0)),
            "it has passed"
        );
        assert_eq!(read("7", told), Some(RetryAfter::Seconds(7)));
        assert_eq!(read("soon", told), None);
    }

    proptest! {
        #[test]
        fn s24_any_header_is_read_or_ignored(text in "\\PC{0,40}") {
            let _ = RetryAfter::parse(&text);
        }

        #[test]
        fn s24_every_number_of_seconds_is_read_back(seconds: u64) {
            prop_assert_eq!(RetryAfter::parse(&seconds.to_string()), Some(RetryAfter::Seconds(seconds)));
        }
    }
}
