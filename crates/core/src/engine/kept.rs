//! The tokens that outlive the daemon: what is written down, when, and what of it counts after a restart.
//!
//! A kept token is bound to all that made it what it is: the client's registration, what was asked for, and the version
//! of the credential. What does not fit any more is not served; it is fetched anew like any other.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use tokenbroker_oauth::AccessToken;

use super::timers::Due;
use super::token::{held_until, publish, renewal_interval, serve_until};
use super::{Effect, Engine, Note};
use crate::config::{self, ClientName, EndpointSource};
use crate::narrowing::Narrowing;
use crate::slots::Published;
use crate::time::{Moment, Now};

/// Nothing is tried while an answer to [`Effect::LoadTokens`] is awaited, for at most this long.
const LONGEST_LOADING: Duration = Duration::from_secs(2);

/// Tokens are written down this long after they changed at the earliest.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// How much is written on average, in bytes per second: a disk has more to do than to keep tokens.
const WRITTEN_PER_SECOND: usize = 64 * 1024;

/// A token that outlives the daemon that got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptToken {
    /// Whose it is.
    pub client: ClientName,
    /// Which of the client's token keys it is of.
    pub narrowing: Narrowing,
    /// What it is bound to besides: the client's registration and what was asked for, in canonical words.
    pub binding: String,
    /// The version of the credential that it was got with.
    pub credential: Arc<str>,
    /// The token itself.
    pub access_token: AccessToken,
    /// [`Published::scope`].
    pub scope: Option<String>,
    /// [`Published::expires`].
    pub expires: Moment,
    /// [`Published::lifetime`].
    pub lifetime: Duration,
    /// Whether the clock of `expires` has run since it was issued. If not, the wall clock was believed, and the token is
    /// renewed at once.
    pub same_boot: bool,
}

/// A token that a later daemon could serve. What is written down of it comes from the [conversion](KeptToken::from), which is
/// not for the event loop: there may be very many.
#[derive(Debug, Clone)]
pub struct TokenToKeep {
    client: Arc<config::Client>,
    narrowing: Narrowing,
    credential: Arc<str>,
    token: Arc<Published>,
}

impl From<&TokenToKeep> for KeptToken {
    fn from(TokenToKeep { client, narrowing, credential, token }: &TokenToKeep) -> Self {
        Self {
            client: client.name.clone(),
            narrowing: narrowing.clone(),
            binding: binding(client),
            credential: Arc::clone(credential),
            access_token: token.access_token.clone(),
            scope: token.scope.clone(),
            expires: token.expires,
            lifetime: token.lifetime,
            same_boot: true,
        }
    }
}

/// What is known of the tokens that were or will be kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    enabled: bool,
    /// Until when what an earlier daemon kept is waited for.
    loading: Option<Moment>,
    /// What it kept, until the key store has said which credentials there are.
    loaded: Vec<KeptToken>,
    /// When the tokens are written down next.
    pub(super) write_at: Option<Moment>,
}

impl Kept {
    pub(super) fn is_loading(&self) -> bool {
        self.loading.is_some()
    }
}

impl Engine {
    /// The tokens that a later daemon could serve, those that are as configured first.
    pub fn tokens_to_keep(&self, now: Now) -> Vec<TokenToKeep> {
        if !self.kept.enabled {
            return Vec::new();
        }
        let kept = self.tokens.values().filter_map(|token| {
            Some(TokenToKeep {
                client: Arc::clone(&token.config),
                narrowing: token.narrowing.clone(),
                credential: token.got_with.clone()?,
                token: Arc::clone(token.servable(now.boot)?),
            })
        });
        let mut kept: Vec<_> = kept.collect();
        kept.sort_by_key(|token| !token.narrowing.is_as_configured());
        kept
    }

    pub(super) fn configure_kept(&mut self, now: Now, enabled: bool) {
        let before = std::mem::replace(&mut self.kept.enabled, enabled);
        match (before, enabled) {
            (true, false) => self.keep_now(),
            (false, true) => self.keep_soon(now),
            _ => {}
        }
    }

    /// Asks for what an earlier daemon kept.
    pub(super) fn load_kept(&mut self, now: Now) {
        if self.kept.enabled {
            let until = now.boot.after(LONGEST_LOADING);
            self.kept.loading = Some(until);
            self.timers.add(until, Due::Loading);
            self.effects.push_back(Effect::LoadTokens);
        }
    }

    pub(super) fn kept_loaded(&mut self, now: Now, tokens: Vec<KeptToken>) {
        let Some(until) = self.kept.loading.take() else { return }; // too late: all was fetched anew
        self.timers.remove(until, Due::Loading);
        self.kept.loaded = tokens;
        if self.inventory.known {
            self.begin(now);
        }
    }

    pub(super) fn kept_not_loaded(&mut self, now: Now) {
        self.kept.loading = None;
        if self.inventory.known {
            self.begin(now);
        }
    }

    /// Serves what was kept, as far as it still fits.
    pub(super) fn restore(&mut self, now: Now) {
        let loaded = std::mem::take(&mut self.kept.loaded);
        let kept = loaded.len();
        let restored = loaded.into_iter().filter_map(|kept| self.restore_one(now, kept)).count();
        if restored > 0 {
            self.effects.push_back(Effect::Note(Note::Restored { tokens: restored }));
        }
        if restored < kept {
            self.keep_soon(now);
        }
    }

    fn restore_one(&mut self, now: Now, kept: KeptToken) -> Option<()> {
        let state = self.clients.get(&kept.client)?;
        // A next credential may have been accepted without the key store having been told.
        let next = state.next.as_ref().map(|next| &next.stored);
        let known = state.credential.iter().chain(next);
        let version = known.map(|known| &known.version).find(|version| **version == kept.credential)?.clone();
        let serve_until = serve_until(kept.expires, kept.lifetime);
        let fits = binding(&kept.narrowing.applied_to(&state.config)) == kept.binding
            && kept.lifetime <= state.config.issuer.max_lifetime
            && now.boot.until(kept.expires) <= kept.lifetime
            && now.boot < serve_until;
        if !fits {
            return None;
        }
        let renew_at = state.config.renew_at;
        let handle = self.token_key(now, &kept.client, &kept.narrowing).ok()?;
        let interval = renewal_interval(kept.lifetime, renew_at, &mut self.random);
        let token = self.tokens.get_mut(&handle).filter(|token| token.held.is_none())?;
        token.generation += 1;
        let published = Arc::new(Published {
            access_token: kept.access_token,
            scope: kept.scope,
            generation: token.generation,
            expires: kept.expires,
            serve_until,
            lifetime: kept.lifetime,
        });
        let age = kept.lifetime.saturating_sub(now.boot.until(kept.expires));
        token.got_with = Some(version.clone());
        token.expires_by_wall_clock = (!kept.same_boot).then(|| wall_clock(now));
        token.attempted_at = now.boot;
        token.held = Some(Arc::clone(&published));
        publish(&token.cell, Some(published), &mut self.effects);
        let due = if kept.same_boot { now.boot.after(interval.saturating_sub(age)) } else { now.boot };
        self.set_due(handle, Some(due));
        self.clients.get_mut(&kept.client)?.accepted = Some(version);
        self.answer_waiters(now, handle);
        Some(())
    }

    /// Somebody set the wall clock. Lifetimes don't depend on it, but for tokens of another boot: those whose expiry was
    /// read off a clock that was behind end earlier than it said.
    pub(super) fn wall_clock_set(&mut self, now: Now) {
        self.effects.push_back(Effect::Note(Note::WallClockSet));
        for token in self.tokens.values_mut() {
            let (Some(before), Some(held)) = (&mut token.expires_by_wall_clock, &mut token.held) else {
                continue;
            };
            let forward = wall_clock(now) - std::mem::replace(before, wall_clock(now));
            let forward = Duration::from_secs(u64::try_from(forward).unwrap_or(0));
            let left = now.boot.until(held.expires).saturating_sub(forward);
            held_until(held, &token.cell, now.boot.after(left), &mut self.effects);
        }
        self.keep_soon(now);
    }

    /// The tokens changed, and are written down when that was not done a moment ago.
    pub(super) fn keep_soon(&mut self, now: Now) {
        if !self.kept.enabled || !self.has_begun() || self.kept.write_at.is_some() {
            return;
        }
        let held = self.tokens.values().filter_map(|token| token.held.as_ref());
        let bytes: usize = held.map(|held| held.access_token.secret().len()).sum();
        let pause = Duration::from_secs_f64(bytes as f64 / WRITTEN_PER_SECOND as f64).max(SHORTEST_PAUSE);
        let write_at = now.boot.after(pause);
        self.kept.write_at = Some(write_at);
        self.timers.add(write_at, Due::Keeping);
    }

    /// Writes the tokens down at once: those that are gone must not outlive it. Before it is known what was kept, there
    /// is nothing to put in its place.
    pub(super) fn keep_now(&mut self) {
        if self.kept.enabled && !self.has_begun() {
            return;
        }
        if let Some(write_at) = self.kept.write_at.take() {
            self.timers.remove(write_at, Due::Keeping);
        }
        self.effects.push_back(Effect::KeepTokens);
    }
}

/// By how many seconds the wall clock is ahead of the time since boot.
fn wall_clock(now: Now) -> i64 {
    let boot = now.boot.since(Moment::BOOT).as_secs();
    i64::try_from(now.unix).unwrap_or(i64::MAX) - i64::try_from(boot).unwrap_or(i64::MAX)
}

/// All that makes a token what it is, besides the credential; the same words in every version of the broker.
fn binding(client: &config::Client) -> String {
    let auth = client.auth.name();
    let endpoint = match &client.issuer.endpoint {
        EndpointSource::Named { endpoint, .. } => endpoint.as_str(),
        EndpointSource::Discover(issuer) => issuer.as_str(),
    };
    let mut words = format!(
        "client_id={:?} auth={auth} issuer={:?} endpoint={endpoint:?}",
        client.client_id, client.issuer.name
    );
    let mut add = |key: &str, value: &str| {
        let _never_fails = write!(words, " {key}={value:?}");
    };
    if let Some(scope) = &client.scope {
        add("scope", &scope.to_string());
    }
    client.resource.iter().for_each(|resource| add("resource", resource));
    if let Some(audience) = &client.audience {
        add("audience", audience);
    }
    for (key, value) in &client.params {
        add(&format!("param {key:?}"), value);
    }
    let certificates =
        client.certificates.iter().filter_map(|certificates| certificates.content.as_ref().ok());
    certificates.flatten().for_each(|certificate| add("certificate", &certificate.fingerprint()));
    words
}
