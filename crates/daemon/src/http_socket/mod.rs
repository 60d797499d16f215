//! HTTP/1.1 over a Unix socket, for callers in any language: tokens, a token endpoint, states, health, metrics.
//!
//! It runs beside the native sessions, and decides nothing: who asks is known from the kernel, and what is answered comes
//! from the same `requests`. There is no TCP listener, no TLS and no HTTP/2.
//!
//! - `pace`: deadlines for callers
//! - `routes`: what is asked for, by path and method
//! - `token`, `token_endpoint`: a token, as `get --json` shows it and as RFC 6749 has it
//! - `parameters`: queries and forms
//! - `states`, `health`, `metrics`: how clients and the daemon are doing
//! - `refusal`: how it says no
//! - `reply`: bodies that are wiped once they are sent

mod health;
mod metrics;
mod pace;
mod parameters;
mod refusal;
mod reply;
mod routes;
mod states;
mod token;
mod token_endpoint;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;

use futures_util::future::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokenbroker_ipc::{Listener, PeerIdentity, Stream};
use tokenbroker_protocol::Failure;
use tokio::io::AsyncWriteExt;

use self::pace::{Paced, Progress};
use self::refusal::Refusal;
use self::reply::Body;
use self::routes::Answer;
use crate::quotas::Admission;
use crate::requests::Session;
use crate::sessions;
use crate::shared::Shared;

/// How long a request's line and headers may be together, in bytes. hyper takes 100 headers at most.
const MAX_HEAD: usize = 16 * 1024;

/// What HTTP holds for a connection, more or less, whatever comes.
const HELD: usize = 8 * 1024;

/// Serves callers until the daemon shuts down, then lets what is under way come to its end.
pub(crate) async fn serve(listener: Listener, shared: Arc<Shared>) {
    sessions::accept(listener, &shared, |stream, peer, admission| {
        let shared = Arc::clone(&shared);
        async move {
            match admission {
                Ok(admission) => converse(stream, peer, admission, shared).await,
                Err(failure) => refuse(stream, &failure, &shared).await,
            }
        }
    })
    .await;
}

/// Serves a connection until the caller leaves, breaks the rules, or the daemon shuts down.
async fn converse(stream: Stream, peer: PeerIdentity, mut admission: Admission, shared: Arc<Shared>) {
    if let Err(failure) = admission.hold(HELD) {
        return refuse(stream, &failure, &shared).await;
    }
    let stopping = shared.stopping.clone();
    let progress = Arc::new(Progress::default());
    let stream = Paced::new(stream, Arc::clone(&progress), stopping.clone());
    let session = Session::new(peer, &admission, shared);
    let conversation = Conversation { session, progress, admission: Arc::new(admission) };
    let mut connection = pin!(
        http1::Builder::new()
            // `pace` has deadlines of its own, which cost nothing while a caller is quick.
            .header_read_timeout(None)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), conversation)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    match ended {
        Ok(()) => tracing::debug!("a connection ended"),
        Err(error) => tracing::debug!("a connection ended: {error}"),
    }
}

/// Says why a caller is not served, without waiting for what it has to say.
async fn refuse(mut stream: Stream, failure: &Failure, shared: &Shared) {
    let words = Refusal::of(failure, None, &shared.config.load()).whole();
    // The buffer of a new connection is empty, and takes this at once.
    let _gone_meanwhile = tokio::time::timeout(pace::REPLY_DEADLINE, stream.write_all(&words)).await;
}

/// A connection's caller, how far its request has come, and what it takes of its user's quota.
struct Conversation {
    session: Session,
    progress: Arc<Progress>,
    admission: Arc<Admission>,
}

impl Service<Request<Incoming>> for Conversation {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<
        Ready<Result<Self::Response, Infallible>>,
        Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>,
    >;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        match routes::answer(&self.session, &self.progress, &self.admission, request) {
            Answer::Now(response) => Either::Left(ready(Ok(response))),
            Answer::Later(response) => Either::Right(Box::pin(async { Ok(response.await) })),
        }
    }
}
