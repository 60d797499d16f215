//! A record as a line of JSON.

use std::time::Duration;

use serde_json::Value as Json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::records::{Record, Value};

/// One object and the end of its line. The first field is `time`, as RFC 3339 has it, in UTC.
pub(super) fn line(record: &Record) -> Vec<u8> {
    let mut line = format!("{{\"time\":{}", Json::String(time(record.time)));
    record.fields(|name, value| {
        let value = match value {
            Value::Number(number) => Json::Number(number.into()),
            Value::Text(text) => Json::String(text.into()),
        };
        line.push_str(&format!(",\"{name}\":{value}"));
    });
    line.push_str("}\n");
    line.into_bytes()
}

/// To the millisecond.
fn time(since_epoch: Duration) -> String {
    let nanos = i128::try_from(since_epoch.as_millis()).unwrap_or(0).saturating_mul(1_000_000);
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::records::{Action, Caller, Event, Text};

    #[test]
    fn a_record_is_one_line_whatever_its_caller_made_up() {
        let record = Record {
            time: Duration::from_millis(951_782_400_250),
            caller: Some(Caller::in_unit("a\\x2db.service")),
            event: Event::Denied(Action { name: "get", client: Some(Text::new("a\"\n\u{1b}")) }),
        };
        let expected = concat!(
            r#"{"time":"2000-02-29T00:00:00.25Z","event":"denied","uid":1000,"gid":100,"pid":7,"#,
            r#""unit":"a\\x2db.service","decision":"denied","action":"get","client":"a\"\\u{a}\\u{1b}"}"#,
            "\n"
        );
        let line = String::from_utf8(line(&record)).unwrap();
        assert_eq!(line, expected);
        let parsed: Json = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed["client"], r#"a"\u{a}\u{1b}"#);
    }
}
