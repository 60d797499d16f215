//! `GET /livez` and `GET /readyz`: whether the daemon works. Neither depends on an authorization server.

use std::time::Duration;

use hyper::{Response, StatusCode};
use tokio::sync::{mpsc, oneshot};

use super::refusal::Refusal;
use super::reply::{self, Body};
use crate::shared::{Ask, Shared};

/// How long the event loop may take to answer. It does nothing that takes long.
const PATIENCE: Duration = Duration::from_secs(2);

/// The event loop answers.
pub(super) async fn alive(shared: &Shared) -> Response<Body> {
    match answers(&shared.event_loop).await {
        true => well(),
        false => ill("the event loop does not answer"),
    }
}

/// Callers are served: somebody accepted this one, the event loop answers, and the daemon does not shut down.
pub(super) async fn ready(shared: &Shared) -> Response<Body> {
    match answers(&shared.event_loop).await {
        _ if shared.stopping.is_cancelled() => ill("the daemon shuts down"),
        true => well(),
        false => ill("the event loop does not answer"),
    }
}

async fn answers(event_loop: &mpsc::UnboundedSender<Ask>) -> bool {
    let (reply, answer) = oneshot::channel();
    // How no clients are doing is the least that it can be asked.
    let ask = Ask::Status { clients: Vec::new(), explain: false, reply };
    event_loop.send(ask).is_ok() && matches!(tokio::time::timeout(PATIENCE, answer).await, Ok(Ok(_)))
}

fn well() -> Response<Body> {
    reply::text(StatusCode::OK, "text/plain", b"ok\n".to_vec().into())
}

fn ill(words: &str) -> Response<Body> {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", words).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn s65_an_event_loop_that_stalls_or_is_gone_is_not_well() {
        let (event_loop, mut asks) = mpsc::unbounded_channel();
        let well = answers(&event_loop);
        let answering = async {
            let Some(Ask::Status { reply, .. }) = asks.recv().await else { panic!("another question") };
            reply.send(Vec::new()).unwrap();
        };
        assert!(tokio::join!(well, answering).0);

        let stalled = tokio::time::timeout(PATIENCE * 2, answers(&event_loop));
        assert_eq!(stalled.await, Ok(false));
        drop(asks);
        assert!(!answers(&event_loop).await);
    }
}
