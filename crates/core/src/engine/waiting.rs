//! The callers that wait for a token, and what they are answered.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::Stage;
use super::retry::Retry;
use super::timers::Due;
use super::token::{SHORTEST_INTERVAL, TokenState};
use super::{Effect, Engine, Failure, Granted, Reason, Refusal, WaiterId};
use crate::config::ClientName;
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
    Token { min_ttl: Duration },
    Renewal,
}

impl Engine {
    /// A caller waits: for any token, for one that lives longer, or for a renewal.
    pub(super) fn wait(
        &mut self,
        now: Now,
        waiter: WaiterId,
        client: &ClientName,
        want: Want,
        deadline: Moment,
    ) {
        let Some(handle) = self.clients.get(client).map(|client| client.configured) else {
            return self.answer(waiter, Err(Refusal::unknown_client()));
        };
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
        let Want::Token { min_ttl } = want else { return None };
        let token = self.tokens.get(&handle)?;
        match token.servable(now.boot) {
            Some(held)
                if now.boot.until(held.expires) >= min_ttl || !renewal_is_worth_it(token, held, now.boot) =>
            {
                Some(Ok(grant(handle, held, min_ttl, now.boot)))
            }
            None if token.is_blocked(now.boot) => Some(Err(self.refusal(handle, now))),
            _ => None,
        }
    }

    /// Somebody waits now: an attempt that is queued goes first, and one that is not under way starts, unless the
    /// last one failed and its time has not come.
    fn hurry(&mut self, now: Now, handle: u64, want: Want) {
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        match &mut token.stage {
            Stage::Idle if want == Want::Renewal => {
                token.retry = Retry::default();
                self.forget_discovery_failure(handle);
                self.set_due(handle, Some(now.boot));
            }
            // Before the inventory nothing is due: it starts the first attempt.
            Stage::Idle if token.last_failure.is_none() && token.due.is_some() => {
                self.set_due(handle, Some(now.boot));
            }
            Stage::Queued { urgent } if !*urgent => {
                *urgent = true;
                self.hurry_queued(handle);
            }
            _ => {}
        }
    }

    /// A caller's deadline has come: it gets what there is.
    pub(super) fn give_up_waiting(&mut self, now: Now, waiter: WaiterId) {
        let Some(Waiter { token: handle, want, .. }) = self.remove_waiter(waiter) else { return };
        let Some(token) = self.tokens.get(&handle) else { return };
        let answer = match (want, token.servable(now.boot)) {
            (Want::Token { min_ttl }, Some(held)) => Ok(grant(handle, held, min_ttl, now.boot)),
            _ => Err(self.refusal(handle, now)),
        };
        self.answer(waiter, answer);
    }

    /// After an outcome: everybody who waits for a renewal is told, and everybody whom the token there is serves;
    /// the others wait on through transient failures.
    pub(super) fn answer_waiters(&mut self, now: Now, handle: u64) {
        let Some(token) = self.tokens.get(&handle) else { return };
        let held = token.servable(now.boot).cloned();
        let refusal = token.last_failure.is_some().then(|| self.refusal(handle, now));
        for waiter in token.waiters.clone() {
            let Some(want) = self.waiters.get(&waiter).map(|waiter| waiter.want) else { continue };
            let answer = match (want, &held, &refusal) {
                (Want::Renewal, _, Some(refusal)) => Err(refusal.clone()),
                (Want::Renewal, Some(held), None) => Ok(grant(handle, held, Duration::ZERO, now.boot)),
                (Want::Token { min_ttl }, Some(held), _) => Ok(grant(handle, held, min_ttl, now.boot)),
                (_, None, Some(refusal)) if refusal.reason == Reason::Blocked => Err(refusal.clone()),
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
    fn refusal(&self, handle: u64, now: Now) -> Refusal {
        let Some(token) = self.tokens.get(&handle) else { return Refusal::unknown_client() };
        let (failure, next_try) = self.obstacle(token);
        let client = &token.client;
        let message = match failure {
            Some(failure) => failure.message.clone(),
            None if token.generation == 0 => {
                format!("the first token of client {client} has not been fetched yet")
            }
            None => format!("a new token of client {client} is on its way"),
        };
        Refusal {
            reason: if token.is_blocked(now.boot) { Reason::Blocked } else { Reason::NoToken },
            message,
            hint: failure.and_then(|failure| failure.hint.clone()),
            next_try,
            of_key_store: failure.is_some_and(Failure::is_of_key_store),
        }
    }

    /// What stands in the way of a token, if anything is known to, and when it is tried again.
    pub(super) fn obstacle<'a>(&'a self, token: &'a TokenState) -> (Option<&'a Failure>, Option<Moment>) {
        match &self.inventory.failed {
            Some((failure, next_try)) if token.awaits_inventory() => (Some(failure), Some(*next_try)),
            _ => (token.last_failure.as_ref(), token.due),
        }
    }
}

impl Refusal {
    pub(super) fn unknown_client() -> Self {
        Self {
            reason: Reason::UnknownClient,
            message: "the client is not configured any more".into(),
            hint: None,
            next_try: None,
            of_key_store: false,
        }
    }

    pub(super) fn client_changed(client: &ClientName, now: Now) -> Self {
        Self {
            reason: Reason::NoToken,
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
    let under_way = !matches!(token.stage, Stage::Idle);
    under_way || (token.last_failure.is_none() && age >= old_enough)
}

fn grant(handle: u64, held: &Arc<Published>, min_ttl: Duration, now: Moment) -> Granted {
    Granted { handle, token: Arc::clone(held), min_ttl_met: now.until(held.expires) >= min_ttl }
}
