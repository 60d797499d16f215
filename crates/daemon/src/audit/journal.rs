//! The journal of systemd as the place for records: one datagram each, in its native protocol.
//!
//! Not through the program's log, whose writes wait for the journal however long it takes. Here the wait has an end, and
//! the thread that waits has nothing else to do.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::records::{Event, Record, Value};

/// Where the journal listens (systemd-journald.service(8)).
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// How long a journal that has much to do is waited for, at a time.
const PATIENCE: Duration = Duration::from_secs(1);

/// A socket of our own; the journal's is named with each record, so that it may restart.
#[derive(Debug)]
pub(crate) struct Journal(UnixDatagram);

impl Journal {
    /// A journal that is not there is found out with the first record.
    pub(super) fn open() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(socket))
    }

    /// Hands a record to the journal.
    pub(super) fn write(&self, record: &Record) -> io::Result<()> {
        self.0.send_to(&datagram(record), SOCKET).map(drop)
    }
}

/// The fields of a record, a line each: no value has a line break in it.
fn datagram(record: &Record) -> Vec<u8> {
    let (message_id, priority) = kind(&record.event);
    let mut text = format!("SYSLOG_IDENTIFIER=tokenbrokerd\nMESSAGE_ID={message_id}\nPRIORITY={priority}\n");
    let mut message = String::from("audit:");
    record.fields(|name, value| {
        let (name_here, value) = (name.to_ascii_uppercase(), shown(value));
        text.push_str(&format!("TOKENBROKER_{name_here}={value}\n"));
        match name {
            "event" => message.push_str(&format!(" {value}")),
            _ => message.push_str(&format!(" {name}={value}")),
        }
    });
    text.push_str(&format!("MESSAGE={message}\n"));
    text.into_bytes()
}

fn shown(value: Value<'_>) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.to_owned(),
    }
}

/// What journalctl calls this kind of record for ever, and how urgent it is (syslog(3): 6 is informational, 5 a notice, 4 a
/// warning).
fn kind(event: &Event) -> (&'static str, u8) {
    match event {
        Event::Token { .. } => ("7da7f9862d8f3fc0c842f49fb8dfa555", 6),
        Event::Denied(_) => ("2fe30c9dc0d33741ff9ccc03bf6ff0bd", 5),
        Event::Administration { .. } => ("251d31d792ae4a8dbe5a3b7fd6a9e338", 5),
        Event::Refused { .. } => ("1a91956f9a6bb94b795624d08bb66d60", 5),
        Event::More { .. } => ("a006c50cd4ff61565dcc6351b4086b8a", 4),
        Event::Dropped { .. } => ("5519c2c1a218fef82c5a41187e7362d2", 4),
        Event::Started => ("86e31cce649ff489cc07a08048640444", 6),
        Event::Stopped => ("ead558295eaaaa4525a88554a299f4af", 6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::records::{Action, Text};

    #[test]
    fn every_field_is_one_line() {
        let client = Some(Text::new("x\nPRIORITY=0\n"));
        let event = Event::Denied(Action { name: "get", client });
        let record = Record { time: Duration::ZERO, caller: None, event };
        let text = String::from_utf8(datagram(&record)).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines.contains(&"TOKENBROKER_EVENT=denied"), "{text}");
        assert!(lines.contains(&r"TOKENBROKER_CLIENT=x\u{a}PRIORITY=0\u{a}"), "{text}");
        assert_eq!(lines.iter().filter(|line| line.starts_with("PRIORITY=")).count(), 1, "{text}");
        assert_eq!(
            lines.last(),
            Some(&r"MESSAGE=audit: denied decision=denied action=get client=x\u{a}PRIORITY=0\u{a}")
        );
    }
}
