//! What is asked for, by path and method.

use std::pin::Pin;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{HeaderName, ORIGIN};
use hyper::{HeaderMap, Request, Response, StatusCode};

use super::pace::Progress;
use super::refusal::Refusal;
use super::reply::Body;
use super::{health, metrics, states, token, token_endpoint};
use crate::quotas::Admission;
use crate::requests::Session;

/// A reply: at once, or when there is one.
pub(super) enum Answer {
    Now(Response<Body>),
    Later(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
}

/// Tells a page from the browser's user (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const TOKEN_ENDPOINT: &str = "/oauth2/token";
const TOKENS: &str = "/v1/tokens/";

pub(super) fn answer(
    session: &Session,
    progress: &Arc<Progress>,
    admission: &Arc<Admission>,
    request: Request<Incoming>,
) -> Answer {
    let refusal = refusal(&request);
    if refusal.is_none() && request.uri().path() == TOKEN_ENDPOINT {
        let (session, progress) = (session.clone(), Arc::clone(progress));
        let admission = Arc::clone(admission);
        return later(async move { token_endpoint::answer(session, &progress, &admission, request).await });
    }
    // Nothing else has a body, and one that comes nonetheless is not waited for.
    progress.received();
    match refusal {
        Some(refusal) => Answer::Now(refusal.into()),
        None => read(session, request.uri().path(), request.uri().query().unwrap_or_default()),
    }
}

/// What can be seen from the head of a request to be wrong with it.
fn refusal(request: &Request<Incoming>) -> Option<Refusal> {
    if is_of_a_web_page(request.headers()) {
        let words = "this interface is for programs, not for web pages";
        return Some(Refusal::new(StatusCode::FORBIDDEN, "access_denied", words));
    }
    let Some(methods) = methods(request.uri().path()) else { return Some(Refusal::not_found()) };
    let known = methods.split(", ").any(|method| request.method() == method);
    (!known).then(|| Refusal::method(methods))
}

/// The methods of a path, as `Allow` names them; `None` if there is nothing at it.
fn methods(path: &str) -> Option<&'static str> {
    const READ: &str = "GET, HEAD";
    match path {
        TOKEN_ENDPOINT => Some("POST"),
        "/v1/status" | "/livez" | "/readyz" | "/metrics" => Some(READ),
        _ => {
            let client = path.strip_prefix(TOKENS)?;
            (!client.is_empty() && !client.contains('/')).then_some(READ)
        }
    }
}

/// Reads at a path that takes that.
fn read(session: &Session, path: &str, query: &str) -> Answer {
    if let Some(client) = path.strip_prefix(TOKENS) {
        return token::answer(session, client, query);
    }
    let session = session.clone();
    match path {
        "/v1/status" => later(async move { states::answer(&session).await }),
        "/livez" => later(async move { health::alive(session.shared()).await }),
        "/readyz" => later(async move { health::ready(session.shared()).await }),
        "/metrics" => later(async move { metrics::answer(&session).await }),
        _ => Answer::Now(Refusal::not_found().into()),
    }
}

/// A browser reaches a Unix socket only through something that forwards to it, and that would make a caller of every page
/// that it shows. Programs send neither header; a browser's user who types an address says `none`.
fn is_of_a_web_page(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) || headers.get(SEC_FETCH_SITE).is_some_and(|site| site != "none")
}

fn later(response: impl Future<Output = Response<Body>> + Send + 'static) -> Answer {
    Answer::Later(Box::pin(response))
}
