//! Dates as people write and read them: `2027-01-31`, by the calendar of UTC.

use time::{Date, Duration, Month, OffsetDateTime};

/// Reads a date that is in the calendar: the seconds from 1970 to its beginning, none for a day before.
pub(crate) fn parse(text: &str) -> Result<u64, BadDate> {
    let fields: Vec<&str> = text.split('-').collect();
    let &[year, month, day] = fields.as_slice() else { return Err(BadDate) };
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    let month = u8::try_from(month).ok().and_then(|month| Month::try_from(month).ok()).ok_or(BadDate)?;
    let day = u8::try_from(day).map_err(|_| BadDate)?;
    let date = Date::from_calendar_date(i32::from(year), month, day).map_err(|_| BadDate)?;
    Ok(u64::try_from(date.midnight().assume_utc().unix_timestamp()).unwrap_or(0))
}

/// A number written with exactly this many digits.
fn number(text: &str, digits: usize) -> Result<u16, BadDate> {
    if text.len() != digits || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadDate);
    }
    text.parse().map_err(|_| BadDate)
}

/// The text is not a date, or one that the calendar does not have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a date such as 2027-01-31")]
pub(crate) struct BadDate;

/// The day of a time in seconds since 1970.
pub(crate) fn day(unix_seconds: impl TryInto<i64>) -> String {
    let time = moment(unix_seconds);
    format!("{:04}-{:02}-{:02}", time.year(), u8::from(time.month()), time.day())
}

/// A time in seconds since 1970 as RFC 3339 has it: UTC, to the second, ending in Z.
pub(crate) fn rfc3339(unix_seconds: impl TryInto<i64>) -> String {
    let time = moment(unix_seconds);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
    )
}

/// The nearest one that can be written.
fn moment(unix_seconds: impl TryInto<i64>) -> OffsetDateTime {
    let seconds = unix_seconds.try_into().unwrap_or(i64::MAX);
    OffsetDateTime::UNIX_EPOCH.saturating_add(Duration::seconds(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_the_beginning_of_its_day_in_utc() {
        assert_eq!(parse("1970-01-01"), Ok(0));
        assert_eq!(parse("2000-02-29"), Ok(951_782_400));
        assert_eq!(parse("2027-01-31"), Ok(1_801_353_600));
        assert_eq!(parse("9999-12-31"), Ok(253_402_214_400));
        assert_eq!(parse("1969-12-31"), Ok(0), "long ago, and refused as such");
    }

    #[test]
    fn what_is_in_no_calendar_is_refused() {
        for text in ["2027-02-30", "2027-02-29", "2027-13-01", "2027-00-10", "2027-01-00", "2027-04-31"] {
            assert_eq!(parse(text), Err(BadDate), "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "tomorrow",
            "2027",
            "2027-01",
            "27-01-31",
            "2027-1-31",
            "2027-01-31 ",
            "2027-01-31T00:00:00Z",
            "2027/01/31",
            "31.01.2027",
            "+027-01-31",
            "-2027-01-31",
            "12027-01-31",
            "2027-01-3\u{661}",
        ] {
            assert_eq!(parse(text), Err(BadDate), "{text:?}");
        }
    }

    #[test]
    fn what_was_read_is_written_the_same() {
        for text in ["1970-01-01", "2000-02-29", "2027-01-31", "9999-12-31"] {
            assert_eq!(day(parse(text).unwrap()), text);
        }
    }

    #[test]
    fn times_are_utc_to_the_second() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_795_471_199_u64), "2026-11-23T21:59:59Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59Z", "as late as can be written");
    }
}
