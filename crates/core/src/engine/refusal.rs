//! When a client's credential is tried again after it was refused.
//!
//! The credential is the client's, so all its token keys share one ladder: however many there are, a wrong secret makes
//! no more requests than for one. While a credential is in doubt, one token key tries it and the others stay behind.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;

use super::attempt::Stage;
use super::clients::ClientState;
use super::failure::Failure;
use super::retry::Retry;
use super::{Engine, StoredCredential};
use crate::config::ClientName;
use crate::slots;
use crate::time::{Moment, Now};

/// The refusals in a row of a client's credential.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    retry: Retry,
    last: Option<Box<Refused>>,
}

#[derive(Debug)]
pub(super) struct Refused {
    at: Moment,
    pub(super) until: Moment,
    pub(super) failure: Failure,
}

impl Refusals {
    /// Counts a refusal, and gives how long to wait after it. One of an attempt that began before the last refusal is
    /// the same news again.
    pub(super) fn refused(
        &mut self,
        now: Moment,
        attempted_at: Moment,
        accepted_before: bool,
        failure: &Failure,
        random: &mut impl Rng,
    ) -> Duration {
        if let Some(last) = self.last.as_ref().filter(|last| attempted_at < last.at && now < last.until) {
            return now.until(last.until);
        }
        let wait = self.retry.failed(failure.class, accepted_before, failure.retry_after, random);
        self.last = Some(Box::new(Refused { at: now, until: now.after(wait), failure: failure.clone() }));
        wait
    }

    /// Lets the next attempt start at once, without forgetting the refusal.
    pub(super) fn try_at_once(&mut self, now: Moment) {
        if let Some(last) = &mut self.last {
            last.until = now;
        }
    }

    /// The last refusal, while it keeps everybody from trying again.
    pub(super) fn holds(&self, now: Moment) -> Option<&Refused> {
        self.last.as_deref().filter(|last| now < last.until)
    }

    /// The last refusal, whether it holds or not.
    pub(super) fn last(&self) -> Option<&Refused> {
        self.last.as_deref()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.last.is_none()
    }
}

impl ClientState {
    /// Whether its credential got a token before.
    pub(super) fn accepted_before(&self) -> bool {
        let version = self.credential.as_ref().map(|StoredCredential { version, .. }| version);
        version.is_some() && version == self.accepted.as_ref()
    }

    /// Whether nobody knows that the server will take the credential that would be tried now.
    fn is_in_doubt(&self, now: Moment) -> bool {
        let tries_next = self.next.as_ref().is_some_and(|next| next.is_tried(now));
        tries_next || !self.accepted_before() || !self.refusals.is_empty()
    }

    /// The handles that its token keys have.
    pub(super) fn handles(&self) -> Range<u64> {
        slots::handles_from(self.configured)
    }
}

impl Engine {
    /// The handles of a client's token keys.
    pub(super) fn handles_of(&self, client: &ClientName) -> Vec<u64> {
        let Some(state) = self.clients.get(client) else { return Vec::new() };
        self.tokens.range(state.handles()).map(|(handle, _)| *handle).collect()
    }

    /// Keeps a token key that is due from trying a credential that was refused a moment ago, or that another token key
    /// of the client is trying.
    pub(super) fn is_held_back(&mut self, now: Now, handle: u64) -> bool {
        let Some(token) = self.tokens.get(&handle) else { return true };
        let Some(client) = self.clients.get(&token.client) else { return true };
        if let Some(until) = client.held_until(now.boot) {
            self.set_due(handle, Some(until));
            return true;
        }
        let is_trying = |stage: &Stage| !matches!(stage, Stage::Idle | Stage::Behind);
        let tried_by = self.tokens.range(client.handles()).find(|(_, token)| is_trying(&token.stage));
        let Some((&other, _)) = tried_by.filter(|_| client.is_in_doubt(now.boot)) else { return false };
        let urgent = !token.waiters.is_empty();
        if let Some(token) = self.tokens.get_mut(&handle) {
            token.stage = Stage::Behind;
        }
        if urgent {
            self.hurry_queued(other);
        }
        true
    }

    /// Somebody waits for a token key that stays behind another: that one goes first.
    pub(super) fn hurry_the_one_ahead(&mut self, handle: u64) {
        let Some(client) = self.tokens.get(&handle).and_then(|token| self.clients.get(&token.client)) else {
            return;
        };
        let is_queued = |stage: &Stage| matches!(stage, Stage::Queued { .. });
        let ahead = self.tokens.range(client.handles()).find(|(_, token)| is_queued(&token.stage));
        if let Some((&ahead, _)) = ahead {
            self.hurry_queued(ahead);
        }
    }

    /// An attempt is over: those that stayed behind it are due.
    pub(super) fn let_follow(&mut self, now: Now, client: &ClientName) {
        for handle in self.handles_of(client) {
            let Some(token) = self.tokens.get_mut(&handle) else { continue };
            if matches!(token.stage, Stage::Behind) {
                token.stage = Stage::Idle;
                self.set_due(handle, Some(now.boot));
            }
        }
    }

    /// The client's credential was refused: what would try it before its time shares the refusal. What was sent already
    /// has its own outcome.
    pub(super) fn share_refusal(&mut self, now: Now, client: &ClientName) {
        let Some(state) = self.clients.get(client) else { return };
        let Some(until) = state.held_until(now.boot) else { return };
        let Some(failure) = state.refusals.last().map(|last| last.failure.clone()) else { return };
        for handle in self.handles_of(client) {
            let Some(token) = self.tokens.get(&handle) else { continue };
            match token.stage {
                Stage::Sending { .. } => continue,
                Stage::Idle if token.due.is_none_or(|due| until <= due) => continue,
                Stage::Idle if token.servable(now.boot).is_some() => self.set_due(handle, Some(until)),
                _ => {
                    self.abandon_attempt(now, handle);
                    self.try_again(now, handle, failure.clone(), now.boot.until(until));
                }
            }
        }
    }

    /// The client's credential was accepted: what its refusal kept waiting is due.
    pub(super) fn credential_accepted(&mut self, now: Now, client: &ClientName, version: Arc<str>) {
        let Some(state) = self.clients.get_mut(client) else { return };
        if state.credential.as_ref().is_some_and(|credential| credential.version != version) {
            return; // it was replaced or withdrawn since, and says nothing about what there is now
        }
        state.accepted = Some(version);
        if state.refusals.is_empty() {
            return;
        }
        state.refusals = Refusals::default();
        for handle in self.handles_of(client) {
            let Some(token) = self.tokens.get_mut(&handle) else { continue };
            let was_refused = token
                .last_failure
                .as_ref()
                .is_some_and(|failure| failure.is_of_credential() && failure.retry_after.is_none());
            if was_refused && matches!(token.stage, Stage::Idle) {
                token.not_before = now.boot;
                self.set_due(handle, Some(now.boot));
            } else if token.last_failure.is_none() {
                // The refusal may have put off its renewal.
                self.plan_renewal_again(now, handle);
            }
        }
    }
}
