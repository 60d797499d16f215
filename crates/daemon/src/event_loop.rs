//! The event loop: drives the engine of `tokenbroker-core` with the clock, HTTP, the key store and the callers.
//!
//! It owns all mutable state. What takes time runs as a task beside it and comes back as an event.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook_tokio::Signals;
use tokenbroker_core::config::Config;
use tokenbroker_core::engine::{Credential, Effect, Engine, Event, Granted, Note, Refusal, WaiterId};
use tokenbroker_keystore::{Current, KeyStore};
use tokio::sync::{mpsc, oneshot};

use crate::access::{self, Resolution};
use crate::clock::{self, Alarm};
use crate::configuration::Files;
use crate::convert;
use crate::http::Http;
use crate::http::Reqwest;
use crate::key_store::{self, CallError};
use crate::log;
use crate::shared::{Ask, ReloadRefused, Shared, Want};
use crate::systemd;

/// The state of the event loop; see the [module](self).
#[derive(Debug)]
pub(crate) struct EventLoop {
    engine: Engine,
    shared: Arc<Shared>,
    http: Reqwest,
    files: Files,
    own_uid: u32,
    alarm: Alarm,
    waiting: HashMap<WaiterId, oneshot::Sender<Result<Granted, Refusal>>>,
    asks: mpsc::UnboundedReceiver<Ask>,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    /// For the tasks beside the loop.
    report: mpsc::UnboundedSender<Outcome>,
}

/// What came of a task beside the loop.
#[derive(Debug)]
enum Outcome {
    Event(Event),
    /// A configuration was read; `reply` is the administrator who asked for it.
    Read {
        result: Result<(Config, Resolution), ReloadRefused>,
        reply: Option<oneshot::Sender<Result<(), ReloadRefused>>>,
    },
    /// The names in a configuration were looked up again.
    Resolved {
        config: Arc<Config>,
        resolution: Resolution,
    },
}

impl EventLoop {
    /// Takes a runtime with I/O and timers.
    pub(crate) fn new(
        engine: Engine,
        shared: Arc<Shared>,
        asks: mpsc::UnboundedReceiver<Ask>,
        files: Files,
        own_uid: u32,
    ) -> io::Result<Self> {
        let (report, outcomes) = mpsc::unbounded_channel();
        let mut http = Reqwest::default();
        http.configure(shared.config.load().issuers.values());
        Ok(Self {
            engine,
            shared,
            http,
            files,
            own_uid,
            alarm: Alarm::new()?,
            waiting: HashMap::new(),
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
        loop {
            self.carry_out_effects();
            self.alarm.set(self.engine.poll_timeout())?;
            tokio::select! {
                Some(ask) = self.asks.recv() => self.asked(ask),
                Some(outcome) = self.outcomes.recv() => self.came_back(outcome),
                rung = self.alarm.ring() => {
                    rung?;
                    self.engine.handle_timeout(clock::now());
                }
                signal = signals.next() => match signal {
                    Some(SIGHUP) => self.read_configuration(None),
                    Some(SIGTERM | SIGINT | SIGQUIT) => return Ok(()),
                    Some(_) => {}
                    None => return Err(io::Error::other("signals can't be received any more")),
                },
            }
        }
    }

    fn asked(&mut self, ask: Ask) {
        let now = clock::now();
        match ask {
            Ask::Token { waiter, client, want, deadline, reply } => {
                self.waiting.insert(waiter, reply);
                self.engine.handle(
                    now,
                    match want {
                        Want::Current { min_ttl } => Event::Get { waiter, client, min_ttl, deadline },
                        Want::Renewal => Event::Renew { waiter, client, deadline },
                    },
                );
            }
            Ask::Gone(waiter) => {
                if self.waiting.remove(&waiter).is_some() {
                    self.engine.handle(now, Event::Gone(waiter));
                }
            }
            Ask::Status { clients, reply } => {
                let statuses = clients.iter().filter_map(|client| self.engine.status(client.as_str(), now));
                let _gone_meanwhile = reply.send(statuses.collect());
            }
            Ask::Reload { reply } => self.read_configuration(Some(reply)),
            Ask::CredentialStored(credential) => self.engine.handle(now, Event::CredentialStored(credential)),
            Ask::CredentialsRemoved { client, done } => {
                self.engine.handle(now, Event::CredentialsRemoved(client));
                let _gone_meanwhile = done.send(());
            }
        }
    }

    fn came_back(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Event(event) => self.engine.handle(clock::now(), event),
            Outcome::Read { result, reply } => self.configuration_read(result, reply),
            // The rules of a configuration that was replaced meanwhile don't count any more, and the new one has had
            // its own look-up.
            Outcome::Resolved { config, resolution } => {
                if Arc::ptr_eq(&config, &self.shared.config.load()) {
                    self.permit(resolution);
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
            Effect::Note(note) => self.note(&note),
            Effect::Send { operation, issuer, request } => {
                let exchange = self.http.execute(&issuer, request);
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
            Effect::LoadCredential { operation, client } => self.with_key_store(
                move |store| store.current(client.as_str()),
                move |result| {
                    let result = result.map(|current| current.map(credential)).map_err(Into::into);
                    Event::Credential { operation, result }
                },
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

    /// Runs a task beside the loop that ends in an event.
    fn beside(&self, task: impl Future<Output = Event> + 'static) {
        let report = self.report.clone();
        tokio::task::spawn_local(async move {
            let _stopped_meanwhile = report.send(Outcome::Event(task.await));
        });
    }

    fn note(&self, note: &Note) {
        log::note(note);
    }

    /// Reads the configuration again and resolves its names, off the loop.
    fn read_configuration(&self, reply: Option<oneshot::Sender<Result<(), ReloadRefused>>>) {
        systemd::reloading();
        let (files, report, own_uid) = (self.files.clone(), self.report.clone(), self.own_uid);
        tokio::task::spawn_blocking(move || {
            let result = files.read().map_err(|refused| ReloadRefused {
                message: refused.to_string(),
                hint: Some("nothing was changed; correct this and reload again".into()),
            });
            let result = result.map(|config| {
                let resolution = access::resolve(&config, own_uid);
                (config, resolution)
            });
            let _stopped_meanwhile = report.send(Outcome::Read { result, reply });
        });
    }

    /// Takes a new configuration whole, or not at all.
    fn configuration_read(
        &mut self,
        result: Result<(Config, Resolution), ReloadRefused>,
        reply: Option<oneshot::Sender<Result<(), ReloadRefused>>>,
    ) {
        let outcome = result.and_then(|(config, resolution)| self.take(config, resolution));
        match &outcome {
            Ok(()) => tracing::info!("the configuration was reloaded"),
            Err(refused) => tracing::error!("the configuration was not reloaded: {refused}"),
        }
        systemd::ready();
        if let Some(reply) = reply {
            let _gone_meanwhile = reply.send(outcome);
        }
    }

    fn take(&mut self, config: Config, resolution: Resolution) -> Result<(), ReloadRefused> {
        let changed = self.shared.config.load().restart_needed(&config);
        if !changed.is_empty() {
            return Err(ReloadRefused {
                message: format!("changing {} takes a restart", changed.join(" and ")),
                hint: Some("nothing was changed; restart tokenbrokerd to take the new configuration".into()),
            });
        }
        self.http.configure(config.issuers.values());
        self.engine.handle(clock::now(), Event::Configured(Box::new(config.clone())));
        self.shared.config.store(Arc::new(config));
        self.permit(resolution);
        Ok(())
    }

    /// Says who may have what from now on. Names that are not known are looked up again later.
    pub(crate) fn permit(&mut self, resolution: Resolution) {
        self.shared.admin.store(Arc::new(resolution.admin));
        for (name, access) in resolution.clients {
            if let Some(slot) = self.shared.slots.find(name.as_str()) {
                slot.permit(access);
            }
        }
        if resolution.unknown.is_empty() {
            return;
        }
        tracing::warn!(
            "not known on this host: {}; rules that name them permit nobody until they are (looked up again in {} s)",
            resolution.unknown.join(", "),
            access::RETRY.as_secs()
        );
        self.resolve_later();
    }

    /// Looks the names up again after a while.
    pub(crate) fn resolve_later(&self) {
        let (report, own_uid) = (self.report.clone(), self.own_uid);
        let config = self.shared.config.load_full();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(access::RETRY).await;
            let looked_up = Arc::clone(&config);
            let resolved = tokio::task::spawn_blocking(move || access::resolve(&looked_up, own_uid)).await;
            if let Ok(resolution) = resolved {
                let _stopped_meanwhile = report.send(Outcome::Resolved { config, resolution });
            }
        });
    }
}

fn credential(current: Current) -> Credential {
    match current {
        Current::Secret { version, secret } => Credential::Secret { version, secret },
        Current::Key { version, kid, algorithm: _ } => Credential::Key { version, kid },
    }
}
