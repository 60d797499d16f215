//! One token key: its renewal clock and its current token.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tokenbroker_oauth::{AccessToken, Scope};

use super::attempt::Stage;
use super::failure::Failure;
use super::rejection::Rejections;
use super::retry::Retry;
use super::timers::Due;
use super::{Effect, Engine, Note, Refusal, WaiterId};
use crate::config::{self, ClientName};
use crate::mutation::{self, Mutation};
use crate::narrowing::Narrowing;
use crate::slots::{Cell, Published};
use crate::time::{Moment, Now};

/// A token on its last seconds would expire on its way to the resource.
const SERVING_MARGIN: Duration = Duration::from_secs(5);

/// Renewals are spread over this part of the lifetime, so that equal expiries don't stay equal.
const SPREAD: f64 = 0.1;

/// Tokens that live shorter than this are renewed at half their lifetime.
const SHORT_LIFETIME: Duration = Duration::from_secs(60);

/// A renewal that nobody waits for starts no sooner than this after the last one, whatever the lifetime.
pub(super) const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// A server that issued the same token again is asked no sooner than this after.
const SHORTEST_REPETITION: Duration = Duration::from_secs(5);

/// The state of one token key.
#[derive(Debug)]
pub(super) struct TokenState {
    pub(super) client: ClientName,
    /// Which of the client's token keys it is.
    pub(super) narrowing: Narrowing,
    /// What is asked of the server: the client's configuration, narrowed.
    pub(super) config: Arc<config::Client>,
    /// Where the token is published.
    pub(super) cell: Arc<Cell>,
    pub(super) stage: Stage,
    /// When the next attempt is due; only while none is under way.
    pub(super) due: Option<Moment>,
    /// When the last attempt began.
    pub(super) attempted_at: Moment,
    /// Whoever asks, nothing is tried before this.
    pub(super) not_before: Moment,
    /// Nobody used it when it was due; see [`Engine::rests`].
    pub(super) dormant: bool,
    /// The current token, expired or not.
    pub(super) held: Option<Arc<Published>>,
    /// The version of the credential that got it.
    pub(super) got_with: Option<Arc<str>>,
    /// Its expiry was read off a wall clock that was this many seconds ahead of the time since boot.
    pub(super) expires_by_wall_clock: Option<i64>,
    pub(super) generation: u64,
    pub(super) last_failure: Option<Box<Failure>>,
    /// The failure that the operator was told of last, and whether the token was still served then.
    pub(super) told: Option<(&'static str, bool)>,
    pub(super) retry: Retry,
    pub(super) rejections: Rejections,
    pub(super) waiters: BTreeSet<WaiterId>,
    /// The credential or the configuration changed since the request under way was sent.
    pub(super) again: bool,
    /// The last attempt failed with the next credential: this one uses the one in use.
    pub(super) spares_next: bool,
}

impl TokenState {
    pub(super) fn new(config: Arc<config::Client>, narrowing: Narrowing, cell: Arc<Cell>) -> Self {
        Self {
            client: config.name.clone(),
            narrowing,
            config,
            cell,
            stage: Stage::Idle,
            due: None,
            attempted_at: Moment::BOOT,
            not_before: Moment::BOOT,
            dormant: false,
            held: None,
            got_with: None,
            expires_by_wall_clock: None,
            generation: 0,
            last_failure: None,
            told: None,
            retry: Retry::default(),
            rejections: Rejections::default(),
            waiters: BTreeSet::new(),
            again: false,
            spares_next: false,
        }
    }

    pub(super) fn servable(&self, now: Moment) -> Option<&Arc<Published>> {
        self.held.as_ref().filter(|token| token.is_servable(now))
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    /// Whether this version of the credential is what the attempt under way uses, or what the last one succeeded with.
    pub(super) fn is_got_with(&self, version: &str) -> bool {
        match &self.stage {
            Stage::Idle => self.got_with.as_deref() == Some(version) && self.last_failure.is_none(),
            Stage::Discovering { .. } => false,
            stage => stage.version().is_some_and(|used| **used == *version),
        }
    }

    /// Nothing is due before it is known which clients have a credential.
    pub(super) fn awaits_inventory(&self) -> bool {
        self.is_idle() && self.due.is_none()
    }

    /// Nothing to serve, and trying again will not help until somebody changes something.
    pub(super) fn is_blocked(&self, now: Moment) -> bool {
        self.servable(now).is_none() && self.pressing_failure(now).is_some_and(Failure::blocks)
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
    /// The version of the credential that got it.
    pub(super) version: Arc<str>,
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
        if !token.is_idle() {
            return;
        }
        if self.rests(now, handle) || self.is_held_back(now, handle) {
            return;
        }
        self.queue(now, handle);
    }

    /// A new token: it is published, its renewal planned, and whoever waits gets it.
    pub(super) fn issued(&mut self, now: Now, handle: u64, issued: Issued) {
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        let issuer = &token.config.issuer;
        let lifetime = issued.lifetime.unwrap_or(issuer.default_lifetime).min(issuer.max_lifetime);
        let expires = issued.requested_at.after(lifetime);
        if serve_until(expires, lifetime) <= now.boot {
            return self.attempt_failed(now, handle, Failure::late_reply());
        }
        if token.servable(now.boot).is_some_and(|held| held.access_token == issued.access_token) {
            return self.reissued(now, handle, issued.version, expires);
        }
        let interval = renewal_interval(lifetime, token.config.renew_at, &mut self.random);
        token.rejections.replaced(token.generation);
        token.generation += 1;
        let published = Arc::new(Published {
            access_token: issued.access_token,
            scope: issued.scope.as_ref().map(Scope::to_string),
            generation: token.generation,
            expires,
            serve_until: serve_until(expires, lifetime),
            lifetime,
        });
        token.held = Some(Arc::clone(&published));
        token.got_with = Some(issued.version);
        token.expires_by_wall_clock = None;
        token.last_failure = None;
        token.spares_next = false;
        let after_failure = token.told.take().is_some();
        token.retry = Retry::default();
        publish(&token.cell, Some(published), &mut self.effects);
        self.effects.push_back(Effect::Note(Note::Issued {
            client: token.client.clone(),
            narrowing: token.narrowing.clone(),
            generation: token.generation,
            lifetime,
            assumed: issued.lifetime.is_none(),
            narrowed_to: issued.scope.filter(|_| issued.narrowed),
            after_failure,
        }));
        let again = std::mem::take(&mut token.again);
        let due = if again { now.boot } else { issued.requested_at.after(interval) };
        self.set_due(handle, Some(due));
        self.answer_waiters(now, handle);
        self.keep_soon(now);
    }

    /// The server issued the token again that there is: a cache of its own, which will not have another before this one
    /// is nearly expired. Asking more often changes nothing.
    fn reissued(&mut self, now: Now, handle: u64, version: Arc<str>, expires: Moment) {
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        let Some(held) = &mut token.held else { return };
        held_until(held, &token.cell, expires, &mut self.effects);
        let expires_in = now.boot.until(held.expires);
        let next_try_in = (expires_in / 2).max(SHORTEST_REPETITION);
        // The server has just said how long it lives: no wall clock has to be believed any more.
        token.expires_by_wall_clock = None;
        (token.last_failure, token.told) = (None, None);
        token.spares_next = false;
        token.retry = Retry::default();
        token.got_with = Some(version);
        // A changed credential or configuration is tried at once.
        let next_try_in = if std::mem::take(&mut token.again) { Duration::ZERO } else { next_try_in };
        token.not_before = now.boot.after(next_try_in);
        self.effects.push_back(Effect::Note(Note::Reissued {
            client: token.client.clone(),
            narrowing: token.narrowing.clone(),
            expires_in,
            next_try_in,
        }));
        let due = token.not_before;
        self.set_due(handle, Some(due));
        self.answer_waiters(now, handle);
        self.keep_soon(now);
    }

    /// An attempt failed: when the next one is due depends on what kind of failure it was.
    pub(super) fn attempt_failed(&mut self, now: Now, handle: u64, failure: Failure) {
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        let Some(client) = self.clients.get_mut(&token.client) else { return };
        if std::mem::take(&mut token.again) {
            // What failed is what was there before the change; that says nothing about the new.
            return self.set_due(handle, Some(now.boot));
        }
        let accepted_before = client.accepted_before();
        let random = &mut self.random;
        if !failure.is_of_credential() {
            let wait = token.retry.failed(failure.class, accepted_before, failure.retry_after, random);
            return self.try_again(now, handle, failure, wait);
        }
        let attempted_at = token.attempted_at;
        let wait = client.refusals.refused(now.boot, attempted_at, accepted_before, &failure, random);
        let wait = client.held_until(now.boot).map_or(wait, |until| now.boot.until(until).min(wait));
        let name = client.config.name.clone();
        self.try_again(now, handle, failure, wait);
        self.share_refusal(now, &name);
    }

    /// Plans the next attempt after a failure, and tells those for whom waiting is of no use.
    pub(super) fn try_again(&mut self, now: Now, handle: u64, failure: Failure, wait: Duration) {
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        let still_served = token.servable(now.boot).is_some();
        let news = (failure.code, still_served);
        let repeated = token.told.replace(news) == Some(news);
        token.last_failure = Some(Box::new(failure.clone()));
        token.not_before = now.boot.after(wait);
        self.effects.push_back(Effect::Note(Note::Failed {
            client: token.client.clone(),
            narrowing: token.narrowing.clone(),
            failure,
            next_try_in: wait,
            still_served,
            repeated,
        }));
        self.set_due(handle, Some(now.boot.after(wait)));
        self.answer_waiters(now, handle);
    }

    /// The credential was replaced: the new one is tried at once; the current token lives on meanwhile.
    pub(super) fn credential_changed(&mut self, now: Now, handle: u64) {
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        token.forget_failure();
        match token.stage {
            Stage::Queued { .. } => {}
            Stage::Sending { .. } => token.again = true,
            _ => {
                self.abandon_attempt(now, handle);
                self.set_due(handle, Some(now.boot));
            }
        }
    }

    /// Another part of the lifetime is to pass before the renewal.
    pub(super) fn plan_renewal_again(&mut self, now: Now, handle: u64) {
        let Some(token) = self.tokens.get(&handle).filter(|token| token.is_idle()) else { return };
        let Some(held) = token.servable(now.boot).filter(|_| token.not_before <= now.boot) else { return };
        let interval = renewal_interval(held.lifetime, token.config.renew_at, &mut self.random);
        let age = held.lifetime.saturating_sub(now.boot.until(held.expires));
        self.set_due(handle, Some(now.boot.after(interval.saturating_sub(age))));
    }

    /// The credential is gone, and what was got with it goes too.
    pub(super) fn credential_gone(&mut self, now: Now, handle: u64) {
        self.abandon_attempt(now, handle);
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        let had_token = token.held.take().is_some();
        publish(&token.cell, None, &mut self.effects);
        let failure = Failure::no_credential(&token.config);
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
        publish(&token.cell, None, &mut self.effects);
        for waiter in token.waiters {
            self.remove_waiter(waiter);
            self.answer(waiter, Err(refusal.clone()));
        }
    }

    /// What is asked of the server for a token key.
    pub(super) fn client_of(&self, handle: u64) -> Option<&Arc<config::Client>> {
        self.tokens.get(&handle).map(|token| &token.config)
    }
}

impl TokenState {
    /// What failed before may work now; the old failure would be a wrong answer to whoever asks before it was tried.
    pub(super) fn forget_failure(&mut self) {
        self.retry = Retry::default();
        (self.last_failure, self.told) = (None, None);
        self.not_before = Moment::BOOT;
        self.spares_next = false;
    }
}

/// Publishes a token, or that there is none any more, and has those told who watch for it.
pub(super) fn publish(cell: &Cell, token: Option<Arc<Published>>, effects: &mut VecDeque<Effect>) {
    cell.publish(token);
    if cell.is_watched() {
        effects.push_back(Effect::Published { handle: cell.handle() });
    }
}

/// Has a token that is held end at this time, unless it ends before.
pub(super) fn held_until(
    held: &mut Arc<Published>,
    cell: &Cell,
    expires: Moment,
    effects: &mut VecDeque<Effect>,
) {
    if held.expires <= expires {
        return;
    }
    *held = Arc::new(Published {
        access_token: held.access_token.clone(),
        scope: held.scope.clone(),
        serve_until: serve_until(expires, held.lifetime),
        expires,
        ..**held
    });
    publish(cell, Some(Arc::clone(held)), effects);
}

/// Until when a token is given to callers.
pub(super) fn serve_until(expires: Moment, lifetime: Duration) -> Moment {
    expires.before(SERVING_MARGIN.min(lifetime / 10))
}

/// How long after its request a token is renewed.
pub(super) fn renewal_interval(lifetime: Duration, renew_at: f64, random: &mut impl Rng) -> Duration {
    let part = if lifetime < SHORT_LIFETIME {
        renew_at.min(0.5)
    } else if mutation::is(Mutation::ForgetJitter) {
        renew_at
    } else {
        renew_at - SPREAD * random.random::<f64>()
    };
    lifetime.mul_f64(part.max(0.0)).max(SHORTEST_INTERVAL)
}
