//! When a server wants to be asked again (RFC 9110 section 10.2.3).

use std::time::Duration;

use crate::parse_http_date;

/// A `Retry-After` header, as the server sent it: obeying, and not obeying absurd values, is the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// This many seconds after the response.
    Seconds(u64),
    /// At this time, in seconds since 1970 (UTC).
    At(u64),
}

impl RetryAfter {
    /// Reads a header; one that makes no sense counts as absent.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Self::Seconds(text.parse().unwrap_or(u64::MAX))); // more digits than that is for ever
        }
        parse_http_date(text).map(Self::At)
    }

    /// How long that is from `now` (seconds since 1970); zero for a time that has passed.
    pub fn delay(self, now: u64) -> Duration {
        Duration::from_secs(match self {
            Self::Seconds(seconds) => seconds,
            Self::At(time) => time.saturating_sub(now),
        })
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
        assert_eq!(RetryAfter::Seconds(u64::MAX).delay(5), Duration::from_secs(u64::MAX));
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
