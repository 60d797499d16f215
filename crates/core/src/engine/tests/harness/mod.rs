//! The world around the engine: two clocks, an authorization server, a key store, callers.

mod config;
mod server;
mod store;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::engine::{
    ClientStatus, Effect, Engine, Event, Granted, KeptToken, Note, Reason, Refusal, State, TlsIdentity,
    TransportFailure, TransportKind, WaiterId,
};
use crate::narrowing::Narrowing;
use crate::time::{Moment, Now};

pub(super) use self::config::{client, config, discovering, issuer, key_client, name, narrowing};
pub(super) use self::server::{Reply, Server};
pub(super) use self::store::KeyStore;

/// How long a caller waits unless a test says otherwise.
pub(super) const WAIT: Duration = Duration::from_secs(10);

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) server: Server,
    pub(super) store: KeyStore,
    pub(super) notes: Vec<(Moment, Note)>,
    /// The tokens that were written down, and when that was.
    pub(super) kept: Vec<KeptToken>,
    pub(super) kept_at: Vec<Moment>,
    /// Handles of token keys that are watched, each time what is published of them changed.
    pub(super) published: Vec<u64>,
    /// The version of a key whose certificate makes the server break off.
    pub(super) breaks_off_with: Option<&'static str>,
    /// What was shown in TLS.
    pub(super) shown: Vec<TlsIdentity>,
    /// What the wall clock says at boot.
    pub(super) unix_at_boot: u64,
    pub(super) now: Moment,
    start: Moment,
    answers: HashMap<WaiterId, (Moment, Result<Granted, Refusal>)>,
    /// What comes back to the engine, and when.
    coming: BTreeMap<(Moment, u64), Event>,
    sequence: u64,
    wake_ups: u64,
}

impl World {
    /// A host that has been up for an hour, where each client has a credential that the server accepts.
    pub(super) fn new(config: &Config) -> Self {
        Self::with_store(config, KeyStore::with_secrets(config.clients.keys()))
    }

    pub(super) fn with_store(config: &Config, store: KeyStore) -> Self {
        let start = Moment::BOOT.after(minutes(60));
        let now = Now { boot: start, unix: 1_800_000_000 };
        Self {
            engine: Engine::new(config, [7; 32], now),
            server: Server::default(),
            store,
            notes: Vec::new(),
            kept: Vec::new(),
            kept_at: Vec::new(),
            published: Vec::new(),
            breaks_off_with: None,
            shown: Vec::new(),
            unix_at_boot: now.unix - 3600,
            now: start,
            start,
            answers: HashMap::new(),
            coming: BTreeMap::new(),
            sequence: 0,
            wake_ups: 0,
        }
    }

    pub(super) fn clocks(&self) -> Now {
        Now { boot: self.now, unix: self.unix_at_boot + self.since_boot().as_secs() }
    }

    fn since_boot(&self) -> Duration {
        self.now.since(Moment::BOOT)
    }

    /// This long after the world began.
    pub(super) fn at(&self, age: Duration) -> Moment {
        self.start.after(age)
    }

    /// Lets time pass, from wake-up to wake-up.
    pub(super) fn run(&mut self, duration: Duration) {
        self.run_until(self.now.after(duration));
    }

    pub(super) fn run_until(&mut self, end: Moment) {
        while self.step(end) {}
        self.now = self.now.max(end);
    }

    /// Lets time pass until something holds, for a day at most.
    pub(super) fn run_until_it_holds(&mut self, mut holds: impl FnMut(&Self) -> bool) {
        let end = self.now.after(minutes(24 * 60));
        while !holds(self) {
            assert!(self.step(end), "it still does not hold after a day");
        }
    }

    /// The host is suspended: time passes and nothing happens.
    pub(super) fn suspend(&mut self, duration: Duration) {
        self.carry_out_effects();
        self.now = self.now.after(duration);
    }

    /// Does what happens next, if that is before `end`.
    pub(super) fn step(&mut self, end: Moment) -> bool {
        self.carry_out_effects();
        let arrival = self.coming.first_key_value().map(|((at, _), _)| *at);
        let timeout = self.engine.poll_timeout();
        let Some(next) = arrival.into_iter().chain(timeout).min().filter(|next| *next <= end) else {
            return false;
        };
        self.wake_ups = if next <= self.now { self.wake_ups + 1 } else { 0 };
        assert!(self.wake_ups < 500_000, "time stands still");
        self.now = self.now.max(next);
        match self.coming.first_entry().filter(|entry| entry.key().0 <= self.now) {
            Some(entry) => {
                let event = entry.remove();
                self.engine.handle(self.clocks(), event);
            }
            None => self.engine.handle_timeout(self.clocks()),
        }
        self.carry_out_effects();
        true
    }

    /// Something happens at once.
    pub(super) fn happens(&mut self, event: Event) {
        self.engine.handle(self.clocks(), event);
        self.carry_out_effects();
    }

    pub(super) fn reload(&mut self, config: &Config) {
        self.happens(Event::Configured { config: Arc::new(config.clone()), access: BTreeMap::new() });
    }

    /// A credential is stored through the broker.
    pub(super) fn set_secret(&mut self, client: &str, secret: &str) {
        self.store.set_secret(client, secret);
        self.credentials_changed(client);
    }

    /// A next secret is stored through the broker.
    pub(super) fn set_next_secret(&mut self, client: &str, secret: &str) {
        self.store.set_next_secret(client, secret);
        self.credentials_changed(client);
    }

    pub(super) fn credentials_changed(&mut self, client: &str) {
        let (current, next) = self.store.stored(client);
        self.happens(Event::CredentialsChanged { client: name(client), current, next });
    }

    pub(super) fn remove_credentials(&mut self, client: &str) {
        self.store.remove(client);
        self.credentials_changed(client);
    }

    /// A caller asks as sessions do: the slot first, the engine if there is nothing in it.
    pub(super) fn get(&mut self, client: &str) -> WaiterId {
        self.get_with(client, Duration::ZERO, WAIT)
    }

    pub(super) fn get_with(&mut self, client: &str, min_ttl: Duration, wait: Duration) -> WaiterId {
        let waiter = self.next_waiter();
        let slot = self.engine.slots().find(client);
        let current = slot.as_ref().and_then(|slot| Some((slot.handle(), slot.current(self.now)?)));
        if let Some((handle, token)) = current.filter(|(_, token)| self.now.until(token.expires) >= min_ttl) {
            self.answered(waiter, Ok(Granted { handle, token, min_ttl_met: true }));
            return waiter;
        }
        let deadline = self.now.after(wait);
        let narrowing = Narrowing::default();
        self.happens(Event::Get { waiter, client: name(client), narrowing, min_ttl, deadline });
        waiter
    }

    /// A caller asks for a part of the scope.
    pub(super) fn get_scope(&mut self, client: &str, scope: &str) -> WaiterId {
        let waiter = self.next_waiter();
        let narrowing = narrowing(scope);
        let slot = self.engine.slots().find(client).expect("the client is configured");
        let cell = slot.narrowed(&narrowing, self.now);
        if let Some((handle, token)) = cell.and_then(|cell| Some((cell.handle(), cell.current(self.now)?))) {
            self.answered(waiter, Ok(Granted { handle, token, min_ttl_met: true }));
            return waiter;
        }
        let (min_ttl, deadline) = (Duration::ZERO, self.now.after(WAIT));
        self.happens(Event::Get { waiter, client: name(client), narrowing, min_ttl, deadline });
        waiter
    }

    /// A caller says that a resource refused a token.
    pub(super) fn reject(&mut self, client: &str, handle: u64, generation: u64) -> WaiterId {
        let waiter = self.next_waiter();
        let deadline = self.now.after(WAIT);
        self.happens(Event::Rejected { waiter, client: name(client), handle, generation, deadline });
        waiter
    }

    /// The daemon is killed and started again; callers are gone.
    pub(super) fn restart(&mut self, config: &Config) {
        self.coming.clear();
        self.engine = Engine::new(config, [9; 32], self.clocks());
        self.carry_out_effects();
    }

    pub(super) fn renew(&mut self, client: &str) -> WaiterId {
        let waiter = self.next_waiter();
        let deadline = self.now.after(WAIT);
        self.happens(Event::Renew { waiter, client: name(client), deadline });
        waiter
    }

    /// What a caller was answered, if it was.
    pub(super) fn answer(&self, waiter: WaiterId) -> Option<&Result<Granted, Refusal>> {
        self.answers.get(&waiter).map(|(_, answer)| answer)
    }

    pub(super) fn answered_at(&self, waiter: WaiterId) -> Option<Moment> {
        self.answers.get(&waiter).map(|(at, _)| *at)
    }

    #[track_caller]
    pub(super) fn granted(&self, waiter: WaiterId) -> &Granted {
        self.answer(waiter).expect("an answer").as_ref().expect("a token")
    }

    #[track_caller]
    pub(super) fn refused(&self, waiter: WaiterId) -> &Refusal {
        self.answer(waiter).expect("an answer").as_ref().expect_err("a refusal")
    }

    #[track_caller]
    pub(super) fn assert_blocked(&self, waiter: WaiterId) {
        assert_eq!(self.refused(waiter).reason, Reason::Blocked);
    }

    pub(super) fn status(&self, client: &str) -> ClientStatus {
        self.engine.status(client, self.clocks()).expect("the client is configured")
    }

    pub(super) fn state(&self, client: &str) -> State {
        self.status(client).state
    }

    /// When the server saw token requests of a client, since the world began.
    pub(super) fn requests_of(&self, client: &str) -> Vec<Duration> {
        let requests = self.server.requests.iter().filter(|request| request.client_id == client);
        requests.map(|request| request.at.since(self.start)).collect()
    }

    /// The pauses between token requests of a client.
    pub(super) fn pauses_of(&self, client: &str) -> Vec<Duration> {
        self.requests_of(client).windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    fn next_waiter(&mut self) -> WaiterId {
        self.sequence += 1;
        WaiterId(self.sequence)
    }

    pub(super) fn carry_out_effects(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Answer { waiter, answer } => self.answered(waiter, answer),
            Effect::Note(note) => self.notes.push((self.now, note)),
            Effect::Published { handle } => self.published.push(handle),
            Effect::LoadTokens => self.comes_back(self.store.latency, Event::Restored(self.kept.clone())),
            Effect::KeepTokens => {
                self.kept = self.engine.tokens_to_keep(self.clocks()).iter().map(KeptToken::from).collect();
                self.kept_at.push(self.now);
            }
            Effect::ListCredentials => {
                let result = self.store.list();
                self.comes_back(self.store.latency, Event::Inventory(result));
            }
            Effect::Promote { client, version } => {
                let result = self.store.promote(&client, &version);
                self.comes_back(self.store.latency, Event::Promoted { client, result });
            }
            Effect::LoadCredential { operation, client, .. } => {
                let result = self.store.load(&client);
                self.comes_back(self.store.latency, Event::Credential { operation, result });
            }
            Effect::Sign { operation, client, version, .. }
            | Effect::Mac { operation, client, version, .. } => {
                let result = self.store.sign(&client, &version);
                self.comes_back(self.store.latency, Event::Signed { operation, result });
            }
            Effect::Send { operation, issuer, request, identity } => {
                let breaks_off =
                    identity.as_ref().is_some_and(|one| self.breaks_off_with == Some(&*one.version));
                self.shown.extend(identity);
                if breaks_off {
                    let kind = TransportKind::Tls;
                    let message = "the server broke off".into();
                    let result = Err(TransportFailure { kind, message, hint: None });
                    return self.comes_back(self.server.latency, Event::Response { operation, result });
                }
                let (delay, result) = self.server.receive(self.clocks(), &issuer, &request);
                self.comes_back(delay, Event::Response { operation, result });
            }
        }
    }

    fn comes_back(&mut self, delay: Duration, event: Event) {
        self.sequence += 1;
        self.coming.insert((self.now.after(delay), self.sequence), event);
    }

    fn answered(&mut self, waiter: WaiterId, answer: Result<Granted, Refusal>) {
        if let Ok(granted) = &answer {
            assert!(self.now < granted.token.serve_until, "a token was served for too long");
        }
        let before = self.answers.insert(waiter, (self.now, answer));
        assert!(before.is_none(), "{waiter:?} was answered twice");
    }
}
