//! A caller that writes what it likes, and reads replies.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::DEADLINE;

pub(crate) struct Caller {
    stream: UnixStream,
    received: Vec<u8>,
}

/// A whole reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// By name, in small letters.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Caller {
    pub(crate) fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self { stream, received: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what is likely to be too much: the daemon may close in the middle of it.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The same over and over until the daemon takes no more: how many bytes it took, and what happened then.
    pub(crate) fn send_for_as_long_as_it_takes(&mut self, bytes: &[u8]) -> (usize, io::Error) {
        let mut taken = 0;
        loop {
            match self.stream.write_all(bytes) {
                Ok(()) => taken += bytes.len(),
                Err(error) => return (taken, error),
            }
        }
    }

    /// Asks with this method and these headers, each a line.
    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &[&str]) -> Reply {
        self.send(request(method, path, headers));
        self.reply_to(method)
    }

    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.ask("GET", path, &[])
    }

    /// Sends a form to the token endpoint.
    #[track_caller]
    pub(crate) fn post(&mut self, headers: &[&str], form: &str) -> Reply {
        let length = format!("Content-Length: {}", form.len());
        let headers = [&["Content-Type: application/x-www-form-urlencoded", &length], headers].concat();
        self.send(request("POST", "/oauth2/token", &headers) + form);
        self.reply()
    }

    #[track_caller]
    pub(crate) fn reply(&mut self) -> Reply {
        self.reply_to("GET")
    }

    #[track_caller]
    fn reply_to(&mut self, method: &str) -> Reply {
        let end = loop {
            if let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            assert!(
                self.receive(),
                "the daemon closed instead: {:?}",
                String::from_utf8_lossy(&self.received)
            );
        };
        let head: Vec<u8> = self.received.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers: BTreeMap<_, _> =
            headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let length = match method {
            "HEAD" => 0,
            _ => headers["content-length"].parse().unwrap(),
        };
        while self.received.len() < length {
            assert!(self.receive(), "the daemon closed in the middle of a body");
        }
        let body = self.received.drain(..length).collect();
        Reply { status, headers, body: String::from_utf8(body).unwrap() }
    }

    /// Waits for the interim reply that asks for the body.
    #[track_caller]
    pub(crate) fn expect_continue(&mut self) {
        let expected = b"HTTP/1.1 100 Continue\r\n\r\n";
        while self.received.len() < expected.len() {
            assert!(self.receive(), "the daemon closed instead");
        }
        assert_eq!(self.received.drain(..expected.len()).collect::<Vec<_>>(), expected);
    }

    /// Waits until the daemon closes, and returns what it said before.
    #[track_caller]
    pub(crate) fn last_words(mut self) -> Vec<u8> {
        match self.stream.read_to_end(&mut self.received) {
            // It had not read everything that was sent.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            read => drop(read.unwrap_or_else(|error| panic!("the daemon does not close in time: {error}"))),
        }
        self.received
    }

    fn receive(&mut self) -> bool {
        let mut buffer = [0; 8192];
        let count =
            self.stream.read(&mut buffer).unwrap_or_else(|error| panic!("no answer in time: {error}"));
        self.received.extend_from_slice(&buffer[..count]);
        count > 0
    }
}

impl Reply {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json", "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks the status and the code of a refusal, and returns its words.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, error: &str) -> String {
        let json = self.json();
        assert_eq!((self.status, json["error"].as_str()), (status, Some(error)), "{self:?}");
        assert_eq!(json.as_object().unwrap().len(), 2, "{self:?}");
        json["error_description"].as_str().unwrap().to_owned()
    }
}

/// The head of a request.
pub(crate) fn request(method: &str, path: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nHost: tokenbroker\r\n{headers}\r\n")
}
