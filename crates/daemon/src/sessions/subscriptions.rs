//! The subscriptions of one connection: what its caller was told last, and what there is to tell now.

use std::collections::HashMap;
use std::sync::Arc;

use tokenbroker_core::engine::Granted;
use tokenbroker_core::slots::{Cell, Watch};
use tokenbroker_core::time::Moment;
use tokenbroker_protocol::{Failure, GetToken, Response};

use crate::quotas::{self, Admission};
use crate::requests::{Outcome, Session};
use crate::shared::Shared;
use crate::subscribers::{Mailbox, Registration};

/// By the ids of the requests that began them.
pub(super) struct Subscriptions {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    by_id: HashMap<u32, Subscription>,
    /// Those whose first token is being waited for.
    waiting: HashMap<u32, (GetToken, Taken)>,
}

/// What a subscription takes of its user's quota.
pub(super) struct Taken {
    _counted: quotas::UnderWay,
    _held: quotas::Room,
}

impl Taken {
    /// As one more that is under way, with room for what is asked: a caller can make that as long as a frame.
    pub(super) fn for_subscription(admission: &Admission, get: &GetToken) -> Result<Self, Failure> {
        let texts = get.resource.iter().chain([&get.client]).chain(&get.scope).chain(&get.audience);
        let bytes = texts.map(|text| size_of::<String>() + text.len()).sum();
        Ok(Self { _counted: admission.begin()?, _held: admission.room(bytes)? })
    }
}

struct Subscription {
    get: GetToken,
    /// `None` if it was gone by the time that its first token was told; the first look ends it.
    watched: Option<Watched>,
    told: Option<Told>,
    _taken: Taken,
}

/// A token key that the event loop tells of.
struct Watched {
    watch: Watch,
    _registration: Registration,
}

/// A generation can be published again with an earlier expiry.
#[derive(PartialEq, Eq)]
struct Told {
    handle: u64,
    generation: u64,
    expires: Moment,
}

impl Told {
    fn of(granted: &Granted) -> Self {
        let Granted { handle, token, .. } = granted;
        Self { handle: *handle, generation: token.generation, expires: token.expires }
    }
}

impl Subscriptions {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let mailbox = shared.subscribers.mailbox();
        Self { shared, mailbox, by_id: HashMap::new(), waiting: HashMap::new() }
    }

    /// A subscription is asked for; its first token follows.
    pub(super) fn expect(&mut self, id: u32, get: GetToken, taken: Taken) {
        self.waiting.insert(id, (get, taken));
    }

    /// Whether a subscription with this id is there, or waited for.
    pub(super) fn has(&self, id: u32) -> bool {
        self.by_id.contains_key(&id) || self.waiting.contains_key(&id)
    }

    /// A request was answered: if it asked for a subscription, that begins with the token.
    ///
    /// Nothing can be missed: whatever is published after this is news, and what was published since the answer is told
    /// by the first look that this asks for.
    pub(super) fn answered(&mut self, session: &Session, id: u32, outcome: &Outcome) {
        // Nearly always nothing is waited for, and then no number is looked up.
        let waited_for = if self.waiting.is_empty() { None } else { self.waiting.remove(&id) };
        let Some((get, taken)) = waited_for else { return };
        let Outcome::Token { granted, .. } = outcome else { return };
        let watched = session.token_key(&get).ok().map(|cell| self.watch(&cell, id));
        let told = Some(Told::of(granted));
        self.by_id.insert(id, Subscription { get, watched, told, _taken: taken });
        self.mailbox.put(id);
    }

    /// Ends the subscription, and says whether there was one.
    pub(super) fn cancel(&mut self, id: u32) -> bool {
        let waited_for = self.waiting.remove(&id).is_some();
        self.by_id.remove(&id).is_some() || waited_for
    }

    /// Whether there can be no news.
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Waits for news.
    pub(super) async fn changed(&self) {
        self.mailbox.arrives().await;
    }

    /// What there is to tell now.
    pub(super) fn news(&mut self, session: &Session, now: Moment) -> Vec<(u32, Outcome)> {
        let changed = self.mailbox.take();
        changed.into_iter().filter_map(|id| Some((id, self.news_of(session, id, now)?))).collect()
    }

    fn news_of(&mut self, session: &Session, id: u32, now: Moment) -> Option<Outcome> {
        let subscription = self.by_id.get(&id)?;
        let cell = match session.token_key(&subscription.get) {
            Ok(cell) => cell,
            Err(failure) => return Some(self.end(id, failure)),
        };
        // The client's configuration changed so that its token is another.
        let handle = subscription.watched.as_ref().map(|watched| watched.watch.cell().handle());
        let watched = (handle != Some(cell.handle())).then(|| self.watch(&cell, id));
        let subscription = self.by_id.get_mut(&id)?;
        if watched.is_some() {
            subscription.watched = watched;
        }
        let Some(token) = cell.current(now) else {
            return subscription.told.take().map(|_| Response::Withdrawn.into());
        };
        let min_ttl_met = now.until(token.expires).as_millis() >= u128::from(subscription.get.min_ttl_ms);
        let granted = Granted { handle: cell.handle(), token, min_ttl_met };
        let told = Some(Told::of(&granted));
        if subscription.told == told {
            return None;
        }
        subscription.told = told;
        Some(session.hand_out(&subscription.get.client, granted, now))
    }

    fn end(&mut self, id: u32, failure: Failure) -> Outcome {
        self.by_id.remove(&id);
        failure.into()
    }

    fn watch(&self, cell: &Arc<Cell>, id: u32) -> Watched {
        // In this order: what the event loop hears of has somebody to be told.
        let registration = self.shared.subscribers.register(cell.handle(), &self.mailbox, id);
        Watched { watch: cell.watch(), _registration: registration }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokenbroker_core::config::{CallerLimits, Config};
    use tokenbroker_core::slots::{Published, Slots};
    use tokenbroker_ipc::{NoUnit, PeerIdentity, Units};
    use tokenbroker_keystore::{KeyStore, Options, StoreChoice};
    use tokenbroker_oauth::AccessToken;
    use tokenbroker_protocol::FailureCode;
    use tokenbroker_secret::SecretString;
    use tokio::sync::mpsc;

    use super::*;
    use crate::audit::{Audit, Sink};
    use crate::configuration::Files;
    use crate::key_store::KeyStoreThread;
    use crate::quotas::Quotas;
    use crate::shared::Host;

    /// Without a client.
    fn shared() -> Arc<Shared> {
        let state_dir = tempfile::tempdir().unwrap().path().to_owned();
        let host = Host {
            files: Files::In(state_dir.clone()),
            state_dir: state_dir.clone(),
            socket: None,
            http_socket: None,
            is_passed: false,
            is_system: false,
            started: Moment::BOOT,
        };
        let key_store = KeyStore::open(Options {
            choice: StoreChoice::EncryptedFile,
            prefer_keyring: false,
            state_dir,
            key_file: None,
            credentials_directory: None,
        });
        let key_store = KeyStoreThread::start(key_store.unwrap()).unwrap();
        let (slots, config) = (Arc::new(Slots::default()), Arc::new(Config::default()));
        let (ask, audit) = (mpsc::unbounded_channel().0, Audit::start(Sink::Off).unwrap());
        Arc::new(Shared::new([1; 16], slots, config, key_store, ask, audit, host))
    }

    fn granted() -> Granted {
        let token = Published {
            access_token: AccessToken::parse(SecretString::from("abc")).unwrap(),
            scope: None,
            generation: 1,
            expires: Moment::BOOT,
            serve_until: Moment::BOOT,
            lifetime: Duration::ZERO,
        };
        Granted { handle: 1, token: Arc::new(token), min_ttl_met: true }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_is_gone_when_its_first_token_is_told_is_said_to_be() {
        let shared = shared();
        let admission = Quotas::new(CallerLimits::default(), 1024, 990).admit(1000).unwrap();
        let units = Units { system: Err(NoUnit::None), user: Err(NoUnit::None) };
        let peer = PeerIdentity { uid: 1000, gid: 1000, groups: Vec::new(), pid: Some(1), units };
        let session = Session::new(peer, &admission, Arc::clone(&shared));
        let mut subscriptions = Subscriptions::new(shared);
        let get = GetToken { client: "gone".into(), ..GetToken::default() };
        let taken = Taken::for_subscription(&admission, &get).unwrap();
        subscriptions.expect(7, get, taken);

        let now = Moment::BOOT;
        subscriptions.answered(&session, 7, &Outcome::Token { granted: granted(), now });
        assert!(!subscriptions.is_empty());
        subscriptions.changed().await;
        match subscriptions.news(&session, now).as_slice() {
            [(7, Outcome::Response(Response::Failed(failure)))] => {
                assert_eq!(failure.code, FailureCode::Denied);
            }
            other => panic!("there are {} news", other.len()),
        }
        assert!(!subscriptions.has(7));
    }
}
