//! What is asked for, by path and method.

use std::pin::Pin;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{HeaderName, ORIGIN};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use super::pace::Progress;
use super::refusal::Refusal;
use super::reply::Body;
use super::{health, metrics, states, token, token_endpoint};
use crate::requests::Session;

/// A reply: at once, or when there is one.
pub(super) enum Answer {
    Now(Response<Body>),
    Later(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
}

/// Tells a page of another site from the browser's user (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const READ: &str = "GET, HEAD";

pub(super) fn answer(session: &Session, progress: &Arc<Progress>, request: Request<Incoming>) -> Answer {
    if is_of_a_web_page(request.headers()) {
        progress.received();
        let words = "this interface is for programs, not for web pages";
        return Answer::Now(Refusal::new(StatusCode::FORBIDDEN, "access_denied", words).into());
    }
    let (path, method) = (request.uri().path(), request.method());
    if path == "/oauth2/token" {
        if method != Method::POST {
            progress.received();
            return Answer::Now(Refusal::method("POST").into());
        }
        let (session, progress) = (session.clone(), Arc::clone(progress));
        return later(async move { token_endpoint::answer(session, &progress, request).await });
    }
    // What else there is has no body, and one that comes nonetheless is not waited for.
    progress.received();
    let reads = method == Method::GET || method == Method::HEAD;
    let session = session.clone();
    match path.strip_prefix("/v1/tokens/") {
        Some(client) if !client.is_empty() && !client.contains('/') => match reads {
            true => token::answer(&session, client, request.uri().query().unwrap_or_default()),
            false => Answer::Now(Refusal::method(READ).into()),
        },
        _ => match path {
            "/v1/status" | "/livez" | "/readyz" | "/metrics" if !reads => {
                Answer::Now(Refusal::method(READ).into())
            }
            "/v1/status" => later(async move { states::answer(&session).await }),
            "/livez" => later(async move { health::alive(session.shared()).await }),
            "/readyz" => later(async move { health::ready(session.shared()).await }),
            "/metrics" => later(async move { metrics::answer(&session).await }),
            _ => Answer::Now(Refusal::not_found().into()),
        },
    }
}

/// A browser reaches a Unix socket only through something that forwards to it, and that would make a caller of every page
/// that it shows. Programs send neither of these.
fn is_of_a_web_page(headers: &HeaderMap) -> bool {
    let of_another_site = |site: &[u8]| site != b"none" && site != b"same-origin";
    headers.contains_key(ORIGIN)
        || headers.get(SEC_FETCH_SITE).is_some_and(|site| of_another_site(site.as_bytes()))
}

fn later(response: impl Future<Output = Response<Body>> + Send + 'static) -> Answer {
    Answer::Later(Box::pin(response))
}
