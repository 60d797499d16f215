//! The event loop: drives the engine of `tokenbroker-core` with the clock, HTTP, the key store and the callers.
//!
//! It owns all mutable state. What takes time runs as a task beside it and comes back as an event. How it takes a new
//! configuration is in `reload`, how tokens outlive it in `kept`.

mod credentials;
mod kept;
mod reload;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook_tokio::Signals;
use tokenbroker_core::config::{ClientName, Config};
use tokenbroker_core::engine::{Effect, Engine, Event, Granted, Refusal, WaiterId};
use tokenbroker_core::time::Now;
use tokenbroker_keystore::KeyStore;
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument;

use self::kept::{Keeping, Loaded, Written};
use self::reload::{Read, Reloads};
use crate::access::Resolution;
use crate::clock::{self, Alarm, WallClock};
use crate::configuration::Files;
use crate::convert;
use crate::http::Http;
use crate::kept_tokens::TokenFile;
use crate::key_store::{self, CallError};
use crate::log;
use crate::shared::{Ask, ReloadRefused, Report, Shared, Want};

/// After so many of each it is looked at the time and the signals again.
const AT_A_TIME: usize = 64;

/// The state of the event loop; see the [module](self).
#[derive(Debug)]
pub(crate) struct EventLoop<H> {
    engine: Engine,
    shared: Arc<Shared>,
    http: H,
    files: Files,
    own_uid: u32,
    alarm: Alarm,
    wall_clock: WallClock,
    waiting: HashMap<WaiterId, oneshot::Sender<Result<Granted, Refusal>>>,
    reloads: Reloads,
    keeping: Keeping,
    /// The names in rules that the host did not know at the last look-up.
    unknown: Vec<String>,
    asks: mpsc::UnboundedReceiver<Ask>,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    /// For the tasks beside the loop.
    report: mpsc::UnboundedSender<Outcome>,
}

/// What came of a task beside the loop.
#[derive(Debug)]
enum Outcome {
    Event(Event),
    /// The tokens that an earlier daemon kept were read.
    Loaded(Loaded),
    /// The tokens were written for a later one.
    Written(Written),
    /// The configuration was read.
    Read(Result<Read, ReloadRefused>),
    /// The names in a configuration were looked up again.
    Resolved {
        config: Arc<Config>,
        resolution: Resolution,
    },
}

impl<H: Http> EventLoop<H> {
    /// Takes a runtime with I/O and timers.
    pub(crate) fn new(
        engine: Engine,
        mut http: H,
        shared: Arc<Shared>,
        asks: mpsc::UnboundedReceiver<Ask>,
        files: Files,
        token_file: TokenFile,
        own_uid: u32,
    ) -> io::Result<Self> {
        let (report, outcomes) = mpsc::unbounded_channel();
        http.configure(&shared.config.load().issuers);
        Ok(Self {
            engine,
            shared,
            http,
            files,
            own_uid,
            alarm: Alarm::new()?,
            wall_clock: WallClock::new()?,
            waiting: HashMap::new(),
            reloads: Reloads::new(),
            keeping: Keeping::new(token_file),
            unknown: Vec::new(),
            asks,
            outcomes,
            report,
        })
    }

    /// Runs until a signal ends the daemon.
    ///
    /// # Errors
    ///
    /// If the timer or the signals fail, without which nothing would be renewed.
    pub(crate) async fn run(mut self, mut signals: Signals) -> io::Result<()> {
        if !self.shared.config.load().daemon.keep_tokens {
            // What an earlier daemon kept, which was allowed to.
            self.keep_tokens();
        }
        loop {
            self.carry_out_effects();
            self.alarm.set(self.engine.poll_timeout())?;
            tokio::select! {
                Some(ask) = self.asks.recv() => {
                    self.asked(ask);
                    self.take_what_waits().await;
                }
                Some(outcome) = self.outcomes.recv() => {
                    self.came_back(outcome);
                    self.take_what_waits().await;
                }
                rung = self.alarm.ring() => {
                    rung?;
                    self.engine.handle_timeout(clock::now());
                }
                set = self.wall_clock.is_set() => {
                    set?;
                    self.engine.handle(clock::now(), Event::WallClockSet);
                }
                signal = signals.next() => match signal {
                    Some(SIGHUP) => self.reload(None),
                    Some(SIGTERM | SIGINT | SIGQUIT) => {
                        self.keep_tokens_for_the_next().await;
                        return Ok(());
                    }
                    Some(_) => {}
                    None => return Err(io::Error::other("signals can't be received any more")),
                },
            }
        }
    }

    /// What has come together is taken together: setting the timer for each would cost more than taking it. What is to be
    /// done about one is begun before the next is taken, which may be another configuration.
    async fn take_what_waits(&mut self) {
        for _ in 0..AT_A_TIME {
            self.carry_out_effects();
            let asked = self.asks.try_recv().map(|ask| self.asked(ask)).is_ok();
            self.carry_out_effects();
            let came_back = self.outcomes.try_recv().map(|outcome| self.came_back(outcome)).is_ok();
            if !asked && !came_back {
                return;
            }
        }
        // What was begun beside the loop has its turn.
        tokio::task::yield_now().await;
    }

    fn asked(&mut self, ask: Ask) {
        let now = clock::now();
        match ask {
            Ask::Token { waiter, client, want, deadline, reply } => {
                self.waiting.insert(waiter, reply);
                self.engine.handle(
                    now,
                    match want {
                        Want::Current { narrowing, min_ttl } => {
                            Event::Get { waiter, client, narrowing, min_ttl, deadline }
                        }
                        Want::Newer { handle, generation } => {
                            Event::Rejected { waiter, client, handle, generation, deadline }
                        }
                        Want::Renewal => Event::Renew { waiter, client, deadline },
                    },
                );
            }
            Ask::Gone(waiter) => {
                if self.waiting.remove(&waiter).is_some() {
                    self.engine.handle(now, Event::Gone(waiter));
                }
            }
            Ask::Status { clients, explain, reply } => {
                let reports = clients.iter().filter_map(|client| self.report(client, explain, now));
                let _gone_meanwhile = reply.send(reports.collect());
            }
            Ask::Reload { reply } => self.reload(Some(reply)),
            Ask::CredentialsChanged { client, current, next, done } => {
                self.engine.handle(now, Event::CredentialsChanged { client, current, next });
                let _gone_meanwhile = done.send(());
            }
            Ask::Alive { reply } => {
                let _gone_meanwhile = reply.send(());
            }
            Ask::CredentialsMoved(store) => self.engine.handle(now, Event::CredentialsMoved(store)),
        }
    }

    fn report(&self, client: &ClientName, explain: bool, now: Now) -> Option<Report> {
        let status = self.engine.status(client.as_str(), now)?;
        let explanation = explain.then(|| self.engine.explain(client.as_str(), now)).flatten();
        Some(Report { status, explanation: explanation.unwrap_or_default() })
    }

    fn came_back(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Event(event) => self.engine.handle(clock::now(), event),
            Outcome::Loaded(loaded) => self.tokens_loaded(loaded),
            Outcome::Written(written) => self.tokens_written(written),
            Outcome::Read(result) => self.configuration_read(result),
            // The rules of a configuration that was replaced meanwhile don't count any more, and the new one has had
            // its own look-up.
            Outcome::Resolved { config, resolution } => {
                if Arc::ptr_eq(&config, &self.shared.config.load()) {
                    self.permit_what_is_known(resolution);
                }
            }
        }
    }

    fn carry_out_effects(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Answer { waiter, answer } => {
                if let Some(reply) = self.waiting.remove(&waiter) {
                    let _gone_meanwhile = reply.send(answer);
                }
            }
            Effect::Note(note) => log::note(&note),
            Effect::Published { handle } => self.shared.subscribers.changed(handle),
            Effect::Send { operation, issuer, request, identity } => {
                let span = tracing::debug_span!("exchange", issuer = issuer.name);
                let exchange = self.http.execute(&issuer, request, identity.as_ref()).instrument(span);
                self.beside(async move { Event::Response { operation, result: exchange.await } });
            }
            Effect::ListCredentials => self.with_key_store(
                |store| store.list(None),
                |result| {
                    let credentials =
                        |stored: Vec<_>| stored.iter().filter_map(convert::stored_credential).collect();
                    Event::Inventory(result.map(credentials).map_err(Into::into))
                },
            ),
            Effect::LoadTokens => self.load_tokens(),
            Effect::KeepTokens => self.keep_tokens(),
            Effect::LoadCredential { operation, client, for_tls } => self.with_key_store(
                move |store| credentials::load(store, &client, for_tls),
                move |result| Event::Credential { operation, result: result.map_err(Into::into) },
            ),
            Effect::Promote { client, version } => {
                self.shared.key_store.note_accepted(client.as_str(), &version);
                let name = client.clone();
                self.with_key_store(
                    move |store| store.promote(name.as_str(), &version),
                    move |result| Event::Promoted { client, result: result.map(drop).map_err(Into::into) },
                );
            }
            Effect::Mac { operation, client, version, algorithm, input } => self.with_key_store(
                move |store| {
                    let algorithm = convert::key_store_mac(algorithm);
                    store.authenticate(client.as_str(), &version, algorithm, input.expose())
                },
                move |result| Event::Signed { operation, result: result.map_err(Into::into) },
            ),
            Effect::Sign { operation, client, version, algorithm, input } => self.with_key_store(
                move |store| {
                    store.sign(
                        client.as_str(),
                        &version,
                        convert::key_store_algorithm(algorithm),
                        input.expose(),
                    )
                },
                move |result| Event::Signed { operation, result: result.map_err(Into::into) },
            ),
        }
    }

    /// Has the key store do something, and hands the engine what came of it.
    fn with_key_store<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut KeyStore) -> Result<T, tokenbroker_keystore::Error> + Send + 'static,
        event: impl FnOnce(Result<T, CallError>) -> Event + 'static,
    ) {
        let shared = Arc::clone(&self.shared);
        self.beside(async move { event(shared.key_store.call(key_store::QUICK, job).await) });
    }

    /// Runs a task beside the loop, which takes what comes of it.
    fn beside<T: Into<Outcome>>(&self, task: impl Future<Output = T> + 'static) {
        let report = self.report.clone();
        tokio::task::spawn_local(async move {
            let _stopped_meanwhile = report.send(task.await.into());
        });
    }
}

impl From<Event> for Outcome {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}
