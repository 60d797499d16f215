//! The protected resource (RFC 6750).

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use super::reply::Reply;
use super::state::State;

const DATA: &str = "This is the protected data.";

/// The data for a live token, otherwise a challenge that says what was missing.
pub(super) fn data(headers: &HeaderMap, state: &State) -> Reply {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match authorization.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) if state.is_live(token) => Reply::new(200, "text/plain", DATA),
        Some(_) => Reply::empty(401).header("www-authenticate", r#"Bearer error="invalid_token""#),
        None => Reply::empty(401).header("www-authenticate", "Bearer"),
    }
}
