//! The callers that wait for a token, and what they are answered.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::Stage;
use super::refusal::Refusals;
use super::retry::Retry;
use super::timers::Due;
use super::token::{SHORTEST_INTERVAL, TokenState};
use super::{Effect, Engine, Failure, Granted, Party, Reason, Refusal, WaiterId};
use crate::config::ClientName;
use crate::mutation::{self, Mutation};
use crate::narrowing::Narrowing;
use crate::slots::Published;
use crate::time::{Moment, Now};

/// A caller that asks for more time than is left gets a new token only after this part of the lifetime: otherwise
/// one that asks for nearly all of it would cause a token request with each call.
const MIN_TTL_AGE: f64 = 0.1;

/// A caller that waits.
#[derive(Debug)]
pub(super) struct Waiter {
    token: u64,
    want: Want,
    pub(super) deadline: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Token {
        min_ttl: Duration,
    },
    /// A resource refused the token of this generation.
    Newer {
        than: u64,
    },
    Renewal,
}

impl Want {
    /// The answer to whoever wants this, if the token there is will do.
    fn granted(self, handle: u64, held: &Arc<Published>, now: Moment) -> Option<Granted> {
        let min_ttl = match self {
            Self::Token { min_ttl } => min_ttl,
            Self::Newer { than } if held.generation <= than => return None,
            Self::Newer { .. } | Self::Renewal => Duration::ZERO,
        };
        Some(grant(handle, held, min_ttl, now))
    }
}

impl Engine {
    /// A caller asks for a token.
    pub(super) fn get(
        &mut self,
        now: Now,
        waiter: WaiterId,
        client: &ClientName,
        narrowing: &Narrowing,
        min_ttl: Duration,
        deadline: Moment,
    ) {
        match self.token_key(now, client, narrowing) {
            Ok(handle) => self.wait(now, waiter, handle, Want::Token { min_ttl }, deadline),
            Err(refusal) => self.answer(waiter, Err(refusal)),
        }
    }

    /// An administrator asks for a new token: that closes an open circuit.
    pub(super) fn renew(&mut self, now: Now, waiter: WaiterId, client: &ClientName, deadline: Moment) {
        let Some(state) = self.clients.get_mut(client) else {
            return self.answer(waiter, Err(Refusal::unknown_client()));
        };
        let handle = state.configured;
        if self.tokens.get(&handle).is_some_and(|token| token.is_idle()) {
            state.refusals = Refusals::default();
            self.try_next_now(client);
        }
        self.wait(now, waiter, handle, Want::Renewal, deadline);
    }

    /// A caller waits: for any token, for one that lives longer, for another one, or for a renewal.
    pub(super) fn wait(&mut self, now: Now, waiter: WaiterId, handle: u64, want: Want, deadline: Moment) {
        if let Some(answer) = self.answer_at_once(now, handle, want) {
            return self.answer(waiter, answer);
        }
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        token.waiters.insert(waiter);
        self.waiters.insert(waiter, Waiter { token: handle, want, deadline });
        self.timers.add(deadline, Due::Waiter(waiter));
        self.hurry(now, handle, want);
    }

    fn answer_at_once(&self, now: Now, handle: u64, want: Want) -> Option<Result<Granted, Refusal>> {
        let token = self.tokens.get(&handle)?;
        let granted = |held| want.granted(handle, held, now.boot).map(Ok);
        match (want, token.servable(now.boot)) {
            (Want::Renewal, _) => None,
            (Want::Token { min_ttl }, Some(held)) => {
                let will_do =
                    now.boot.until(held.expires) >= min_ttl || !renewal_is_worth_it(token, held, now.boot);
                will_do.then(|| granted(held)).flatten()
            }
            (Want::Newer { .. }, Some(held)) => granted(held),
            (_, None) => token.is_blocked(now.boot).then(|| Err(self.refusal(handle, now))),
        }
    }

    /// Somebody waits now: an attempt that is queued goes first, and one that is not under way starts, unless it may
    /// not be made yet.
    fn hurry(&mut self, now: Now, handle: u64, want: Want) {
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        match token.stage {
            Stage::Idle if want == Want::Renewal => {
                token.retry = Retry::default();
                token.not_before = now.boot;
                self.forget_discovery_failure(handle);
                self.set_due(handle, Some(now.boot));
            }
            // When it may be made is planned already.
            Stage::Idle if matches!(want, Want::Newer { .. }) && token.servable(now.boot).is_some() => {}
            // Before the inventory nothing is due: it starts the first attempt.
            Stage::Idle if token.not_before <= now.boot && token.due.is_some() => {
                self.set_due(handle, Some(now.boot));
            }
            Stage::Queued { .. } => self.hurry_queued(handle),
            Stage::Behind => self.hurry_the_one_ahead(handle),
            Stage::Sending { .. } if mutation::is(Mutation::DropSingleFlight) => {
                token.stage = Stage::Idle;
                self.set_due(handle, Some(now.boot));
            }
            _ => {}
        }
    }

    /// A caller is gone. What is under way for it goes on: others will want it.
    pub(super) fn gone(&mut self, now: Now, waiter: WaiterId) {
        let Some(Waiter { token: handle, .. }) = self.remove_waiter(waiter) else { return };
        if mutation::is(Mutation::CancelWithWaiter) {
            self.abandon_attempt(now, handle);
        }
    }

    /// A caller's deadline has come: it gets what there is.
    pub(super) fn give_up_waiting(&mut self, now: Now, waiter: WaiterId) {
        let Some(Waiter { token: handle, want, .. }) = self.remove_waiter(waiter) else { return };
        let Some(token) = self.tokens.get(&handle) else { return };
        let held = token.servable(now.boot).filter(|_| want != Want::Renewal);
        let granted = held.and_then(|held| want.granted(handle, held, now.boot));
        let answer = granted.ok_or_else(|| self.refusal(handle, now));
        self.answer(waiter, answer);
    }

    /// After an outcome: everybody who waits for a renewal is told, and everybody whom the token there is serves;
    /// the others wait on through transient failures.
    pub(super) fn answer_waiters(&mut self, now: Now, handle: u64) {
        let Some(token) = self.tokens.get(&handle) else { return };
        let held = token.servable(now.boot).cloned();
        let refusal = token.last_failure.is_some().then(|| self.refusal(handle, now));
        let is_refused = token.last_failure.as_deref().is_some_and(Failure::blocks);
        let is_reissued = token.last_failure.is_none() && now.boot < token.not_before;
        for waiter in token.waiters.clone() {
            let Some(want) = self.waiters.get(&waiter).map(|waiter| waiter.want) else { continue };
            let granted = held.as_ref().and_then(|held| want.granted(handle, held, now.boot));
            let answer = match (want, granted, &refusal) {
                (Want::Renewal, _, Some(refusal)) => Err(refusal.clone()),
                (_, Some(granted), _) => Ok(granted),
                (_, None, Some(refusal)) if refusal.reason == Reason::Blocked => Err(refusal.clone()),
                (Want::Newer { .. }, None, Some(refusal)) if is_refused => Err(refusal.clone()),
                (Want::Newer { .. }, None, None) if is_reissued => Err(self.refusal(handle, now)),
                (_, None, _) => continue,
            };
            self.remove_waiter(waiter);
            self.answer(waiter, answer);
        }
    }

    pub(super) fn remove_waiter(&mut self, waiter: WaiterId) -> Option<Waiter> {
        let removed = self.waiters.remove(&waiter)?;
        self.timers.remove(removed.deadline, Due::Waiter(waiter));
        if let Some(token) = self.tokens.get_mut(&removed.token) {
            token.waiters.remove(&waiter);
        }
        Some(removed)
    }

    pub(super) fn answer(&mut self, waiter: WaiterId, answer: Result<Granted, Refusal>) {
        self.effects.push_back(Effect::Answer { waiter, answer });
    }

    /// Why there is no token, as the caller is told.
    pub(super) fn refusal(&self, handle: u64, now: Now) -> Refusal {
        let Some(token) = self.tokens.get(&handle) else { return Refusal::unknown_client() };
        let (failure, next_try) = self.obstacle(token);
        let under_way = failure.filter(|_| !token.is_idle()).map(|_| now.boot);
        let client = &token.client;
        let is_reissued =
            failure.is_none() && token.generation > 0 && token.is_idle() && now.boot < token.not_before;
        let message = match failure {
            Some(failure) => failure.message.clone(),
            None if token.generation == 0 => {
                format!("the first token of client {client} has not been fetched yet")
            }
            None if is_reissued => {
                format!("the authorization server issues the same token of client {client} again and again")
            }
            None => format!("a new token of client {client} is on its way"),
        };
        Refusal {
            reason: if token.is_blocked(now.boot) { Reason::Blocked } else { Reason::NoToken },
            fixed_by: failure.map(Failure::fixed_by).or(is_reissued.then_some(Party::Server)),
            message,
            hint: failure.and_then(|failure| failure.hint.clone()),
            next_try: next_try.or(under_way),
            of_key_store: failure.is_some_and(Failure::is_of_key_store),
        }
    }

    /// What stands in the way of a token, if anything is known to, and when it is tried again.
    pub(super) fn obstacle<'a>(&'a self, token: &'a TokenState) -> (Option<&'a Failure>, Option<Moment>) {
        match &self.inventory.failed {
            Some((failure, next_try)) if token.awaits_inventory() => (Some(failure), Some(*next_try)),
            _ => (token.last_failure.as_deref(), token.due),
        }
    }
}

impl Refusal {
    pub(super) fn unknown_client() -> Self {
        Self {
            reason: Reason::UnknownClient,
            fixed_by: Some(Party::Operator),
            message: "the client is not configured any more".into(),
            hint: None,
            next_try: None,
            of_key_store: false,
        }
    }

    pub(super) fn client_changed(client: &ClientName, now: Now) -> Self {
        Self {
            reason: Reason::NoToken,
            fixed_by: None,
            message: format!(
                "the configuration of client {client} changed while its token was being fetched"
            ),
            hint: Some("ask again".into()),
            next_try: Some(now.boot),
            of_key_store: false,
        }
    }
}

/// Whether a caller that wants more time than is left should wait for a new token.
fn renewal_is_worth_it(token: &TokenState, held: &Published, now: Moment) -> bool {
    let age = held.lifetime.saturating_sub(now.until(held.expires));
    let old_enough = held.lifetime.mul_f64(MIN_TTL_AGE).max(SHORTEST_INTERVAL);
    let under_way = !token.is_idle();
    under_way || (token.not_before <= now && age >= old_enough)
}

fn grant(handle: u64, held: &Arc<Published>, min_ttl: Duration, now: Moment) -> Granted {
    Granted { handle, token: Arc::clone(held), min_ttl_met: now.until(held.expires) >= min_ttl }
}
