//! How it says no: RFC 6749 section 5.2, and 503 while there is no token.

use std::time::Duration;

use hyper::StatusCode;
use serde::Serialize;
use tokenbroker_core::config::Config;
use tokenbroker_core::narrowing::{Narrowing, NarrowingError};
use tokenbroker_protocol::{Failure, FailureCode, GetToken};

/// The longest description, in bytes. It may repeat what the caller sent, which can be long.
const MAX_DESCRIPTION: usize = 600;

/// A request that was not done, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// What a program acts on.
    error: &'static str,
    description: String,
    /// When there may be a token, in whole seconds.
    pub(super) retry_after: Option<u64>,
    /// The methods that would do.
    pub(super) allow: Option<&'static str>,
    /// Nothing more will be answered on the connection: the next daemon takes another one.
    pub(super) is_last: bool,
}

/// What the body holds.
#[derive(Serialize)]
struct Json<'a> {
    error: &'a str,
    error_description: &'a str,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: &'static str, description: &str) -> Self {
        let description = description.chars().map(printable).take(MAX_DESCRIPTION).collect();
        Self { status, error, description, retry_after: None, allow: None, is_last: false }
    }

    /// The request itself is wrong.
    pub(super) fn invalid_request(description: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    /// There is nothing at this path.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
    }

    /// The path takes only these methods.
    pub(super) fn method(allow: &'static str) -> Self {
        let refusal =
            Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path takes other methods");
        Self { allow: Some(allow), ..refusal }
    }

    /// In the words of the native sessions; a request of another scope or resource than configured has codes of its own.
    pub(super) fn of(failure: &Failure, asked: Option<&GetToken>, config: &Config) -> Self {
        let (status, error) = match failure.code {
            FailureCode::Denied | FailureCode::UnknownClient => (StatusCode::UNAUTHORIZED, "invalid_client"),
            FailureCode::InvalidRequest => (StatusCode::BAD_REQUEST, what_is_invalid(asked, config)),
            FailureCode::NoToken
            | FailureCode::ShuttingDown
            | FailureCode::KeyStore
            | FailureCode::TooMuch => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
            FailureCode::Blocked => (StatusCode::SERVICE_UNAVAILABLE, "server_error"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        };
        let description = match &failure.hint {
            Some(hint) => format!("{}; {hint}", failure.message),
            None => failure.message.clone(),
        };
        let retry_after = match failure.code {
            FailureCode::NoToken => Some(whole_seconds(failure.next_try_in_ms)),
            FailureCode::ShuttingDown | FailureCode::TooMuch => Some(1),
            _ => None,
        };
        let is_last = matches!(failure.code, FailureCode::ShuttingDown | FailureCode::TooMuch);
        Self { retry_after, is_last, ..Self::new(status, error, &description) }
    }

    /// A whole response, for a connection on which nothing is read and nothing follows.
    pub(super) fn whole(&self) -> Vec<u8> {
        let body = self.json();
        let mut response = format!(
            "HTTP/1.1 {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n",
            self.status,
            body.len()
        );
        if let Some(seconds) = self.retry_after {
            response.push_str(&format!("retry-after: {seconds}\r\n"));
        }
        response.push_str("\r\n");
        [response.as_bytes(), &body].concat()
    }

    /// The body, in JSON.
    pub(super) fn json(&self) -> Vec<u8> {
        let json = Json { error: self.error, error_description: &self.description };
        // Two strings are JSON whatever is in them.
        serde_json::to_vec(&json).unwrap_or_default()
    }
}

/// Rounded up, and at least one: who asks before that asks in vain.
fn whole_seconds(milliseconds: Option<u64>) -> u64 {
    let wait = Duration::from_millis(milliseconds.unwrap_or(0));
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// RFC 6749 section 5.2 for scopes, RFC 8707 section 2 for what a token is for.
fn what_is_invalid(asked: Option<&GetToken>, config: &Config) -> &'static str {
    let client = asked.and_then(|asked| Some((asked, config.clients.get(asked.client.as_str())?)));
    let narrowing = client.map(|(asked, client)| {
        Narrowing::of(client, asked.scope.as_deref(), &asked.resource, asked.audience.as_deref())
    });
    match narrowing {
        Some(Err(
            NarrowingError::NoScope { .. }
            | NarrowingError::ScopeNotConfigured { .. }
            | NarrowingError::Scope { .. },
        )) => "invalid_scope",
        Some(Err(NarrowingError::Resource { .. } | NarrowingError::Audience { .. })) => "invalid_target",
        _ => "invalid_request",
    }
}

/// What RFC 6749 lets an `error_description` hold.
fn printable(character: char) -> char {
    match character {
        '"' => '\'',
        '\\' => '/',
        ' '..='~' => character,
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: FailureCode) -> Failure {
        Failure::new(code, "no")
    }

    fn of(failure: &Failure) -> Refusal {
        Refusal::of(failure, None, &Config::default())
    }

    #[test]
    fn s24_seconds_are_rounded_up_and_at_least_one() {
        for (milliseconds, seconds) in
            [(None, 1), (Some(0), 1), (Some(1000), 1), (Some(1001), 2), (Some(59_999), 60)]
        {
            let failure = Failure { next_try_in_ms: milliseconds, ..failure(FailureCode::NoToken) };
            assert_eq!(of(&failure).retry_after, Some(seconds), "{milliseconds:?}");
        }
        let blocked = Failure { next_try_in_ms: Some(5000), ..failure(FailureCode::Blocked) };
        assert_eq!((of(&blocked).status.as_u16(), of(&blocked).retry_after), (503, None));
    }

    #[test]
    fn a_description_is_short_and_of_the_characters_that_the_rfc_names() {
        let evil = "\u{1b}[2J\"\\\r\n\u{fc}".repeat(10_000);
        let refusal = of(&Failure { message: evil, ..failure(FailureCode::Denied) });
        let body = String::from_utf8(refusal.json()).unwrap();
        assert!(body.len() < MAX_DESCRIPTION + 100, "{}", body.len());
        assert!(
            body.starts_with("{\"error\":\"invalid_client\",\"error_description\":\"?[2J'/????[2J"),
            "{body}"
        );
    }

    #[test]
    fn a_hint_follows_what_happened() {
        let refused = Failure { hint: Some("do this".into()), ..failure(FailureCode::NoToken) };
        assert_eq!(of(&refused).description, "no; do this");
    }
}
