//! How a new configuration is taken: read and resolved beside the event loop, then taken whole or not at all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokenbroker_core::config::Config;
use tokenbroker_core::engine::Event;
use tokenbroker_protocol::FailureCode;
use tokenbroker_secret::heap;
use tokio::sync::oneshot;
use tokio::task::JoinError;

use super::{EventLoop, Outcome};
use crate::access::{self, Resolution};
use crate::audit;
use crate::clock;
use crate::http::Http;
use crate::shared::ReloadRefused;
use crate::startup::with_source;
use crate::systemd;
use crate::unit_rules::{self, Warning};

/// How long reading a configuration and looking up its names may take. One that hangs must not keep later ones out.
const DEADLINE: Duration = Duration::from_secs(60);

/// The reloads that were asked for, each with the administrator who waits for it; the first one is under way. One
/// after the other: otherwise an older configuration could be taken after a newer one.
pub(super) type Reloads = VecDeque<Option<oneshot::Sender<Result<(), ReloadRefused>>>>;

/// A configuration that was read, and what had to be looked up and opened for it.
#[derive(Debug)]
pub(super) struct Read {
    config: Config,
    resolution: Resolution,
    audit: audit::Sink,
}

impl<H: Http> EventLoop<H> {
    /// Queues a reload.
    pub(super) fn reload(&mut self, reply: Option<oneshot::Sender<Result<(), ReloadRefused>>>) {
        self.reloads.push_back(reply);
        if self.reloads.len() == 1 {
            self.read_configuration();
        }
    }

    /// Reads the configuration again and resolves its names, off the loop.
    fn read_configuration(&self) {
        systemd::reloading();
        let (files, report, own_uid) = (self.files.clone(), self.report.clone(), self.own_uid);
        let before = self.shared.config.load_full();
        let read = tokio::task::spawn_blocking(move || {
            let config = files.read().map_err(|refused| ReloadRefused {
                message: refused.to_string(),
                hint: Some("nothing was changed; correct this and reload again".into()),
            })?;
            let config = config.sharing(&before);
            keeps_certificates(&before, &config)?;
            let resolution = access::resolve(&config, own_uid);
            let audit = audit::Sink::open(&config.daemon.audit)
                .map_err(|error| ReloadRefused { message: with_source(&error), hint: error.hint() })?;
            heap::give_back();
            Ok(Read { config, resolution, audit })
        });
        tokio::task::spawn_local(async move {
            let refused = |message: &str| Err(ReloadRefused { message: message.into(), hint: None });
            let result = match tokio::time::timeout(DEADLINE, read).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => refused("reading the configuration panicked; this is a fault of tokenbrokerd"),
                Err(_) => refused("reading the configuration, or looking up a name in it, takes too long"),
            };
            let _stopped_meanwhile = report.send(Outcome::Read(result));
        });
    }

    /// Takes the configuration that was read, tells who asked for it, and goes on with the next reload.
    pub(super) fn configuration_read(&mut self, result: Result<Read, ReloadRefused>) {
        let outcome = result.and_then(|read| self.take(read));
        match &outcome {
            Ok(()) => tracing::info!("the configuration was reloaded"),
            Err(refused) => {
                tracing::error!(hint = refused.hint, "the configuration was not reloaded: {refused}")
            }
        }
        systemd::ready();
        match self.reloads.pop_front() {
            Some(Some(reply)) => {
                let _gone_meanwhile = reply.send(outcome);
            }
            Some(None) => self.shared.audit.reloaded_by_signal(outcome.err().map(|_| FailureCode::Refused)),
            None => {}
        }
        if !self.reloads.is_empty() {
            self.read_configuration();
        }
    }

    fn take(&mut self, read: Read) -> Result<(), ReloadRefused> {
        let Read { config, resolution, audit } = read;
        let changed = self.shared.config.load().restart_needed(&config);
        if !changed.is_empty() {
            return Err(ReloadRefused {
                message: format!("changing {} takes a restart", changed.join(" and ")),
                hint: Some("nothing was changed; restart tokenbrokerd to take the new configuration".into()),
            });
        }
        self.http.configure(&config.issuers);
        let (config, access) = (Arc::new(config), resolution.clients.clone());
        self.engine.handle(clock::now(), Event::Configured { config: Arc::clone(&config), access });
        self.shared.quotas.limit(config.daemon.limits);
        self.shared.config.store(config);
        self.shared.audit.configured(audit);
        self.unknown.clear();
        self.warn_of_units();
        self.permit_what_is_known(resolution);
        Ok(())
    }

    /// Says what is to be known of rules that name units.
    pub(crate) fn warn_of_units(&self) {
        for Warning { finding, remedy } in unit_rules::warnings(&self.shared.config.load()) {
            tracing::warn!(hint = remedy, "{finding}");
        }
    }

    /// Says who may have what from now on. Names that are not known are looked up again later.
    pub(crate) fn permit_what_is_known(&mut self, resolution: Resolution) {
        let unknown = &resolution.unknown;
        if !unknown.is_empty() {
            // Said once for each configuration, though it is looked up again and again.
            if *unknown == self.unknown {
                tracing::debug!("still not known on this host: {}", unknown.join(", "));
            } else {
                tracing::warn!(
                    "not known on this host: {}; rules that name them permit nobody until they are (looked up again \
                     every {} s)",
                    unknown.join(", "),
                    access::RETRY.as_secs()
                );
            }
            self.resolve_later();
        }
        self.unknown.clone_from(unknown);
        self.permit(resolution);
    }

    /// Says who may have what from now on.
    pub(crate) fn permit(&mut self, resolution: Resolution) {
        self.shared.admin.store(Arc::new(resolution.admin));
        for (name, access) in resolution.clients {
            if let Some(slot) = self.shared.slots.find(name.as_str()) {
                slot.permit(access);
            }
        }
        self.shared.subscribers.all_changed();
    }

    /// Looks the names up again after a while.
    pub(crate) fn resolve_later(&self) {
        let (config, own_uid) = (self.shared.config.load_full(), self.own_uid);
        let look_up = tokio::task::spawn_local(async move {
            tokio::time::sleep(access::RETRY).await;
            tokio::task::spawn_blocking(move || access::resolve(&config, own_uid)).await
        });
        self.permit_when_resolved(async { look_up.await.and_then(|resolved| resolved) });
    }

    /// Takes the outcome of a look-up under way when it is there.
    pub(crate) fn permit_when_resolved(
        &self,
        look_up: impl Future<Output = Result<Resolution, JoinError>> + 'static,
    ) {
        let (report, config) = (self.report.clone(), self.shared.config.load_full());
        tokio::task::spawn_local(async move {
            if let Ok(resolution) = look_up.await {
                let _stopped_meanwhile = report.send(Outcome::Resolved { config, resolution });
            }
        });
    }
}

/// A certificate that could be used must not be lost for a file that is being written or was misplaced. One that never could
/// be used concerns its client alone.
fn keeps_certificates(before: &Config, new: &Config) -> Result<(), ReloadRefused> {
    for (name, client) in &new.clients {
        let Some(certificates) = &client.certificates else { continue };
        let Err(problem) = &certificates.content else { continue };
        let old = before.clients.get(name).and_then(|client| client.certificates.as_ref());
        if old.is_some_and(|old| old.content.is_ok()) {
            return Err(ReloadRefused {
                message: format!("certificate {} of [clients.{name}]: {problem}", certificates.path.display()),
                hint: Some(
                    "nothing was changed, and the certificate read before is shown further; put one in PEM there and \
                     reload again, or remove the client"
                        .into(),
                ),
            });
        }
    }
    Ok(())
}
