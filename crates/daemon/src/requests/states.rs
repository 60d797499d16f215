//! How a caller's clients are doing: one of them, a page of them, or all at once for interfaces whose replies have no pages.

use tokenbroker_core::config::ClientName;
use tokenbroker_core::policy::Right;
use tokenbroker_protocol::{Failure, FailureCode, Response, Status, StatusPage};
use tokio::sync::oneshot;

use super::{Answer, Session, denied, shutting_down};
use crate::audit::Action;
use crate::convert;
use crate::key_store;
use crate::shared::{Ask, Report};

/// How many states are sent in one page; each is a few hundred bytes, up to 1,200, and a frame has 64 KiB.
const PAGE: usize = 40;

/// How many clients the event loop is asked about at a time: it has other things to do in between.
const AT_A_TIME: usize = 200;

impl Session {
    /// One client, or a page of those that the caller is told of.
    pub(super) fn status(&self, client: Option<&str>, after: Option<String>) -> Answer {
        let client = match client.map(|client| self.told_of(client)).transpose() {
            Ok(client) => client,
            Err(failure) => return Answer::Now(failure.into()),
        };
        let session = self.clone();
        Answer::Later(Box::pin(async move {
            session.page(client, after).await.map_or_else(Into::into, |page| Response::Status(page).into())
        }))
    }

    async fn page(&self, client: Option<ClientName>, after: Option<String>) -> Result<StatusPage, Failure> {
        // A page of them would not fit a frame.
        let explain = client.is_some();
        let (reports, more) = match client {
            Some(client) => (self.reports(vec![client], explain).await?, false),
            None => {
                let _turn = self.turn.lock().await;
                let mut names = self.names(after, PAGE + 1).await?;
                let more = names.len() > PAGE;
                names.truncate(PAGE);
                (self.reports(names, explain).await?, more)
            }
        };
        let sees_all = self.is_administrator();
        // They name places and other clients.
        let notes = if sees_all { self.notes_of_the_key_store().await } else { Vec::new() };
        let clients = reports.into_iter().map(|report| convert::status(report, sees_all)).collect();
        Ok(StatusPage { clients, more, notes })
    }

    async fn notes_of_the_key_store(&self) -> Vec<String> {
        let notes = self.shared.key_store.call(key_store::QUICK, |store| Ok(store.notes())).await;
        notes.unwrap_or_else(|error| vec![error.to_string()])
    }

    /// The states of the clients whose tokens the caller may have, and of all for an administrator; by name, and in the
    /// form that the caller is shown. That, too, takes long for many.
    pub(crate) async fn states<T: Send + 'static>(
        &self,
        shown: impl FnOnce(&[Status]) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let sees_all = self.is_administrator();
        let _turn = self.turn.lock().await;
        let names = self.names(None, usize::MAX).await?;
        let mut states = Vec::with_capacity(names.len());
        for names in names.chunks(AT_A_TIME) {
            let reports = self.reports(names.to_vec(), false).await?;
            states.extend(reports.into_iter().map(|report| convert::status(report, sees_all)));
        }
        elsewhere(move || shown(&states)).await
    }

    async fn reports(&self, clients: Vec<ClientName>, explain: bool) -> Result<Vec<Report>, Failure> {
        let (reply, reports) = oneshot::channel();
        self.shared.event_loop.send(Ask::Status { clients, explain, reply }).map_err(|_| shutting_down())?;
        reports.await.map_err(|_| shutting_down())
    }

    /// The name of a client, if the caller is told of it. Who is not can't tell whether it exists.
    fn told_of(&self, client: &str) -> Result<ClientName, Failure> {
        let sees_all = self.is_administrator();
        let slot = self.shared.slots.find(client);
        let seen = slot.filter(|slot| sees_all || slot.access().right_of(&self.caller()) != Right::Nothing);
        match seen.and_then(|_| ClientName::new(client)) {
            Some(name) => Ok(name),
            None if sees_all => Err(self.unknown_client(client)),
            None => {
                self.write_down_denial(Action::about("status", client));
                Err(denied(client))
            }
        }
    }

    /// The names of the first so many clients that the caller is told of and that sort after this one, in order.
    ///
    /// There can be many, and other callers are served on this thread: they are looked through on another one, and in
    /// [turn](Self::turn), since what asks for it costs the caller next to nothing.
    async fn names(&self, after: Option<String>, most: usize) -> Result<Vec<ClientName>, Failure> {
        let session = self.clone();
        elsewhere(move || session.seen(after.as_deref(), most)).await
    }

    fn seen(&self, after: Option<&str>, most: usize) -> Vec<ClientName> {
        let (sees_all, caller) = (self.is_administrator(), self.caller());
        self.shared
            .slots
            .names_after(after, most, |slot| sees_all || slot.access().right_of(&caller) != Right::Nothing)
    }
}

/// Does on another thread what would keep other callers waiting.
async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Failure::new(FailureCode::Internal, "the request panicked"))
}

#[cfg(test)]
mod tests {
    use tokenbroker_protocol::{
        CredentialKind, CredentialStatus, LastError, NextCredential, Outcomes, Reply, State, Store, decode,
        encode,
    };

    use super::*;

    #[test]
    fn a_page_of_clients_that_all_have_much_to_tell_fits_a_frame() {
        let error = || LastError {
            code: "temporarily_unavailable".into(),
            message: "m".repeat(400),
            next_try_in_ms: Some(u64::MAX),
        };
        let credential = CredentialStatus {
            store: Store::EncryptedFile,
            kind: CredentialKind::PrivateKey,
            version: "v".repeat(16),
            expires: Some(u64::MAX),
        };
        let client = Status {
            client: "n".repeat(64),
            issuer: "i".repeat(64),
            state: State::Degraded,
            renewing: true,
            queued: true,
            expires_in_ms: Some(u64::MAX),
            renew_in_ms: Some(u64::MAX),
            generation: u64::MAX,
            token_requests: u64::MAX,
            outcomes: Outcomes {
                issued: u64::MAX,
                transient: u64::MAX,
                credential: u64::MAX,
                request: u64::MAX,
            },
            gets: u64::MAX,
            gets_from_cache: u64::MAX,
            waiting: u64::MAX,
            narrowed: u64::MAX,
            last_error: Some(error()),
            credential: Some(credential.clone()),
            next_credential: Some(NextCredential { credential, refused: Some(error()) }),
            certificate_expires: Some(i64::MIN),
            clock_offset: Some(i64::MIN),
            explanation: Vec::new(),
        };
        let page = StatusPage { clients: vec![client; PAGE], more: true, notes: vec!["o".repeat(1000); 4] };
        let reply = Reply { id: u32::MAX, response: Response::Status(page) };
        let framed = encode(&reply).unwrap();
        assert_eq!(decode::<Reply>(&framed.expose()[4..]).unwrap(), reply);
    }
}
