//! The token keys that callers ask for besides the configured one: by a part of the scope, by some of the resources.
//!
//! They are bounded in number, kept warm only while they are used or watched, and dropped when nobody asks any more. What the
//! server refused is remembered for as long as it may not be asked again.

use std::sync::Arc;
use std::time::Duration;

use super::failure::Failure;
use super::token::{SHORTEST_INTERVAL, TokenState};
use super::{Engine, Reason, Refusal};
use crate::config::{self, ClientName};
use crate::narrowing::Narrowing;
use crate::slots::Cell;
use crate::time::{Moment, Now};

/// How many narrower token keys a client can have at once. One more takes the place of the one used least lately.
pub const MAX_NARROWED: usize = 64;

/// How long a refusal is remembered though nobody asks: as long as the longest wait after one.
const REMEMBERED: Duration = Duration::from_secs(3600);

impl Narrowing {
    /// What is asked of the server for it.
    pub(super) fn applied_to(&self, client: &Arc<config::Client>) -> Arc<config::Client> {
        if self.is_as_configured() { Arc::clone(client) } else { Arc::new(client.narrowed(self)) }
    }
}

impl Engine {
    /// The token key that a caller asks for; it is made if there is none yet.
    pub(super) fn token_key(
        &mut self,
        now: Now,
        client: &ClientName,
        narrowing: &Narrowing,
    ) -> Result<u64, Refusal> {
        let Some(state) = self.clients.get(client) else { return Err(Refusal::unknown_client()) };
        if narrowing.is_as_configured() {
            return Ok(state.configured);
        }
        let handle = match state.narrowed.get(narrowing) {
            Some(handle) => *handle,
            // The session checked it, against a configuration that may have been replaced since.
            None if !narrowing.is_permitted_by(&state.config) => {
                return Err(Refusal::client_changed(client, now));
            }
            None => {
                self.make_room(now, client)?;
                self.add_narrowed(now, client, narrowing).ok_or_else(Refusal::unknown_client)?
            }
        };
        if let Some(token) = self.tokens.get(&handle) {
            token.cell.used(now.boot);
        }
        Ok(handle)
    }

    /// A new narrower token key, which is fetched at once unless the client's credential is being refused.
    pub(super) fn add_narrowed(
        &mut self,
        now: Now,
        client: &ClientName,
        narrowing: &Narrowing,
    ) -> Option<u64> {
        let has_begun = self.has_begun();
        let state = self.clients.get_mut(client)?;
        state.last_handle += 1;
        let handle = state.last_handle;
        state.narrowed.insert(narrowing.clone(), handle);
        let refused = state.refusals.holds(now.boot).map(|last| (last.failure.clone(), last.until));
        let config = narrowing.applied_to(&state.config);
        let mut token = TokenState::new(config, narrowing.clone(), Arc::new(Cell::new(handle)));
        let due = refused.as_ref().map_or(now.boot, |(_, until)| *until);
        if let Some((failure, until)) = refused {
            (token.last_failure, token.not_before) = (Some(Box::new(failure)), until);
        }
        self.tokens.insert(handle, Box::new(token));
        self.publish_narrowed(client);
        if has_begun {
            self.set_due(handle, Some(due));
        }
        Some(handle)
    }

    /// Drops the one used least lately if there are too many, and one that is watched last. One that callers wait for
    /// stays, and so does one that the server refused or issued again, while that may not be asked again: forgetting it
    /// would be a way to ask all the same.
    fn make_room(&mut self, now: Now, client: &ClientName) -> Result<(), Refusal> {
        let Some(state) = self.clients.get(client) else { return Ok(()) };
        if state.narrowed.len() < MAX_NARROWED {
            return Ok(());
        }
        let tokens = state.narrowed.values().filter_map(|handle| Some((*handle, self.tokens.get(handle)?)));
        let can_go =
            |token: &TokenState| token.waiters.is_empty() && token.is_idle() && token.not_before <= now.boot;
        let least_used = (tokens.filter(|(_, token)| can_go(token)))
            .min_by_key(|(_, token)| (token.cell.is_watched(), token.cell.last_used()));
        match least_used {
            Some((handle, _)) => {
                self.drop_narrowed(now, handle);
                Ok(())
            }
            None => Err(Refusal::too_many_narrowed(client, now)),
        }
    }

    /// Whether a narrower token key that is due is left alone because nobody used it since its last attempt. Unused
    /// until its token expires, or until its failure is forgotten, it is dropped.
    pub(super) fn rests(&mut self, now: Now, handle: u64) -> bool {
        let Some(token) = self.tokens.get_mut(&handle) else { return true };
        let last_used = token.cell.last_used();
        let is_wanted = !token.waiters.is_empty() || token.cell.is_watched() || token.spares_next;
        if token.narrowing.is_as_configured() || is_wanted || token.attempted_at < last_used {
            return false;
        }
        let looked_at_again = match token.servable(now.boot) {
            // Somebody may use it yet.
            Some(held) => Some(now.boot.after((now.boot.until(held.serve_until) / 2).max(SHORTEST_INTERVAL))),
            None if token.last_failure.is_some() => Some(last_used.after(REMEMBERED)),
            None => None,
        };
        match looked_at_again.filter(|again| now.boot < *again) {
            Some(again) => {
                token.dormant = true;
                self.set_due(handle, Some(again));
            }
            None => self.drop_narrowed(now, handle),
        }
        true
    }

    pub(super) fn drop_narrowed(&mut self, now: Now, handle: u64) {
        let Some(token) = self.tokens.get(&handle) else { return };
        let (client, narrowing) = (token.client.clone(), token.narrowing.clone());
        if let Some(state) = self.clients.get_mut(&client) {
            state.narrowed.remove(&narrowing);
        }
        // Nobody finds it any more by the time that its token goes: who looks for a token then would wait for the next
        // in vain.
        self.publish_narrowed(&client);
        self.drop_token_state(now, handle, &Refusal::client_changed(&client, now));
    }

    pub(super) fn drop_narrowed_of(&mut self, now: Now, client: &ClientName) {
        let Some(state) = self.clients.get_mut(client) else { return };
        let dropped = std::mem::take(&mut state.narrowed);
        self.publish_narrowed(client);
        for handle in dropped.into_values() {
            self.drop_token_state(now, handle, &Refusal::client_changed(client, now));
        }
    }

    fn publish_narrowed(&self, client: &ClientName) {
        let Some(state) = self.clients.get(client) else { return };
        let cell = |(narrowing, handle): (&Narrowing, &u64)| {
            Some((narrowing.clone(), Arc::clone(&self.tokens.get(handle)?.cell)))
        };
        state.slot.replace_narrowed(state.narrowed.iter().filter_map(cell).collect());
    }
}

impl Refusal {
    fn too_many_narrowed(client: &ClientName, now: Now) -> Self {
        Self {
            reason: Reason::NoToken,
            fixed_by: None,
            message: format!(
                "client {client} has {MAX_NARROWED} narrower tokens that are being fetched or were refused a moment \
                 ago, and can't have more"
            ),
            hint: Some("ask for fewer different parts of the configured scope and resources".into()),
            next_try: Some(now.boot.after(SHORTEST_INTERVAL)),
            of_key_store: false,
        }
    }
}

impl TokenState {
    /// The failure that stands in the way of the next attempt, unless that could be made at once.
    pub(super) fn pressing_failure(&self, now: Moment) -> Option<&Failure> {
        self.last_failure.as_deref().filter(|_| !self.dormant || now < self.not_before)
    }
}
