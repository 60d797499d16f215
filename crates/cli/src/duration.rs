//! Durations as people write and read them.

use std::time::Duration;

/// Reads a whole number and a unit, such as `500ms`, `60s`, `5m` or `2h`.
pub(crate) fn parse(text: &str) -> Result<Duration, BadDuration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(BadDuration)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| BadDuration)?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    milliseconds.map(Duration::from_millis).ok_or(BadDuration)
}

/// The text is not a duration, or one beyond half a billion years.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a whole number and a unit, as in 500ms, 60s, 5m or 2h")]
pub(crate) struct BadDuration;

/// The two largest units of what is left, rounded down: `42 s`, `5 min 3 s`, `1 h`, `3 d 4 h`.
pub(crate) fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match () {
        () if days > 0 => pair(days, "d", hours % 24, "h"),
        () if hours > 0 => pair(hours, "h", minutes % 60, "min"),
        () if minutes > 0 => pair(minutes, "min", seconds % 60, "s"),
        () => format!("{seconds} s"),
    }
}

fn pair(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    }
}

/// When something will be: `in 42 s`, or `now` within the second.
pub(crate) fn from_now(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => "now".to_owned(),
        _ => format!("in {}", human(Duration::from_millis(milliseconds))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accepted_form_is_a_whole_number_and_a_unit() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(parse("0s"), Ok(Duration::ZERO));
        assert_eq!(parse("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse("2h"), Ok(Duration::from_secs(7_200)));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "60", "s", "1.5s", "-1s", "+1s", " 1s", "1 s", "1s ", "1S", "1d", "1h30m", "\u{661}s"]
        {
            assert_eq!(parse(text), Err(BadDuration), "{text:?}");
        }
        assert_eq!(parse("18446744073709551615h"), Err(BadDuration), "more milliseconds than there are");
        assert_eq!(parse("18446744073709551616ms"), Err(BadDuration), "a larger number than there is");
    }

    #[test]
    fn people_read_the_two_largest_units() {
        let human = |seconds| human(Duration::from_secs(seconds));
        assert_eq!(human(0), "0 s");
        assert_eq!(human(59), "59 s");
        assert_eq!(human(60), "1 min");
        assert_eq!(human(303), "5 min 3 s");
        assert_eq!(human(3_600), "1 h");
        assert_eq!(human(3_659), "1 h");
        assert_eq!(human(4_320), "1 h 12 min");
        assert_eq!(human(86_399), "23 h 59 min");
        assert_eq!(human(273_600), "3 d 4 h");
    }

    #[test]
    fn what_is_less_than_a_second_away_is_now() {
        assert_eq!(from_now(0), "now");
        assert_eq!(from_now(999), "now");
        assert_eq!(from_now(42_900), "in 42 s");
    }
}
