//! HTTP dates, held against a calendar that counts the days one by one.

use proptest::prelude::*;
use proptest::sample::select;
use tokenbroker_oauth::parse_http_date;

use crate::generate::damage;
use crate::response;

const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The last day that has an HTTP date: 31 December 9999.
pub(crate) const LAST_DAY: u64 = 2_932_896;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Day {
    /// Since 1 January 1970, which was a Thursday.
    number: u64,
    year: u64,
    /// From 0.
    month: usize,
    /// From 1.
    day: u64,
}

impl Day {
    const FIRST: Self = Self { number: 0, year: 1970, month: 0, day: 1 };

    fn next(self) -> Self {
        let number = self.number + 1;
        match (self.day < self.days_in_month(), self.month) {
            (true, _) => Self { number, day: self.day + 1, ..self },
            (false, 11) => Self { number, year: self.year + 1, month: 0, day: 1 },
            (false, month) => Self { number, month: month + 1, day: 1, ..self },
        }
    }

    fn days_in_month(self) -> u64 {
        let leap =
            self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        match self.month {
            1 if leap => 29,
            1 => 28,
            3 | 5 | 8 | 10 => 30,
            _ => 31,
        }
    }

    fn weekday(self) -> &'static str {
        WEEKDAYS[(self.number % 7) as usize]
    }

    /// The date with a time of day, in the three formats of the RFC.
    fn write(self, time: &str) -> [String; 3] {
        let Self { year, day, .. } = self;
        let (weekday, month) = (self.weekday(), MONTHS[self.month]);
        [
            format!("{}, {day:02} {month} {year} {time} GMT", &weekday[..3]),
            format!("{weekday}, {day:02}-{month}-{:02} {time} GMT", year % 100),
            format!("{} {month} {day:2} {time} {year}", &weekday[..3]),
        ]
    }
}

/// A point in time in the three formats. Two digits of a year mean what they say only from 1970 to 2069.
pub(crate) fn write(time: u64) -> [String; 3] {
    let mut day = Day::FIRST;
    // Whole centuries of four go by alike.
    let cycles = time / 86_400 / 146_097;
    while day.number < time / 86_400 % 146_097 {
        day = day.next();
    }
    let day = Day { number: day.number + cycles * 146_097, year: day.year + cycles * 400, ..day };
    day.write(&time_of_day(time % 86_400))
}

fn time_of_day(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The days of the first 430 years one by one, with each kind of leap year, then the ends of all months.
#[test]
fn every_day_to_9999_is_read_in_every_format() {
    let mut day = Day::FIRST;
    loop {
        if day.year < 2400 || day.day == 1 || day.next().day == 1 {
            let seconds = day.number * 7919 % 86_400;
            let time = Some(day.number * 86_400 + seconds);
            let [fixed, rfc850, asctime] = day.write(&time_of_day(seconds));
            assert_eq!(parse_http_date(&fixed), time, "{fixed}");
            if day.year < 2070 {
                assert_eq!(parse_http_date(&rfc850), time, "{rfc850}");
            }
            if day.month < 3 {
                assert_eq!(parse_http_date(&asctime), time, "{asctime}");
            }
        }
        if day.number == LAST_DAY {
            break;
        }
        day = day.next();
    }
    assert_eq!((day.year, day.month, day.day), (9999, 11, 31));
}

#[test]
fn a_day_that_no_calendar_has_is_refused() {
    let mut day = Day::FIRST;
    while day.year < 2105 {
        if day.next().day == 1 {
            // With every day of the week, so that it is not the week that gives it away.
            for (weekday, shown) in
                (0..7).flat_map(|weekday| (day.day + 1..=32).map(move |day| (weekday, day)))
            {
                let none = Day { number: weekday, day: shown, ..day };
                // In 2100, two digits of a year mean the leap year 2000.
                for text in
                    none.write("12:00:00").iter().filter(|text| day.year < 2070 || !text.contains('-'))
                {
                    assert_eq!(parse_http_date(text), None, "{text}");
                }
            }
        }
        day = day.next();
    }
}

#[test]
fn a_leap_second_ends_any_day_and_nothing_but_a_day() {
    let mut day = Day::FIRST;
    while day.year < 2070 {
        for text in day.write("23:59:60") {
            assert_eq!(parse_http_date(&text), Some(day.next().number * 86_400), "{text}");
        }
        for text in ["00:00:60", "22:59:60", "23:58:60", "23:59:61", "23:60:60", "24:00:00"]
            .map(|time| day.write(time))
        {
            assert_eq!(text.each_ref().map(|text| parse_http_date(text)), [None; 3], "{text:?}");
        }
        day = (0..97).fold(day, |day, _| day.next());
    }
}

#[test]
fn a_day_of_the_week_that_is_wrong_spoils_the_date() {
    for weekday in WEEKDAYS.iter().filter(|weekday| **weekday != "Sunday") {
        let short = &weekday[..3];
        for text in [
            format!("{short}, 06 Nov 1994 08:49:37 GMT"),
            format!("{weekday}, 06-Nov-94 08:49:37 GMT"),
            format!("{short} Nov  6 08:49:37 1994"),
        ] {
            assert_eq!(parse_http_date(&text), None, "{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn s40_the_servers_clock_is_read_to_the_second(time in 0..(LAST_DAY + 1) * 86_400, spaces in "[ \t]{0,3}") {
        let [fixed, _, asctime] = write(time);
        for date in [fixed, asctime] {
            let mut response = response(503, "");
            response.date = Some(format!("{spaces}{date}{spaces}"));
            prop_assert_eq!(response.server_time(), Some(time), "{}", date);
        }
    }

    /// What is read is what a writer writes, but for a zero instead of a space before the day of the third format.
    #[test]
    fn a_damaged_date_is_refused_or_another_date(
        time in 0..3_155_760_000_u64,
        format in 0_usize..3,
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let good = write(time)[format].clone().into_bytes();
        let damaged = damages.iter().fold(good, |text, damage| damage.to(text));
        let text = String::from_utf8_lossy(&damaged).into_owned();
        if let Some(read) = parse_http_date(&text) {
            let [fixed, rfc850, asctime] = write(read);
            let (before, after) = asctime.split_at(8);
            let zero = format!("{before}{}", after.replacen(' ', "0", 1));
            let spellings = [fixed, rfc850, asctime, zero];
            prop_assert!(spellings.contains(&text.trim_ascii().to_owned()), "{:?} was read as {:?}", text, spellings);
        }
    }

    #[test]
    fn any_text_is_a_date_or_none(text in prop_oneof![
        any::<String>(),
        "(Sun|Mon|Sunday|Monday),? [0-9 ]{1,2}[ -](Jan|Feb|Nov)[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2}( GMT)?",
        select(vec!["Sun, 06 Nov 1994 08:49:37 GMT\u{85}", "Sun, 06 Nov 1994 08:49:37 GM\u{422}"]).prop_map(str::to_owned),
    ]) {
        prop_assert!(parse_http_date(&text).is_none_or(|time| time < (LAST_DAY + 1) * 86_400));
    }
}
