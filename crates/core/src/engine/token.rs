//! One token key: its renewal clock and its current token.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tokenbroker_oauth::{AccessToken, Scope};

use super::attempt::Stage;
use super::failure::Failure;
use super::retry::Retry;
use super::timers::Due;
use super::{Effect, Engine, Note, Refusal, WaiterId};
use crate::config::{self, ClientName};
use crate::slots::Published;
use crate::time::{Moment, Now};

/// A token on its last seconds would expire on its way to the resource.
const SERVING_MARGIN: Duration = Duration::from_secs(5);

/// Renewals are spread over this part of the lifetime, so that equal expiries don't stay equal.
const SPREAD: f64 = 0.1;

/// Tokens that live shorter than this are renewed at half their lifetime.
const SHORT_LIFETIME: Duration = Duration::from_secs(60);

/// A renewal that nobody waits for starts no sooner than this after the last one, whatever the lifetime.
pub(super) const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// The state of one token key.
#[derive(Debug)]
pub(super) struct TokenState {
    pub(super) client: ClientName,
    pub(super) stage: Stage,
    /// When the next attempt is due; only while none is under way.
    pub(super) due: Option<Moment>,
    /// The current token, expired or not.
    pub(super) held: Option<Arc<Published>>,
    pub(super) generation: u64,
    pub(super) last_failure: Option<Failure>,
    pub(super) retry: Retry,
    pub(super) waiters: BTreeSet<WaiterId>,
    /// The credential or the configuration changed since the request under way was sent.
    pub(super) again: bool,
}

impl TokenState {
    pub(super) fn new(client: ClientName) -> Self {
        Self {
            client,
            stage: Stage::Idle,
            due: None,
            held: None,
            generation: 0,
            last_failure: None,
            retry: Retry::default(),
            waiters: BTreeSet::new(),
            again: false,
        }
    }

    pub(super) fn servable(&self, now: Moment) -> Option<&Arc<Published>> {
        self.held.as_ref().filter(|token| now < token.serve_until)
    }

    /// Nothing is due before it is known which clients have a credential.
    pub(super) fn awaits_inventory(&self) -> bool {
        matches!(self.stage, Stage::Idle) && self.due.is_none()
    }

    /// Nothing to serve, and trying again will not help until somebody changes something.
    pub(super) fn is_blocked(&self, now: Moment) -> bool {
        self.servable(now).is_none() && self.last_failure.as_ref().is_some_and(Failure::blocks)
    }
}

/// A token as it comes out of a reply.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) access_token: AccessToken,
    /// `None` if the reply did not say.
    pub(super) lifetime: Option<Duration>,
    pub(super) scope: Option<Scope>,
    pub(super) narrowed: bool,
    /// Lifetime counts from the request: the reply may have taken long.
    pub(super) requested_at: Moment,
}

impl Engine {
    /// Moves the time of the next attempt.
    pub(super) fn set_due(&mut self, handle: u64, due: Option<Moment>) {
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        if let Some(old) = std::mem::replace(&mut token.due, due) {
            self.timers.remove(old, Due::Token(handle));
        }
        if let Some(due) = due {
            self.timers.add(due, Due::Token(handle));
        }
    }

    /// The key store has been listed: the client is fetched if it has a credential.
    pub(super) fn inventory_told(&mut self, now: Now, handle: u64, has_credential: bool) {
        if has_credential {
            return self.set_due(handle, Some(now.boot));
        }
        let Some(client) = self.client_of(handle) else { return };
        let failure = Failure::no_credential(client);
        self.attempt_failed(now, handle, failure);
    }

    /// It is time for the next attempt: the token key queues for its turn.
    pub(super) fn token_due(&mut self, now: Now, handle: u64) {
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        token.due = None;
        if !matches!(token.stage, Stage::Idle) {
            return;
        }
        let urgent = !token.waiters.is_empty();
        token.stage = Stage::Queued { urgent };
        self.queue(now, handle, urgent);
    }

    /// A new token: it is published, its renewal planned, and whoever waits gets it.
    pub(super) fn issued(&mut self, now: Now, handle: u64, issued: Issued) {
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        let Some(client) = self.clients.get(&token.client) else { return };
        let issuer = &client.config.issuer;
        let lifetime = issued.lifetime.unwrap_or(issuer.default_lifetime).min(issuer.max_lifetime);
        let serve_until = issued.requested_at.after(lifetime - SERVING_MARGIN.min(lifetime / 10));
        if serve_until <= now.boot {
            return self.attempt_failed(now, handle, Failure::late_reply());
        }
        let interval = renewal_interval(lifetime, client.config.renew_at, &mut self.random);
        token.generation += 1;
        let published = Arc::new(Published {
            access_token: issued.access_token,
            scope: issued.scope.as_ref().map(Scope::to_string),
            generation: token.generation,
            expires: issued.requested_at.after(lifetime),
            serve_until,
            lifetime,
        });
        token.held = Some(Arc::clone(&published));
        token.last_failure = None;
        token.retry = Retry::default();
        client.slot.publish(Some(published));
        self.effects.push_back(Effect::Note(Note::Issued {
            client: token.client.clone(),
            generation: token.generation,
            lifetime,
            assumed: issued.lifetime.is_none(),
            narrowed_to: issued.scope.filter(|_| issued.narrowed),
        }));
        let again = std::mem::take(&mut token.again);
        let due = if again { now.boot } else { issued.requested_at.after(interval) };
        self.set_due(handle, Some(due));
        self.answer_waiters(now, handle);
    }

    /// An attempt failed: when the next one is due depends on what kind of failure it was.
    pub(super) fn attempt_failed(&mut self, now: Now, handle: u64, failure: Failure) {
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        let Some(client) = self.clients.get(&token.client) else { return };
        if std::mem::take(&mut token.again) {
            // What failed is what was there before the change; that says nothing about the new.
            return self.set_due(handle, Some(now.boot));
        }
        let version = client.credential.as_ref().map(|credential| &credential.version);
        let accepted_before = version.is_some() && version == client.accepted.as_ref();
        let wait = token.retry.failed(failure.class, accepted_before, failure.retry_after, &mut self.random);
        self.try_again(now, handle, failure, wait);
    }

    /// Plans the next attempt after a failure, and tells those for whom waiting is of no use.
    pub(super) fn try_again(&mut self, now: Now, handle: u64, failure: Failure, wait: Duration) {
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        token.last_failure = Some(failure.clone());
        self.effects.push_back(Effect::Note(Note::Failed {
            client: token.client.clone(),
            failure,
            next_try_in: wait,
            still_served: token.servable(now.boot).is_some(),
        }));
        self.set_due(handle, Some(now.boot.after(wait)));
        self.answer_waiters(now, handle);
    }

    /// The credential was replaced: the new one is tried at once; the current token lives on meanwhile.
    pub(super) fn credential_changed(&mut self, now: Now, handle: u64) {
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        token.retry = Retry::default();
        // It would be a wrong answer to whoever asks before the new one was tried.
        token.last_failure = None;
        match token.stage {
            Stage::Queued { .. } => {}
            Stage::Sending { .. } => token.again = true,
            _ => {
                self.abandon_attempt(now, handle);
                self.set_due(handle, Some(now.boot));
            }
        }
    }

    /// How the token is got changed, though not what it is: what failed before may work now.
    pub(super) fn configuration_changed(&mut self, now: Now, handle: u64) {
        if self.tokens.get(&handle).is_some_and(|token| token.last_failure.is_some()) {
            self.credential_changed(now, handle);
        }
    }

    /// The credential is gone, and what was got with it goes too.
    pub(super) fn credential_gone(&mut self, now: Now, handle: u64) {
        self.abandon_attempt(now, handle);
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        let Some(client) = self.clients.get(&token.client) else { return };
        let had_token = token.held.take().is_some();
        client.slot.publish(None);
        let failure = Failure::no_credential(&client.config);
        if had_token {
            self.effects.push_back(Effect::Note(Note::CredentialGone { client: token.client.clone() }));
        }
        self.attempt_failed(now, handle, failure);
    }

    /// The token key is no more: whoever waits is told why.
    pub(super) fn drop_token_state(&mut self, now: Now, handle: u64, refusal: &Refusal) {
        self.abandon_attempt(now, handle);
        self.set_due(handle, None);
        let Some(token) = self.tokens.remove(&handle) else { return };
        for waiter in token.waiters {
            self.remove_waiter(waiter);
            self.answer(waiter, Err(refusal.clone()));
        }
    }

    pub(super) fn client_of(&self, handle: u64) -> Option<&Arc<config::Client>> {
        let client = &self.tokens.get(&handle)?.client;
        self.clients.get(client).map(|state| &state.config)
    }
}

/// How long after its request a token is renewed.
fn renewal_interval(lifetime: Duration, renew_at: f64, random: &mut impl Rng) -> Duration {
    let part = if lifetime < SHORT_LIFETIME {
        renew_at.min(0.5)
    } else {
        renew_at - SPREAD * random.random::<f64>()
    };
    lifetime.mul_f64(part.max(0.0)).max(SHORTEST_INTERVAL)
}
