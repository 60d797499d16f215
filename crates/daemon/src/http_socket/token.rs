//! `GET /v1/tokens/{client}`: the current token, in the words of `get --json`.

use std::io::{self, Write};
use std::time::Duration;

use hyper::{Response, StatusCode};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokenbroker_core::engine::Granted;
use tokenbroker_core::time::Moment;
use tokenbroker_protocol::{Command, Failure, GetToken, Response as Wire};
use zeroize::Zeroizing;

use super::parameters::Parameters;
use super::refusal::Refusal;
use super::reply::{self, Body};
use super::routes::Answer;
use crate::clock;
use crate::requests::{self, Outcome, Session};

/// Room for everything besides the token and its scope, so that the buffer does not grow and leave a copy behind.
const ROOM: usize = 384;

/// Names of parameters.
const KNOWN: [&str; 5] = ["scope", "resource", "audience", "min_ttl", "wait"];

/// The same fields as `get --json` prints, in the same order.
#[derive(Serialize)]
struct Token<'a> {
    client: &'a str,
    access_token: &'a str,
    token_type: &'a str,
    expires_in: u64,
    expires_at: &'a str,
    scope: Option<&'a str>,
    generation: u64,
    min_ttl_met: bool,
}

/// How a token is written into a reply.
pub(super) type Render = fn(&str, &Granted, Moment) -> io::Result<Response<Body>>;

pub(super) fn answer(session: &Session, client: &str, query: &str) -> Answer {
    match asked(client, query) {
        Ok(get) => answer_as(session, client, get, render),
        Err(refusal) => Answer::Now(refusal.into()),
    }
}

fn asked(client: &str, query: &str) -> Result<GetToken, Refusal> {
    if query.is_empty() {
        return Ok(GetToken { client: client.to_owned(), ..GetToken::default() });
    }
    let parameters = Parameters::parse(query.as_bytes())?;
    // A misspelt `min_ttl` that is ignored would be found when it hurts.
    if let Some(unknown) = parameters.other_than(&KNOWN) {
        let words = format!("the parameter {unknown} is not known here, only {}", KNOWN.join(", "));
        return Err(Refusal::invalid_request(&words));
    }
    parameters.get_token(client)
}

/// Asks for a client's token as a native session does. A warm one is there at once.
pub(super) fn answer_as(session: &Session, client: &str, get: GetToken, render: Render) -> Answer {
    // Only a part of what is configured can be refused for what it is.
    let part = get.scope.is_some() || !get.resource.is_empty() || get.audience.is_some();
    let asked = part.then(|| get.clone());
    match session.answer(Command::GetToken(get)) {
        requests::Answer::Now(outcome) => {
            Answer::Now(finish(session, client, asked.as_ref(), outcome, render))
        }
        requests::Answer::Later(outcome) => {
            let (session, client) = (session.clone(), client.to_owned());
            Answer::Later(Box::pin(async move {
                finish(&session, &client, asked.as_ref(), outcome.await, render)
            }))
        }
    }
}

fn finish(
    session: &Session,
    client: &str,
    asked: Option<&GetToken>,
    outcome: Outcome,
    render: Render,
) -> Response<Body> {
    match outcome {
        Outcome::Token { granted, now } => render(client, &granted, now).unwrap_or_else(|_| internal()),
        Outcome::Response(Wire::Failed(failure)) => refused(session, &failure, asked),
        Outcome::Response(_) => internal(),
    }
}

/// A failure in the words of a native session.
pub(super) fn refused(session: &Session, failure: &Failure, asked: Option<&GetToken>) -> Response<Body> {
    Refusal::of(failure, asked, &session.shared().config.load()).into()
}

/// A fault of ours.
pub(super) fn internal() -> Response<Body> {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "the reply could not be written").into()
}

fn render(client: &str, granted: &Granted, now: Moment) -> io::Result<Response<Body>> {
    let Granted { token, min_ttl_met, .. } = granted;
    let expires_in = now.until(token.expires);
    let mut expires_at = [0; 32];
    let scope = token.scope.as_deref();
    let json = Token {
        client,
        access_token: token.access_token.expose(),
        token_type: "Bearer",
        expires_in: expires_in.as_secs(),
        expires_at: rfc3339_in(clock::since_epoch() + expires_in, &mut expires_at)?,
        scope,
        generation: token.generation,
        min_ttl_met: *min_ttl_met,
    };
    Ok(reply::json(in_one_piece(&json, json.access_token.len() + scope.map_or(0, str::len))?))
}

/// JSON in memory that does not move while it grows: `long` is the length of what is long in it.
pub(super) fn in_one_piece(json: &impl Serialize, long: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(long + ROOM));
    serde_json::to_writer(&mut *bytes, json)?;
    Ok(bytes)
}

/// A time in seconds since 1970 as RFC 3339 has it; one that it has no form for is the last of 9999.
pub(super) fn rfc3339(unix: i64) -> String {
    let last = || "9999-12-31T23:59:59Z".to_owned();
    let time = OffsetDateTime::from_unix_timestamp(unix).ok().and_then(|time| time.format(&Rfc3339).ok());
    time.unwrap_or_else(last)
}

/// A time as RFC 3339 has it: UTC, to the second, ending in Z.
fn rfc3339_in(since_epoch: Duration, buffer: &mut [u8; 32]) -> io::Result<&str> {
    let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
    let time = OffsetDateTime::from_unix_timestamp(seconds).map_err(io::Error::other)?;
    let mut free = buffer.as_mut_slice();
    let written = time.format_into(&mut free, &Rfc3339).map_err(io::Error::other)?;
    free.flush()?;
    std::str::from_utf8(&buffer[..written]).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> String {
        rfc3339_in(Duration::from_secs(seconds), &mut [0; 32]).unwrap().to_owned()
    }

    #[test]
    fn times_are_in_utc_and_end_in_z() {
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert!(rfc3339_in(Duration::MAX, &mut [0; 32]).is_err(), "a year that nobody writes");
    }

    #[test]
    fn a_token_has_the_fields_of_the_command_line_and_stays_where_it_was_written() {
        let token = "x".repeat(32 * 1024);
        let json = Token {
            client: &"c".repeat(64),
            access_token: &token,
            token_type: "Bearer",
            expires_in: u64::MAX,
            expires_at: "2026-11-23T22:00:00Z",
            scope: Some("signtext_api neb_api"),
            generation: u64::MAX,
            min_ttl_met: false,
        };
        let long = token.len() + json.scope.map_or(0, str::len);
        let bytes = in_one_piece(&json, long).unwrap();
        assert!(bytes.capacity() < long + ROOM * 2, "it did not grow");
        assert_eq!(
            String::from_utf8(bytes.to_vec()).unwrap(),
            format!(
                "{{\"client\":\"{}\",\"access_token\":\"{token}\",\"token_type\":\"Bearer\",\
                 \"expires_in\":18446744073709551615,\"expires_at\":\"2026-11-23T22:00:00Z\",\
                 \"scope\":\"signtext_api neb_api\",\"generation\":18446744073709551615,\"min_ttl_met\":false}}",
                json.client
            )
        );
    }

    #[test]
    fn a_misspelt_parameter_is_refused() {
        assert!(asked("app", "min_ttl=60s").is_ok());
        assert!(asked("app", "min-ttl=60s").is_err());
    }
}
