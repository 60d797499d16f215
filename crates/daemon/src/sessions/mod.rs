//! IPC sessions: one task for each connection, all on the IPC thread's runtime.
//!
//! `connection` has hello, frames and deadlines, `under_way` the requests that are not answered yet, and `subscriptions`
//! what callers are told unasked. What each request does is in `requests`.

mod connection;
mod subscriptions;
mod under_way;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokenbroker_ipc::{Listener, PeerIdentity, Stream};
use tokenbroker_protocol::Failure;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use self::connection::Connection;
use crate::quotas::Admission;
use crate::shared::Shared;

/// How long connections may take to finish when the daemon shuts down.
const DRAIN: Duration = Duration::from_secs(5);

/// How long no connection is accepted after that failed, most often because descriptors ran out.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves callers until the daemon shuts down, then lets what is under way come to its end.
pub(crate) async fn serve(listener: Listener, shared: Arc<Shared>) {
    accept(listener, &shared, |stream, peer, admission| {
        let shared = Arc::clone(&shared);
        async move {
            match admission {
                Ok(admission) => Connection::new(stream, peer, admission, shared).run().await,
                Err(failure) => Connection::refuse(stream, shared.instance, failure).await,
            }
        }
    })
    .await;
}

/// Accepts callers until the daemon shuts down, and has a task of its own `converse` with each, or tell it that its user
/// has too many connections; then lets what is under way come to its end.
pub(crate) async fn accept<C: Future<Output = ()> + Send + 'static>(
    listener: Listener,
    shared: &Shared,
    converse: impl Fn(Stream, PeerIdentity, Result<Admission, Failure>) -> C,
) {
    let connections = TaskTracker::new();
    let mut out_of_order = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stopping.cancelled() => break,
        };
        match accepted {
            Ok((stream, Ok(mut peer))) => {
                out_of_order = false;
                let span = tracing::debug_span!("caller", uid = peer.uid, pid = peer.pid);
                let admission = shared.quotas.admit(peer.uid).and_then(|one| one.knowing(&peer.groups));
                if admission.is_err() {
                    shared.audit.refused(Some(&peer), "too_many_connections");
                    // There can be very many, and many are refused at a time.
                    peer.groups = Vec::new();
                }
                connections.spawn(converse(stream, peer, admission).instrument(span));
            }
            Ok((_, Err(unidentified))) => {
                tracing::debug!("a connection was refused: {unidentified}");
                shared.audit.refused(None, "unidentified");
            }
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut out_of_order, true) {
                    tracing::error!("connections can't be accepted, trying on: {error}");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        // A caller in very many groups takes milliseconds to look at, and hundreds may wait: all others have a turn before the next.
        tokio::task::yield_now().await;
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
        tracing::warn!("{} connections did not finish in time", connections.len());
    }
}

/// The peer gave up before it was accepted: nothing is wrong here.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}
