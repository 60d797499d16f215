//! Properties of everything that reads what a server sends, held against readers and writers of their own.
//!
//! `json` is a second JSON reader, `model` says what RFC 6749 and our rules make of a reply, `calendar` counts days one
//! by one: none of them shares code with the crate.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic, too")]

mod calendar;
mod endpoint;
mod generate;
mod json;
mod metadata;
mod model;
mod retry_after;
mod token_error;
mod token_response;

use std::fmt::{Debug, Display};

use tokenbroker_oauth::HttpResponse;
use tokenbroker_secret::Secret;

fn response(status: u16, body: impl AsRef<[u8]>) -> HttpResponse {
    let body = Secret::from(body.as_ref());
    HttpResponse { status, content_type: None, retry_after: None, date: None, body }
}

/// Whatever a server sent stands between these letters, and may not be in any text made of it.
const CANARY: &str = "canary";

/// An error goes to logs, terminals and the wire.
#[track_caller]
fn assert_presentable(error: &(impl Debug + Display)) {
    let (words, debug) = (error.to_string(), format!("{error:?}"));
    assert!(!words.is_empty() && words.len() <= 300, "{} bytes: {words}", words.len());
    assert!(!words.chars().any(char::is_control), "{words:?}");
    assert!(!words.contains(CANARY) && !debug.contains(CANARY), "{words} {debug}");
}
