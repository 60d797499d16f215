//! Faults on demand. A new one is a variant and its arm in `answer`.

use std::future;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::reply::Reply;

/// What goes wrong with a request.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It is answered properly, but only after this time.
    Delay(Duration),
    /// It is taken and never answered; the connection stays open.
    Hang,
    /// It is done, but the answer stops coming in the middle of its body; the connection stays open.
    Stall,
    /// The connection is closed instead of an answer.
    Disconnect,
    /// This status with no body, as gateways do.
    Status(u16),
    /// This OAuth error (RFC 6749 section 5.2): 401 for `invalid_client`, 503 for `temporarily_unavailable`, 500 for
    /// `server_error`, else 400.
    Refuse(&'static str),
    /// This status, with this in its Retry-After header.
    RetryAfter {
        /// The status: 429 or 503.
        status: u16,
        /// Seconds, a date, or nonsense.
        value: String,
    },
    /// 307 to this place.
    Redirect(String),
    /// This, which may be anything.
    Garbage {
        /// The status.
        status: u16,
        /// What the body claims to be.
        content_type: &'static str,
        /// The body.
        body: Vec<u8>,
    },
    /// It is answered properly, but for what this does to the members of the JSON object.
    Edited(fn(&mut Map<String, Value>)),
}

impl Fault {
    /// The answer that comes of it; `honest` does what was asked. `None` closes the connection.
    pub(super) async fn answer(self, honest: impl FnOnce() -> Reply) -> Option<Reply> {
        Some(match self {
            Self::None => honest(),
            Self::Delay(time) => {
                tokio::time::sleep(time).await;
                honest()
            }
            Self::Hang => future::pending().await,
            Self::Stall => Reply { stalled: true, ..honest() },
            Self::Disconnect => return None,
            Self::Status(status) => Reply::empty(status),
            Self::Refuse(code) => Reply::json(status_of(code), &json!({ "error": code })),
            Self::RetryAfter { status, value } => Reply::empty(status).header("retry-after", value),
            Self::Redirect(to) => Reply::empty(307).header("location", to),
            Self::Garbage { status, content_type, body } => Reply::new(status, content_type, body),
            Self::Edited(edit) => edited(honest(), edit),
        })
    }
}

fn status_of(code: &str) -> u16 {
    match code {
        "invalid_client" => 401,
        "server_error" => 500,
        "temporarily_unavailable" => 503,
        _ => 400,
    }
}

fn edited(mut reply: Reply, edit: fn(&mut Map<String, Value>)) -> Reply {
    let mut members = serde_json::from_slice(&reply.body).expect("an honest answer is a JSON object");
    edit(&mut members);
    reply.body = Value::Object(members).to_string().into_bytes();
    reply
}
