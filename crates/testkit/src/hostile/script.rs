//! What a server does on a connection, step by step. A new way to misbehave is a few steps in a row.

use std::time::Duration;

use serde_json::{Value, json};

/// One thing that is done on a connection.
#[derive(Debug, Clone)]
pub enum Step {
    /// These bytes are written.
    Write(Vec<u8>),
    /// These bytes are written one by one, with this pause before each.
    Trickle(Vec<u8>, Duration),
    /// These bytes are written again and again, until the peer closes.
    Endless(Vec<u8>),
    /// Nothing is done for this time.
    Pause(Duration),
    /// Nothing is done until the peer closes.
    Hang,
    /// The connection is reset: RST instead of FIN.
    Reset,
    /// The next request on the same connection is read.
    ReadOn,
}

/// Steps one after the other; after the last one the connection is closed.
#[derive(Debug, Clone, Default)]
pub struct Script(pub(super) Vec<Step>);

impl Script {
    /// Nothing: the connection is closed at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// An honest answer with this token.
    pub fn token(token: &str, lifetime: u64) -> Self {
        Self::json(200, &json!({ "access_token": token, "token_type": "Bearer", "expires_in": lifetime }))
    }

    /// A JSON value with this status.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::reply(status, &["Content-Type: application/json"], body.to_string())
    }

    /// Anything that claims to be JSON, with status 200.
    pub fn body(body: impl AsRef<[u8]>) -> Self {
        Self::reply(200, &["Content-Type: application/json"], body)
    }

    /// A complete answer with a true Content-Length, after which the connection can be used again.
    pub fn reply(status: u16, headers: &[&str], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let length = format!("Content-Length: {}", body.len());
        Self::head(status, &[headers, &[&length]].concat()).write(body).step(Step::ReadOn)
    }

    /// The status line and these headers, whole.
    pub fn head(status: u16, headers: &[&str]) -> Self {
        let mut head = format!("HTTP/1.1 {status} Whatever\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        Self::new().write(head)
    }

    /// Then this.
    pub fn step(mut self, step: Step) -> Self {
        self.0.push(step);
        self
    }

    /// Then these bytes.
    pub fn write(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Write(bytes.as_ref().into()))
    }

    /// Then these bytes, one by one, with this pause before each.
    pub fn trickle(self, bytes: impl AsRef<[u8]>, every: Duration) -> Self {
        self.step(Step::Trickle(bytes.as_ref().into(), every))
    }

    /// Then these bytes, again and again.
    pub fn endless(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Endless(bytes.as_ref().into()))
    }

    /// Then nothing for this time.
    pub fn pause(self, time: Duration) -> Self {
        self.step(Step::Pause(time))
    }

    /// Then nothing, for as long as the peer likes.
    pub fn hang(self) -> Self {
        self.step(Step::Hang)
    }

    /// Then a reset.
    pub fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    /// First this: what goes before an answer, such as a delay.
    pub fn after(self, mut first: Self) -> Self {
        first.0.extend(self.0);
        first
    }
}
