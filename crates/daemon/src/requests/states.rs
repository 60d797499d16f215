//! How all of a caller's clients are doing, for interfaces whose replies have no pages.

use tokenbroker_core::config::ClientName;
use tokenbroker_protocol::{Failure, FailureCode, Status};
use tokio::sync::oneshot;

use super::{Session, shutting_down};
use crate::convert;
use crate::key_store;
use crate::shared::Ask;

/// How many clients the event loop is asked about at a time: it has other things to do in between.
const AT_A_TIME: usize = 200;

impl Session {
    /// The states of the clients whose tokens the caller may have, and of all for an administrator; by name.
    pub(crate) async fn states(&self) -> Result<Vec<Status>, Failure> {
        let session = self.clone();
        // There can be many, and other callers are served on this thread.
        let names = tokio::task::spawn_blocking(move || session.seen());
        let names = names.await.map_err(|_| Failure::new(FailureCode::Internal, "the request panicked"))?;
        let store = self.shared.key_store.call(key_store::QUICK, |store| Ok(store.kind())).await;
        let (store, sees_all) = (store.ok().flatten(), self.is_administrator());
        let mut states = Vec::with_capacity(names.len());
        for names in names.chunks(AT_A_TIME) {
            let (reply, reports) = oneshot::channel();
            let ask = Ask::Status { clients: names.to_vec(), explain: false, reply };
            self.shared.event_loop.send(ask).map_err(|_| shutting_down())?;
            let reports = reports.await.map_err(|_| shutting_down())?;
            states.extend(reports.into_iter().map(|report| convert::status(report, store, sees_all)));
        }
        Ok(states)
    }

    /// The names of the first so many clients after a name that the caller is told of, in order.
    pub(super) fn seen_after(&self, after: Option<&str>, most: usize) -> Vec<ClientName> {
        let (sees_all, caller) = (self.is_administrator(), self.caller());
        self.shared.slots.names_after(after, most, |slot| sees_all || slot.access().permits(&caller))
    }

    /// The names of the clients that the caller is told of.
    fn seen(&self) -> Vec<ClientName> {
        self.seen_after(None, usize::MAX)
    }
}
