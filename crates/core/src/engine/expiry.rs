//! Secrets and certificates that expire by a date that is known: who can replace them is told in time, once a day.

use std::time::Duration;

use super::clients::ClientState;
use super::timers::Due;
use super::{Effect, Engine, Expiring, Note};
use crate::config::ClientName;
use crate::time::Now;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// From when on it is told.
pub(super) const NOTICE: Duration = Duration::from_secs(30 * 24 * 3600);

impl Engine {
    /// What of a client expires, and in how long; `None` if it has expired.
    pub(super) fn expiries(&self, now: Now, client: &ClientName) -> Vec<(Expiring, Option<Duration>)> {
        let Some(state) = self.clients.get(client) else { return Vec::new() };
        let left = |at: u64| at.checked_sub(now.unix).filter(|left| *left > 0).map(Duration::from_secs);
        let secret = state.credential.as_ref().and_then(|credential| credential.expires);
        let certificate = state.certificate.as_ref().map(|one| u64::try_from(one.not_after).unwrap_or(0));
        let both = [(Expiring::Credential, secret), (Expiring::Certificate, certificate)];
        both.into_iter().filter_map(|(what, at)| Some((what, left(at?)))).collect()
    }

    /// What is known of a client's credential may have changed.
    pub(super) fn mind_expiry(&mut self, now: Now, client: &ClientName) {
        let has_a_date = |state: &ClientState| {
            state.certificate.is_some() || state.credential.as_ref().is_some_and(|one| one.expires.is_some())
        };
        if !self.clients.get(client).is_some_and(|state| has_a_date(state)) {
            return;
        }
        let expiries = self.expiries(now, client);
        if self.expiry_check.is_none() {
            self.plan_expiry_check(now);
        }
        let Some(state) = self.clients.get_mut(client) else { return };
        for (what, expires_in) in expiries {
            let is_soon = expires_in.is_none_or(|left| left <= NOTICE);
            let told_lately =
                state.expiry_told.is_some_and(|(told, at)| told >= what && now.boot.since(at) < DAY);
            if is_soon && !told_lately {
                state.expiry_told = Some((what, now.boot));
                let note = Note::ExpiresSoon { client: client.clone(), what, expires_in };
                self.effects.push_back(Effect::Note(note));
            }
        }
    }

    /// A day has passed.
    pub(super) fn check_expiries(&mut self, now: Now) {
        self.expiry_check = None;
        for client in self.clients.keys().cloned().collect::<Vec<_>>() {
            self.mind_expiry(now, &client);
        }
    }

    fn plan_expiry_check(&mut self, now: Now) {
        let at = now.boot.after(DAY);
        self.expiry_check = Some(at);
        self.timers.add(at, Due::Expiries);
    }
}
