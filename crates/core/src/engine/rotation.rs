//! Two credentials at a time: the next one is tried before the one in use, which is used once more if that is refused.
//!
//! A refusal of the next one is no refusal of the client: it has a ladder of its own, a Retry-After counts for it alone, and no
//! caller hears of it. A failure that passes by itself says nothing about either: the next attempt uses the one in use. Where
//! that is refused, the next one is tried at once: the server may have changed from one to the other. The first token of the
//! next one makes it the one in use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::Stage;
use super::clients::ClientState;
use super::event::{Credentials, LoadedCredential};
use super::failure::Failure;
use super::refusal::Refusals;
use super::timers::Due;
use super::{Effect, Engine, KeyStoreFailure, Note, StoredCredential};
use crate::config::ClientName;
use crate::time::{Moment, Now};

/// A credential that waits to take the place of the one in use.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) stored: StoredCredential,
    pub(super) refusals: Refusals,
    /// When it was refused for the first time since it was stored, or since this daemon started.
    pub(super) refused_since: Option<Moment>,
    /// It is not tried before, whether it was refused or not.
    not_before: Moment,
}

/// For how long the attempts after one that failed by itself leave the next credential alone.
const SHORTEST_HOLD: Duration = Duration::from_secs(60);
const LONGEST_HOLD: Duration = Duration::from_secs(3600);

/// When the key store is told again that a next credential is the one in use.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// The next credentials that got a token, and that the key store could not take down as the ones in use.
#[derive(Debug, Default)]
pub(super) struct Untold {
    versions: BTreeMap<ClientName, Arc<str>>,
    again: Option<Moment>,
}

impl Untold {
    pub(super) fn forget(&mut self, client: &ClientName) {
        self.versions.remove(client);
    }
}

impl Next {
    fn new(stored: StoredCredential) -> Self {
        Self { stored, refusals: Refusals::default(), refused_since: None, not_before: Moment::BOOT }
    }

    /// It is tried as if it was stored just now.
    fn forgive(&mut self) {
        (self.refusals, self.not_before) = (Refusals::default(), Moment::BOOT);
    }

    /// Whether the next token request tries it.
    pub(super) fn is_tried(&self, now: Moment) -> bool {
        self.tried_at(now) <= now
    }

    fn is_unrefused(&self) -> bool {
        self.refusals.is_empty()
    }

    /// When it is tried at the earliest.
    pub(super) fn tried_at(&self, now: Moment) -> Moment {
        self.refusals.holds(now).map_or(self.not_before, |refused| refused.until.max(self.not_before))
    }
}

impl ClientState {
    /// Whether an attempt of a token key tries the next credential, if there is one. `is_spared` if the attempt before failed with
    /// it. Where the one in use is refused, there is nothing better to try.
    pub(super) fn tries_next(&self, now: Moment, is_spared: bool) -> bool {
        let Some(next) = &self.next else { return false };
        match self.refusals.holds(now) {
            Some(_) => next.is_unrefused() && next.is_tried(now),
            None => !is_spared && (next.is_tried(now) || !self.refusals.is_empty()),
        }
    }

    /// Until when nothing is tried, because of what was refused. A next credential that never was is not kept waiting by that.
    pub(super) fn held_until(&self, now: Moment) -> Option<Moment> {
        let until = self.refusals.holds(now)?.until;
        let next = self.next.as_ref().filter(|next| next.is_unrefused());
        let until = next.map_or(until, |next| until.min(next.not_before));
        (now < until).then_some(until)
    }

    /// What was said of the next credential does not count any more.
    pub(super) fn forget_what_was_said_of_next(&mut self) {
        self.next = self.next.take().map(|next| Box::new(Next::new(next.stored)));
    }

    pub(super) fn is_next(&self, version: &str) -> bool {
        self.next.as_ref().is_some_and(|next| *next.stored.version == *version)
    }
}

impl Engine {
    /// The key store has told what there is: of two, the one is chosen that this attempt uses.
    pub(super) fn choose(
        &mut self,
        now: Now,
        handle: u64,
        client: &ClientName,
        found: Credentials,
    ) -> LoadedCredential {
        let Credentials { mut current, mut next } = found;
        let Some(state) = self.clients.get_mut(client) else { return current };
        let in_use = state.credential.as_ref().map(|credential| &credential.version);
        if let Some(promoted) = next.take_if(|next| in_use == Some(&next.stored.version)) {
            // The key store does not know yet.
            current = LoadedCredential {
                stored: StoredCredential { is_next: false, ..promoted.stored },
                ..promoted
            };
        }
        state.credential = Some(current.stored.clone());
        state.know_next(next.as_ref().map(|next| &next.stored));
        self.mind_expiry(now, client);
        let is_spared = self.tokens.get(&handle).is_some_and(|token| token.spares_next);
        let tries_next = self.clients.get(client).is_some_and(|state| state.tries_next(now.boot, is_spared));
        next.filter(|_| tries_next).unwrap_or(current)
    }

    /// The next credential was stored, replaced or withdrawn through the broker. What was sent with one that is gone says
    /// nothing about the others. A new one is tried at once where something failed: it may be what helps.
    pub(super) fn next_changed(&mut self, now: Now, client: &ClientName, next: Option<&StoredCredential>) {
        let Some(state) = self.clients.get_mut(client) else { return };
        let before = state.next.as_ref().map(|next| next.stored.version.clone());
        if before.as_ref() == next.map(|next| &next.version) {
            return state.know_next(next);
        }
        state.know_next(next);
        let was_refused = next.is_some() && !state.refusals.is_empty();
        if next.is_some() {
            state.refusals = Refusals::default();
        }
        let is_live = |version: &str| {
            state.is_next(version) || state.credential.as_ref().is_some_and(|one| *one.version == *version)
        };
        let gone = before.filter(|version| !is_live(version));
        for handle in self.handles_of(client) {
            let Some(token) = self.tokens.get_mut(&handle) else { continue };
            let used_what_is_gone = gone.is_some() && token.stage.version() == gone.as_ref();
            let has_failed = was_refused || next.is_some() && token.last_failure.is_some();
            if used_what_is_gone || has_failed {
                self.credential_changed(now, handle);
            }
        }
    }

    /// The next credential was refused, or could not be used: the attempt begins anew with the one in use.
    pub(super) fn fall_back(&mut self, now: Now, handle: u64, failure: Failure) {
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        let (name, attempted_at) = (token.client.clone(), token.attempted_at);
        (token.again, token.spares_next) = (false, true);
        let failure = failure.of_next(&name);
        let Some(next) = self.clients.get_mut(&name).and_then(|state| state.next.as_mut()) else { return };
        let since = *next.refused_since.get_or_insert(now.boot);
        let next_try_in = next.refusals.refused(now.boot, attempted_at, false, &failure, &mut self.random);
        self.effects.push_back(Effect::Note(Note::NextRefused {
            client: name,
            version: next.stored.version.clone(),
            failure,
            refused_for: now.boot.since(since),
            next_try_in,
        }));
        self.leave_gate(now, handle);
        self.set_due(handle, Some(now.boot));
    }

    /// An attempt with the next credential failed for a reason that passes by itself. That says nothing about it, but the attempts
    /// that follow are not to depend on it.
    pub(super) fn hold_next_back(&mut self, now: Now, client: &ClientName, failure: &Failure) {
        let Some(next) = self.clients.get_mut(client).and_then(|state| state.next.as_mut()) else { return };
        let wait = failure.retry_after.unwrap_or_default().clamp(SHORTEST_HOLD, LONGEST_HOLD);
        next.not_before = now.boot.after(wait);
    }

    /// The one in use is refused, and the next one was not tried in this attempt: the server may have changed from one to the
    /// other. Then that is tried at once, whatever was said of it before. `false` if it is not so.
    pub(super) fn try_next_instead(&mut self, now: Now, handle: u64, client: &ClientName) -> bool {
        let Some(state) = self.clients.get_mut(client).filter(|state| state.refusals.is_empty()) else {
            return false;
        };
        let Some(next) = &mut state.next else { return false };
        next.forgive();
        self.leave_gate(now, handle);
        self.set_due(handle, Some(now.boot));
        true
    }

    /// The one in use was refused in the same words: they say nothing about the next one.
    pub(super) fn forgive_next(&mut self, client: &ClientName, failure: &Failure) {
        let Some(next) = self.clients.get_mut(client).and_then(|state| state.next.as_mut()) else { return };
        if next.refusals.last().is_some_and(|last| last.failure.code == failure.code) {
            next.forgive();
            next.refused_since = None;
        }
    }

    /// The next credential got a token: it is the one in use. What was about to try the one before it starts anew.
    pub(super) fn next_accepted(&mut self, now: Now, client: &ClientName, version: &Arc<str>) {
        let Some(state) = self.clients.get_mut(client) else { return };
        let Some(next) = state.next.take() else { return };
        let retired = state.credential.replace(StoredCredential { is_next: false, ..next.stored });
        state.retired = retired.map(|retired| retired.version);
        state.expiry_told = None;
        let is_bound = state.config.auth.is_tls();
        let (client, version) = (client.clone(), version.clone());
        self.effects.push_back(Effect::Promote { client: client.clone(), version: version.clone() });
        self.effects
            .push_back(Effect::Note(Note::NextAccepted { client: client.clone(), version: version.clone() }));
        for handle in self.handles_of(&client) {
            let Some(token) = self.tokens.get_mut(&handle) else { continue };
            let is_idle = token.is_idle() && token.not_before <= now.boot;
            if is_bound && is_idle && token.got_with.as_ref().is_some_and(|got_with| *got_with != version) {
                // Bound to a certificate that is not shown any more: another is wanted soon.
                self.set_due(handle, Some(now.boot));
                continue;
            }
            let is_old = token.stage.version().is_some_and(|used| *used != version);
            if is_old && !matches!(token.stage, Stage::Sending { .. }) {
                self.abandon_attempt(now, handle);
                self.set_due(handle, Some(now.boot));
            }
        }
        self.mind_expiry(now, &client);
    }

    /// Whether the key store knows now what the engine knew already. If not, it is told again.
    pub(super) fn promoted(&mut self, now: Now, client: ClientName, result: Result<(), KeyStoreFailure>) {
        let Err(failure) = result else {
            self.untold.versions.remove(&client);
            return;
        };
        let Some(known) = self.clients.get(&client).and_then(|state| state.credential.as_ref()) else {
            self.untold.versions.remove(&client);
            return;
        };
        let version = known.version.clone();
        if self.untold.versions.insert(client.clone(), version).is_none() {
            let failure = Failure::from(failure);
            self.effects.push_back(Effect::Note(Note::NotPromoted { client, failure }));
        }
        if self.untold.again.is_none() {
            let again = now.boot.after(TELL_AGAIN);
            self.untold.again = Some(again);
            self.timers.add(again, Due::Promotions);
        }
    }

    /// Tells the key store again what it could not take down.
    pub(super) fn tell_again(&mut self) {
        self.untold.again = None;
        for (client, version) in &self.untold.versions {
            self.effects.push_back(Effect::Promote { client: client.clone(), version: version.clone() });
        }
    }

    /// An administrator wants the next credential tried now, too.
    pub(super) fn try_next_now(&mut self, client: &ClientName) {
        if let Some(next) = self.clients.get_mut(client).and_then(|state| state.next.as_mut()) {
            next.forgive();
        }
        for handle in self.handles_of(client) {
            if let Some(token) = self.tokens.get_mut(&handle) {
                token.spares_next = false;
            }
        }
    }
}

impl ClientState {
    /// Keeps what is known of the next credential, if it is the same one.
    pub(super) fn know_next(&mut self, found: Option<&StoredCredential>) {
        match (found, &mut self.next) {
            (Some(found), Some(known)) if known.stored.version == found.version => {
                known.stored = found.clone();
            }
            (found, next) => *next = found.cloned().map(Next::new).map(Box::new),
        }
    }
}
