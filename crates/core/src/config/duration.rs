//! Durations as people write them: `250ms`, `10s`, `1h30m`.

use std::fmt::Write as _;
use std::time::Duration;

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The units, the longest first.
const UNITS: [(&str, Duration); 5] =
    [("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", MILLISECOND)];

/// Reads whole numbers with units, the longer unit before the shorter and each at most once. `None` for anything
/// else, and for what overflows.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let (_, length) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(length.checked_mul(digits.parse().ok()?)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

/// Writes a duration the way [`parse`] reads it, to the millisecond.
pub(super) fn shown(duration: Duration) -> String {
    let mut text = String::new();
    let mut rest = duration.as_millis();
    for (unit, length) in UNITS {
        let count = rest / length.as_millis();
        rest %= length.as_millis();
        if count > 0 {
            // Writing to a string can't fail.
            let _ = write!(text, "{count}{unit}");
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_with_units_are_durations() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("0s", 0),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("90m", 5_400_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        for text in [
            "",
            "10",
            "s",
            "10 s",
            " 10s",
            "-1s",
            "1.5s",
            "1s1s",
            "1m1h",
            "10S",
            "1w",
            "10sec",
            "1e3s",
            "٣s",
            "99999999999s",
            "4294967295d4294967295h1x",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(milliseconds in 0..1_000_000_000_000_u64) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse(&shown(duration)), Some(duration));
        }

        #[test]
        fn no_text_panics(text in "[0-9a-z ٣]{0,40}") {
            let _ = parse(&text);
        }
    }
}
