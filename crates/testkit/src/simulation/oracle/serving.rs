//! What callers get, and what they must get.

use std::sync::Arc;
use std::time::Duration;

use tokenbroker_core::engine::{ClientStatus, Granted, Reason, Refusal, State};
use tokenbroker_core::narrowing::Narrowing;
use tokenbroker_core::slots::Published;

use super::super::clock::{At, Clock};
use super::wire::MINUTE;
use super::{Accepted, Invariant, LONGEST_RECOVERY, Oracle, TokenModel};

/// Those whom a step concerns are looked at after it; all of them so often, since time alone changes things, too.
const SWEEP: Duration = Duration::from_secs(1);

/// What a caller wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asking {
    Token { narrowing: Narrowing, min_ttl: Duration },
    Newer { than: u64 },
    Renewal,
}

/// A caller that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    client: usize,
    key: Option<usize>,
    asking: Asking,
    deadline: At,
}

impl Oracle {
    /// A caller asks the engine: from now on it waits.
    pub(crate) fn asked(
        &mut self,
        at: At,
        waiter: u64,
        client: usize,
        key: Option<usize>,
        asking: Asking,
        deadline: At,
    ) {
        if let Some(model) = key.map(|key| &mut self.keys[key])
            && let Some(success) = &mut model.success
        {
            match &asking {
                Asking::Token { min_ttl, .. } => success.more_wanted |= !min_ttl.is_zero(),
                Asking::Newer { .. } => {
                    let after_the_last = model.last_rejection.map_or(at, |last| last + MINUTE);
                    success.rejected.get_or_insert(at.max(after_the_last));
                }
                Asking::Renewal => {}
            }
        }
        self.concerned.push(client);
        self.waiting.insert(waiter, Waiting { client, key, asking, deadline });
        self.deadlines.insert((deadline, waiter));
    }

    /// A caller leaves: it must not be answered any more.
    pub(crate) fn left(&mut self, waiter: u64) -> bool {
        let Some(waiting) = self.waiting.remove(&waiter) else { return false };
        self.deadlines.remove(&(waiting.deadline, waiter));
        true
    }

    /// Nobody was there to keep a deadline: the host was suspended.
    pub(crate) fn deadlines_passed_unseen(&mut self, at: At) {
        let overdue: Vec<_> =
            self.deadlines.iter().take_while(|(deadline, _)| *deadline < at).copied().collect();
        for (deadline, waiter) in overdue {
            self.deadlines.remove(&(deadline, waiter));
            self.deadlines.insert((at, waiter));
            if let Some(waiting) = self.waiting.get_mut(&waiter) {
                waiting.deadline = at;
            }
        }
    }

    /// Whether a caller waits.
    pub(crate) fn is_waiting(&self, waiter: u64) -> bool {
        self.waiting.contains_key(&waiter)
    }

    /// The engine answers.
    pub(crate) fn answered(
        &mut self,
        at: At,
        clock: &Clock,
        waiter: u64,
        answer: &Result<Granted, Refusal>,
    ) -> Option<(usize, Asking)> {
        let Some(waiting) = self.waiting.remove(&waiter) else {
            let message = format!("caller {waiter} does not wait, and is answered {answer:?}");
            self.fail(Invariant::Answered, None, message);
            return None;
        };
        let Waiting { client, key, asking, deadline } = waiting;
        self.deadlines.remove(&(deadline, waiter));
        self.concerned.push(client);
        if at > deadline {
            let message = format!("caller {waiter} is answered {:?} late", at - deadline);
            self.fail(Invariant::Answered, Some(client), message);
        }
        match answer {
            Ok(granted) => {
                self.granted(at, clock, client, key, granted, &asking);
            }
            Err(refusal) => self.refused(at, client, key, refusal, &asking),
        }
        Some((client, asking))
    }

    /// A caller is given a token.
    pub(crate) fn granted(
        &mut self,
        at: At,
        clock: &Clock,
        client: usize,
        key: Option<usize>,
        granted: &Granted,
        asking: &Asking,
    ) {
        self.check_published(at, clock, client, key, granted.handle, &granted.token);
        let left = clock.moment(at).until(granted.token.expires);
        match asking {
            Asking::Token { min_ttl, .. } if granted.min_ttl_met != (left >= *min_ttl) => {
                let message = format!("{left:?} are left of {min_ttl:?}, said is {}", granted.min_ttl_met);
                self.fail(Invariant::Status, Some(client), message);
            }
            Asking::Newer { than } if granted.token.generation <= *than => {
                let message = format!("generation {} instead of {than}", granted.token.generation);
                self.fail(Invariant::Generations, Some(client), message);
            }
            _ => {}
        }
    }

    fn refused(&mut self, at: At, client: usize, key: Option<usize>, refusal: &Refusal, asking: &Asking) {
        let Asking::Token { .. } = asking else { return };
        let must = key.and_then(|key| self.keys[key].must.as_ref());
        if must.is_some_and(|(_, until)| at < *until) && self.is_kept_warm(client, key) {
            let message = format!("refused with a valid token there: {}", refusal.message);
            self.fail(Invariant::NeverWithheld, Some(client), message);
        }
        if refusal.reason == Reason::UnknownClient && self.clients[client].config.is_some() {
            let message = "it is configured, and a caller is told that it is not".to_owned();
            self.fail(Invariant::Status, Some(client), message);
        }
    }

    /// Narrower tokens make room for others when there are too many; the configured one never does.
    pub(super) fn is_kept_warm(&self, client: usize, key: Option<usize>) -> bool {
        let model = &self.clients[client];
        model.key == key || model.asked_for.len() <= tokenbroker_core::engine::MAX_NARROWED
    }

    /// A caller that asks now must get this token at once.
    pub(crate) fn must_get(&self, at: At, client: usize, key: Option<usize>) -> bool {
        let must = key.and_then(|key| self.keys[key].must.as_ref());
        must.is_some_and(|(_, until)| at < *until) && self.is_kept_warm(client, key)
    }

    pub(crate) fn withheld(&mut self, client: usize, key: Option<usize>) {
        let token = key.and_then(|key| self.keys[key].must.as_ref()).map(|(token, _)| token.clone());
        let message = format!("{} is valid, and the caller has to wait", token.unwrap_or_default());
        self.fail(Invariant::NeverWithheld, Some(client), message);
    }

    fn check_published(
        &mut self,
        at: At,
        clock: &Clock,
        client: usize,
        key: Option<usize>,
        handle: u64,
        published: &Published,
    ) {
        let token = published.access_token.expose();
        let Some(TokenModel { key: of, credential, serve_until }) = self.tokens.get(token) else {
            let message = format!("{token} was never issued to this host");
            return self.fail(Invariant::NoForeignToken, Some(client), message);
        };
        let (of, serve_until) = (*of, *serve_until);
        let is_removed = self.clients[client].removed.contains(credential);
        if Some(of) != key || is_removed {
            let message = if is_removed { "got with a removed credential" } else { "another's" };
            return self.fail(Invariant::NoForeignToken, Some(client), format!("{token} is {message}"));
        }
        if at >= serve_until {
            let message = format!("{token} was to be served until {:?} ago", at - serve_until);
            return self.fail(Invariant::NoExpiredToken, Some(client), message);
        }
        let published_until = clock.at_of(published.serve_until);
        if published_until > serve_until + super::ROUNDING {
            let message = format!("{token} is published for {:?} too long", published_until - serve_until);
            return self.fail(Invariant::NoExpiredToken, Some(client), message);
        }
        let generation = published.generation;
        let (last, last_token) = self.generations.entry(handle).or_default();
        if generation < *last || (generation == *last && token != last_token) {
            let message = format!("generation {generation} ({token}) after {last} ({last_token})");
            return self.fail(Invariant::Generations, Some(client), message);
        }
        if generation > *last {
            (*last, *last_token) = (generation, token.to_owned());
        }
    }

    /// After every step: what is published, who waits, who starves.
    pub(crate) fn check(&mut self, at: At, clock: &Clock) {
        if let Some((deadline, waiter)) = self.deadlines.first().filter(|(deadline, _)| *deadline < at) {
            let message = format!("caller {waiter} has waited for an answer since {:?} ago", at - *deadline);
            self.fail(Invariant::Answered, None, message);
        }
        let concerned = std::mem::take(&mut self.concerned);
        if self.last_sweep.is_some_and(|last| at < last + SWEEP) {
            return concerned.into_iter().for_each(|client| self.check_client(at, clock, client));
        }
        self.last_sweep = Some(at);
        (0..self.clients.len()).for_each(|client| self.check_client(at, clock, client));
    }

    fn check_client(&mut self, at: At, clock: &Clock, client: usize) {
        let model = &self.clients[client];
        let Some((slot, key)) = model.slot.as_ref().zip(model.key) else { return };
        let current = slot.current(clock.moment(at));
        let must = self.keys[key].must.as_ref().filter(|(_, until)| at < *until);
        match (&current, must) {
            (None, Some((token, until))) => {
                let message = format!("{token} is valid for {:?} more, and not published", *until - at);
                self.fail(Invariant::NeverWithheld, Some(client), message);
            }
            (None, None) if model.is_good && at > model.troubled + LONGEST_RECOVERY => {
                let message = format!("nothing has stood in its way for {:?}", at - model.troubled);
                self.fail(Invariant::NoStarvation, Some(client), message);
            }
            _ => {}
        }
        let Some(current) = current else { return };
        match &self.clients[client].seen {
            Some((seen, until)) if Arc::ptr_eq(seen, &current) && at < *until => {}
            _ => self.look_at(at, clock, client, key, current),
        }
    }

    fn look_at(&mut self, at: At, clock: &Clock, client: usize, key: usize, current: Arc<Published>) {
        let handle = self.clients[client].slot.as_ref().map_or(0, |slot| slot.handle());
        self.check_published(at, clock, client, Some(key), handle, &current);
        let until = self.tokens.get(current.access_token.expose()).map(|token| token.serve_until);
        self.clients[client].seen = until.map(|until| (current, until));
    }

    /// Whether the status tells of a client what is so.
    pub(crate) fn check_status(
        &mut self,
        at: At,
        clock: &Clock,
        client: usize,
        status: Option<&ClientStatus>,
    ) {
        let model = &self.clients[client];
        let Some(slot) = &model.slot else { return };
        let Some(status) = status else {
            let message = "it is configured, and has no status".to_owned();
            return self.fail(Invariant::Status, Some(client), message);
        };
        let is_served = slot.current(clock.moment(at)).is_some();
        let says_served = matches!(status.state, State::Warm | State::Degraded);
        let outcomes = status.outcomes.issued + status.outcomes.failed();
        if is_served != says_served {
            let message = format!("served: {is_served}, and its state is {:?}", status.state);
            self.fail(Invariant::Status, Some(client), message);
        } else if outcomes > status.token_requests {
            let message = format!("{outcomes} outcomes of {} requests", status.token_requests);
            self.fail(Invariant::Status, Some(client), message);
        }
    }

    /// An earlier daemon's token was read back, and still fits: it must be served.
    pub(crate) fn restored(&mut self, client: usize, token: &str, until: At, same_boot: bool) {
        let Some(key) = self.clients[client].key else { return };
        let known = self.tokens.get_mut(token).filter(|known| known.key == key);
        if let Some(known) = known {
            self.clients[client].accepted = Accepted::Unknown;
            // Across boots the wall clock is believed, and can be wrong.
            known.serve_until = known.serve_until.max(until);
            self.keys[key].must = Some((token.to_owned(), until));
            self.keys[key].is_believed = !same_boot;
        }
    }

    /// What was kept may be served until then, whether it must be or not: across boots the wall clock is believed.
    pub(crate) fn may_serve_until(&mut self, token: &str, until: At) {
        if let Some(known) = self.tokens.get_mut(token) {
            known.serve_until = known.serve_until.max(until);
        }
    }
}
