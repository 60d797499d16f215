//! `POST /oauth2/token`: a token endpoint as RFC 6749 has it, so that an OAuth library works unchanged and without a secret.
//!
//! Who asks is known from the socket. The client ID only says which client's token is asked for: `allow` says who may.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, PRAGMA, WWW_AUTHENTICATE};
use hyper::{HeaderMap, Request, Response, StatusCode};
use percent_encoding::percent_decode;
use serde::Serialize;
use tokenbroker_core::engine::Granted;
use tokenbroker_core::time::Moment;
use tokenbroker_protocol::GetToken;
use zeroize::Zeroizing;

use super::pace::Progress;
use super::parameters::Parameters;
use super::refusal::Refusal;
use super::reply::{self, Body};
use super::routes::Answer;
use super::token;
use crate::quotas::Admission;
use crate::requests::Session;

/// In bytes.
const MAX_BODY: usize = 64 * 1024;

/// RFC 6749 section 5.1.
#[derive(Serialize)]
struct Token<'a> {
    access_token: &'a str,
    token_type: &'a str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

pub(super) async fn answer(
    session: Session,
    progress: &Progress,
    admission: &Admission,
    request: Request<Incoming>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let asked = match admission.room(room_for(&body)) {
        Ok(_room) => read(body).await.and_then(|body| asked(&head.headers, &body)),
        Err(failure) => Err(Refusal::of(&failure, None, &session.shared().config.load())),
    };
    progress.received();
    let response = match asked {
        Ok((client, get)) => match token::answer_as(&session, &client, get, render) {
            Answer::Now(response) => response,
            Answer::Later(response) => response.await,
        },
        Err(refusal) => refusal.into(),
    };
    with_headers(response, &head.headers)
}

fn render(_client: &str, granted: &Granted, now: Moment) -> io::Result<Response<Body>> {
    let scope = granted.token.scope.as_deref();
    let json = Token {
        access_token: granted.token.access_token.expose(),
        token_type: "Bearer",
        expires_in: now.until(granted.token.expires).as_secs(),
        scope,
    };
    Ok(reply::json(token::in_one_piece(&json, json.access_token.len() + scope.map_or(0, str::len))?))
}

/// RFC 6749 section 5.1 wants another header beside Cache-Control, and section 5.2 a challenge for those who tried to
/// authenticate. Others get none: there is nothing to try, and libraries report the challenge in the place of the error.
fn with_headers(mut response: Response<Body>, asked: &HeaderMap) -> Response<Body> {
    let status = response.status();
    let headers = response.headers_mut();
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    if status == StatusCode::UNAUTHORIZED && asked.contains_key(AUTHORIZATION) {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"tokenbroker\""));
    }
    response
}

/// As much as the body says that it is long, or may be if it doesn't say.
fn room_for(body: &Incoming) -> usize {
    body.size_hint()
        .upper()
        .and_then(|length| usize::try_from(length).ok())
        .map_or(MAX_BODY, |length| length.min(MAX_BODY))
}

/// The whole body. There may be a secret in it that nobody asked for.
async fn read(mut body: Incoming) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let too_long =
        || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "the body is longer than 64 KiB");
    let mut whole = Zeroizing::new(Vec::new());
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if expected > MAX_BODY {
        return Err(too_long());
    }
    whole.reserve_exact(expected);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::invalid_request("the body did not arrive whole"))?;
        let data = frame.data_ref().map_or(&[][..], |data| data);
        if whole.len() + data.len() > MAX_BODY {
            return Err(too_long());
        }
        whole.extend_from_slice(data);
    }
    Ok(whole)
}

/// Which client the form asks, and for what.
fn asked(headers: &HeaderMap, body: &[u8]) -> Result<(String, GetToken), Refusal> {
    if !is_form(headers) {
        return Err(Refusal::invalid_request("the body must be application/x-www-form-urlencoded"));
    }
    let form = Parameters::parse(body)?;
    match form.value("grant_type") {
        Some("client_credentials") => {}
        Some(_) => {
            let words = "the broker has tokens of the client credentials grant, and no others";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "unsupported_grant_type", words));
        }
        None => return Err(Refusal::invalid_request("grant_type is missing")),
    }
    let client = match (basic_user(headers)?, form.value("client_id")) {
        (Some(user), Some(client)) if user != client => {
            return Err(Refusal::invalid_request("the Basic user and client_id are not the same client"));
        }
        (Some(client), _) => client,
        (None, Some(client)) => client.to_owned(),
        (None, None) => return Err(Refusal::invalid_request("client_id is missing")),
    };
    // What else is in the form is ignored, as RFC 6749 section 3.2 has it, `min_ttl` and `wait` included.
    let get = form.scope_and_target(&client);
    Ok((client, get))
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// The user of a Basic header, form-encoded as RFC 6749 section 2.3.1 has it. Nobody looks at the password. What
/// authenticates in other ways is ignored, too.
fn basic_user(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let Some((scheme, credentials)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else {
        return Ok(None);
    };
    if !scheme.eq_ignore_ascii_case("Basic") {
        return Ok(None);
    }
    let malformed = || Refusal::invalid_request("the Basic header is malformed");
    let decoded = Zeroizing::new(STANDARD.decode(credentials.trim()).map_err(|_| malformed())?);
    let user = decoded.split(|byte| *byte == b':').next().filter(|user| user.len() < decoded.len());
    let user = percent_decode(user.ok_or_else(malformed)?).decode_utf8().map_err(|_| malformed())?;
    // Some libraries send an empty one along with a client_id.
    Ok((!user.is_empty()).then(|| user.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(authorization: &str, form: &str) -> Result<GetToken, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "Application/x-www-form-urlencoded; charset=UTF-8".parse().unwrap());
        if !authorization.is_empty() {
            headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        }
        asked(&headers, form.as_bytes()).map(|(_, get)| get)
    }

    fn basic(user_and_password: &str) -> String {
        format!("basic {}", STANDARD.encode(user_and_password))
    }

    fn client(authorization: &str, form: &str) -> Option<String> {
        with(authorization, &format!("grant_type=client_credentials&{form}")).ok().map(|get| get.client)
    }

    #[test]
    fn the_client_is_in_the_form_or_the_basic_user() {
        let app = Some("app-1".to_owned());
        assert_eq!(client("", "client_id=app-1"), app);
        assert_eq!(client("", "client_id=app-1&client_secret=whatever"), app);
        assert_eq!(client(&basic("app-1:whatever:it is"), ""), app);
        assert_eq!(client(&basic("app%2D1:"), ""), app, "form-encoded, as some libraries have it");
        assert_eq!(client(&basic("app-1:"), "client_id=app-1"), app);
        assert_eq!(client(&basic(":"), "client_id=app-1"), app);
        assert_eq!(client("Bearer x", "client_id=app-1"), app);
    }

    #[test]
    fn two_clients_and_none_are_refused() {
        assert_eq!(client(&basic("app-1:"), "client_id=app-2"), None);
        assert_eq!(client("", ""), None);
        assert_eq!(client("", "client_id="), None);
        assert_eq!(client("Basic app-1", ""), None);
        assert_eq!(client(&basic("app-1"), ""), None, "there is no colon in it");
        assert_eq!(client("", "client_id=a&client_id=a"), None);
    }

    #[test]
    fn what_authenticates_a_client_elsewhere_and_what_nobody_knows_is_ignored() {
        let form = "client_id=a&client_assertion=x&min_ttl=nonsense&wait=9h&colour=blue&scope=api%3Aread&resource=urn:a";
        let get = with("", &format!("grant_type=client_credentials&{form}")).unwrap();
        let expected = GetToken {
            client: "a".into(),
            scope: Some("api:read".into()),
            resource: vec!["urn:a".into()],
            ..GetToken::default()
        };
        assert_eq!(get, expected);
    }
}
