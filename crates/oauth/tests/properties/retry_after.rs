//! When a server wants to be asked again.

use std::time::Duration;

use proptest::prelude::*;
use tokenbroker_oauth::{HttpResponse, Issuer, Metadata, PlainHttp, RetryAfter, TokenResponse};

use crate::calendar::{self, LAST_DAY};
use crate::response;

const HOUR: u64 = 3600;

/// Headers as servers send them, and as they should not.
fn header() -> impl Strategy<Value = String> {
    let date = (0..(LAST_DAY + 1) * 86_400, 0_usize..3)
        .prop_map(|(time, format)| calendar::write(time)[format].clone());
    prop_oneof![any::<String>(), "[ \t]?[0-9]{1,40}[ \t]?", "[-+]?[0-9]{1,3}(\\.[0-9]|e[0-9]| s)?", date]
}

/// The delay that a response asks for, through both of the doors that it can come in by.
fn delay(response: &HttpResponse, now: u64) -> Option<Duration> {
    let error = TokenResponse::parse(response, None).unwrap_err();
    let issuer = Issuer::parse("https://as.example", PlainHttp::Refused).unwrap();
    let metadata = Metadata::parse(response, &issuer, PlainHttp::Refused).unwrap_err();
    assert_eq!(error.retry_after, metadata.retry_after());
    error.retry_after.map(|retry_after| retry_after.delay(now))
}

proptest! {
    #[test]
    fn s24_no_header_and_no_clock_makes_a_delay_longer_than_an_hour(
        status in prop_oneof![Just(429_u16), Just(503)],
        retry_after in prop::option::of(header()),
        date in prop::option::of(header()),
        now in prop_oneof![any::<u64>(), 0..(LAST_DAY + 1) * 86_400],
    ) {
        let absent = retry_after.is_none();
        let delay = delay(&HttpResponse { retry_after, date, ..response(status, "") }, now);
        prop_assert!(delay.is_none_or(|delay| !absent && delay <= Duration::from_secs(HOUR)), "{:?}", delay);
    }

    #[test]
    fn s24_seconds_are_obeyed_up_to_an_hour(seconds: u64, zeros in "0{0,30}", spaces in "[ \t]{0,2}", now: u64) {
        for seconds in [seconds, seconds % (2 * HOUR)] {
            let header = format!("{spaces}{zeros}{seconds}{spaces}");
            let read = RetryAfter::parse(&header);
            prop_assert_eq!(read, Some(RetryAfter::Seconds(seconds)), "{}", header);
            prop_assert_eq!(read.unwrap().delay(now), Duration::from_secs(seconds.min(HOUR)));
        }
    }

    #[test]
    fn s24_more_digits_than_a_number_has_are_the_longest_delay(digits in "[1-9][0-9]{20,200}", now: u64) {
        let read = RetryAfter::parse(&digits);
        prop_assert_eq!(read.map(|retry_after| retry_after.delay(now)), Some(Duration::from_secs(HOUR)));
    }

    /// Without a Date header our clock is all there is; with one, it is of no account.
    #[test]
    fn s24_s40_a_date_is_a_delay_by_the_servers_clock_or_else_by_ours(
        server_now in 0_u64..4_000_000_000,
        ahead in -2 * 3600_i64..2 * 3600,
        format in prop_oneof![Just(0_usize), Just(2)],
        ours: u64,
    ) {
        let at = server_now.saturating_add_signed(ahead);
        let expected = Some(Duration::from_secs(at.saturating_sub(server_now).min(HOUR)));
        let retry_after = Some(calendar::write(at)[format].clone());
        let alone = HttpResponse { retry_after, ..response(503, "") };
        prop_assert_eq!(delay(&alone, server_now), expected);
        let dated = HttpResponse { date: Some(calendar::write(server_now)[format].clone()), ..alone };
        prop_assert_eq!(delay(&dated, ours), expected);
    }

    #[test]
    fn s24_what_is_neither_seconds_nor_a_date_counts_as_absent(text in "[-+][0-9]{1,9}|[0-9]{0,5}[.,eE:x ][0-9]{1,5}|[a-z]{0,9}|[٠-٩]{1,3}") {
        prop_assume!(!text.trim().bytes().all(|byte| byte.is_ascii_digit()) || text.trim().is_empty());
        prop_assert_eq!(RetryAfter::parse(&text), None, "{}", text);
    }
}
