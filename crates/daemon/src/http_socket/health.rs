//! `GET /livez` and `GET /readyz`: whether the daemon works. Neither depends on an authorization server.

use std::time::Duration;

use hyper::{Response, StatusCode};
use tokio::sync::oneshot;

use super::refusal::Refusal;
use super::reply::{self, Body};
use crate::shared::{Ask, Shared};

/// How long the event loop may take to answer. It does nothing that takes long.
const PATIENCE: Duration = Duration::from_secs(2);

/// The event loop answers.
pub(super) async fn alive(shared: &Shared) -> Response<Body> {
    match event_loop_answers(shared).await {
        true => well(),
        false => ill("the event loop does not answer"),
    }
}

/// Callers are served: somebody accepted this one, the event loop answers, and the daemon does not shut down.
pub(super) async fn ready(shared: &Shared) -> Response<Body> {
    match event_loop_answers(shared).await {
        _ if shared.stopping.is_cancelled() => ill("the daemon shuts down"),
        true => well(),
        false => ill("the event loop does not answer"),
    }
}

async fn event_loop_answers(shared: &Shared) -> bool {
    let (reply, answer) = oneshot::channel();
    // How no clients are doing is the least that it can be asked.
    let ask = Ask::Status { clients: Vec::new(), explain: false, reply };
    shared.event_loop.send(ask).is_ok() && matches!(tokio::time::timeout(PATIENCE, answer).await, Ok(Ok(_)))
}

fn well() -> Response<Body> {
    reply::text(StatusCode::OK, "text/plain", b"ok\n".to_vec().into())
}

fn ill(words: &str) -> Response<Body> {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", words).into()
}
