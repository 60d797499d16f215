//! The configured clients: what comes and goes with the configuration, and what is known of their credentials.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::refusal::Refusals;
use super::retry::Retry;
use super::rotation::Next;
use super::timers::Due;
use super::token::TokenState;
use super::{
    Effect, Engine, Expiring, Failure, KeyStoreFailure, Note, Outcomes, Refusal, Store, StoredCredential,
};
use crate::certificate::Certificate;
use crate::config::{self, ClientName, Config};
use crate::narrowing::Narrowing;
use crate::policy::Access;
use crate::slots::{Cell, Slot, first_handle};
use crate::time::{Moment, Now};

/// What is known of a client besides its tokens.
#[derive(Debug)]
pub(super) struct ClientState {
    pub(super) config: Arc<config::Client>,
    /// The token key that the configuration names.
    pub(super) configured: u64,
    /// Those that callers asked for besides.
    pub(super) narrowed: BTreeMap<Narrowing, u64>,
    /// The last of their handles that was given out.
    pub(super) last_handle: u64,
    /// The credential the key store holds, as far as is known.
    pub(super) credential: Option<StoredCredential>,
    /// The version of the one whose place it took.
    pub(super) retired: Option<Arc<str>>,
    /// The one that is to take its place.
    pub(super) next: Option<Box<Next>>,
    /// The certificate that was shown last.
    pub(super) certificate: Option<Arc<Certificate>>,
    /// What the operator was told of last that it expires soon, and when.
    pub(super) expiry_told: Option<(Expiring, Moment)>,
    /// The version of the last credential that got a token: a refusal of it may be the server's bad day.
    pub(super) accepted: Option<Arc<str>>,
    pub(super) refusals: Refusals,
    /// An assertion dated by the server's clock was refused: the next is dated by ours.
    pub(super) dates_by_our_clock: bool,
    /// Since the start, whatever the token key was; failed ones included.
    pub(super) token_requests: u64,
    pub(super) outcomes: Outcomes,
    pub(super) slot: Arc<Slot>,
}

/// What is known of the key store as a whole.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) known: bool,
    /// The last listing failed, and the next is due at this time.
    pub(super) failed: Option<(Failure, Moment)>,
    retry: Retry,
}

impl Engine {
    /// Takes over a configuration: clients that did not change keep their tokens. Who may have them is said before
    /// the first caller can ask.
    pub(super) fn configure(&mut self, config: &Config, access: BTreeMap<ClientName, Arc<Access>>, now: Now) {
        self.configure_issuers(config);
        self.configure_kept(now, config.daemon.keep_tokens);
        let gone: Vec<_> =
            self.clients.keys().filter(|name| !config.clients.contains_key(*name)).cloned().collect();
        for name in gone {
            self.untold.forget(&name);
            self.remove_client(now, &name, &Refusal::unknown_client());
        }
        for (name, client) in &config.clients {
            match self.clients.get_mut(name) {
                Some(state) if state.config == *client => {}
                Some(state)
                    if is_same_token(&state.config, client) && shows_the_same(&state.config, client) =>
                {
                    let replan = state.config.renew_at != client.renew_at;
                    state.config = Arc::clone(client);
                    self.configuration_changed(now, name, replan);
                }
                Some(_) => self.replace_client(now, client),
                None => self.add_client(now, client),
            }
        }
        for (name, access) in access {
            if let Some(state) = self.clients.get(&name) {
                state.slot.permit(access);
            }
        }
        let slots = self.clients.iter().map(|(name, state)| (name.clone(), Arc::clone(&state.slot)));
        self.slots.replace(slots.collect());
        self.open_gates(now);
    }

    fn add_client(&mut self, now: Now, client: &Arc<config::Client>) {
        self.last_client += 1;
        let handle = first_handle(self.last_client);
        let cell = Arc::new(Cell::new(handle));
        let state = ClientState {
            config: Arc::clone(client),
            configured: handle,
            narrowed: BTreeMap::new(),
            last_handle: handle,
            credential: None,
            retired: None,
            next: None,
            certificate: None,
            expiry_told: None,
            accepted: None,
            refusals: Refusals::default(),
            dates_by_our_clock: false,
            token_requests: 0,
            outcomes: Outcomes::default(),
            slot: Arc::new(Slot::new(client.name.clone(), Arc::clone(&cell))),
        };
        self.clients.insert(client.name.clone(), Box::new(state));
        let token = TokenState::new(Arc::clone(client), Narrowing::default(), cell);
        self.tokens.insert(handle, Box::new(token));
        if self.has_begun() {
            // Only the key store knows whether the new client has a credential: the first attempt asks it.
            self.set_due(handle, Some(now.boot));
        }
    }

    fn remove_client(&mut self, now: Now, name: &ClientName, refusal: &Refusal) -> Option<Box<ClientState>> {
        // While its issuer can still be told: the attempts under way give their places at the gate back.
        for handle in self.handles_of(name) {
            self.drop_token_state(now, handle, refusal);
        }
        self.keep_soon(now);
        self.clients.remove(name)
    }

    /// The client's configuration changed so that its token is another: it starts anew, with what is known of its
    /// credential and what was counted. Whoever waits was permitted the old token, which says nothing about the new one.
    fn replace_client(&mut self, now: Now, client: &Arc<config::Client>) {
        let refusal = Refusal::client_changed(&client.name, now);
        let Some(old) = self.remove_client(now, &client.name, &refusal) else { return };
        self.add_client(now, client);
        if let Some(state) = self.clients.get_mut(&client.name) {
            state.accepted = old.accepted.filter(|_| is_same_registration(&old.config, client));
            (state.credential, state.next) = (old.credential, old.next);
            state.forget_what_was_said_of_next();
            (state.token_requests, state.outcomes) = (old.token_requests, old.outcomes);
            state.slot.count_on(&old.slot);
        }
    }

    /// The key store has been listed. It says nothing new of clients that had an attempt or a change meanwhile.
    pub(super) fn inventory_taken(
        &mut self,
        now: Now,
        result: Result<Vec<StoredCredential>, KeyStoreFailure>,
    ) {
        let found = match result {
            Ok(found) => found,
            Err(failure) => return self.inventory_failed(now, Failure::from(failure)),
        };
        self.inventory = Inventory { known: true, ..Inventory::default() };
        for credential in found {
            let Some(state) = self.clients.get_mut(&credential.client) else { continue };
            let is_news = self.tokens.get(&state.configured).is_some_and(|token| token.awaits_inventory());
            match credential.is_next {
                _ if !is_news => continue,
                true => state.know_next(Some(&credential)),
                false => state.credential = Some(credential.clone()),
            }
            self.mind_expiry(now, &credential.client);
        }
        if self.has_begun() {
            self.begin(now);
        }
    }

    /// It is known what there is: nothing is tried before.
    pub(super) fn has_begun(&self) -> bool {
        self.inventory.known && !self.kept.is_loading()
    }

    /// Serves what an earlier daemon kept, and fetches the rest.
    pub(super) fn begin(&mut self, now: Now) {
        self.restore(now);
        let waiting = self.tokens.iter().filter(|(_, token)| token.awaits_inventory());
        for handle in waiting.map(|(handle, _)| *handle).collect::<Vec<_>>() {
            let Some(client) = self.tokens.get(&handle).map(|token| &token.client) else { continue };
            let has_credential = self.clients.get(client).is_some_and(|state| state.credential.is_some());
            self.inventory_told(now, handle, has_credential);
        }
    }

    fn inventory_failed(&mut self, now: Now, failure: Failure) {
        let wait = self.inventory.retry.failed(failure.class, false, None, &mut self.random);
        let next_try = now.boot.after(wait);
        self.timers.add(next_try, Due::Inventory);
        self.effects.push_back(Effect::Note(Note::KeyStoreUnavailable {
            failure: failure.clone(),
            next_try_in: wait,
        }));
        self.inventory.failed = Some((failure, next_try));
    }

    /// A client's credentials were changed through the broker. A new one in use is tried at once; a next one when a token is
    /// due anyway, or where something failed.
    pub(super) fn credentials_changed(
        &mut self,
        now: Now,
        client: &ClientName,
        current: Option<StoredCredential>,
        next: Option<&StoredCredential>,
    ) {
        let Some(current) = current else { return self.credentials_removed(now, client) };
        let Some(state) = self.clients.get_mut(client) else { return };
        let is_same = state.credential.as_ref().is_some_and(|known| known.version == current.version);
        let changed = (!is_same).then(|| current.version.clone());
        state.credential = Some(current);
        if changed.is_some() {
            state.refusals = Refusals::default();
            (state.certificate, state.expiry_told) = (None, None);
        }
        self.next_changed(now, client, next);
        self.mind_expiry(now, client);
        let Some(version) = changed else { return };
        for handle in self.handles_of(client) {
            // The key store may have told of it before whoever stored it did.
            if !self.tokens.get(&handle).is_some_and(|token| token.is_got_with(&version)) {
                self.credential_changed(now, handle);
            }
        }
    }

    /// Where credentials rest has changed, and nothing else of them.
    pub(super) fn credentials_moved(&mut self, store: Store) {
        let is_moved = |stored: &&mut StoredCredential| stored.store != Store::SystemdCredentials;
        for state in self.clients.values_mut() {
            let next = state.next.as_mut().map(|next| &mut next.stored);
            state.credential.iter_mut().chain(next).filter(is_moved).for_each(|stored| stored.store = store);
        }
    }

    pub(super) fn credentials_removed(&mut self, now: Now, client: &ClientName) {
        self.drop_narrowed_of(now, client);
        let Some(state) = self.clients.get_mut(client) else { return };
        (state.credential, state.next, state.accepted) = (None, None, None);
        let handle = state.configured;
        self.credential_gone(now, handle);
        self.keep_now();
    }

    /// How a client's tokens are got changed, though not what they are: what failed before may work now.
    fn configuration_changed(&mut self, now: Now, name: &ClientName, replan: bool) {
        let Some(state) = self.clients.get_mut(name) else { return };
        let config = Arc::clone(&state.config);
        state.refusals = Refusals::default();
        state.forget_what_was_said_of_next();
        for handle in self.handles_of(name) {
            let Some(token) = self.tokens.get_mut(&handle) else { continue };
            token.config = token.narrowing.applied_to(&config);
            if token.last_failure.is_some() {
                self.credential_changed(now, handle);
            } else if replan {
                self.plan_renewal_again(now, handle);
            }
        }
    }
}

/// Whether a token issued under one configuration is what the other asks for (the token key, and who issues it).
fn is_same_token(old: &config::Client, new: &config::Client) -> bool {
    is_same_registration(old, new)
        && old.scope == new.scope
        && old.resource == new.resource
        && old.audience == new.audience
        && old.params == new.params
}

/// Whether the certificates are still there that tokens may be bound to (RFC 8705 section 3).
fn shows_the_same(old: &config::Client, new: &config::Client) -> bool {
    match (&old.certificates, &new.certificates) {
        (Some(old), Some(new)) => new.include(old),
        (None, _) | (_, None) => true,
    }
}

/// Whether a credential that was accepted under one configuration should be under the other.
fn is_same_registration(old: &config::Client, new: &config::Client) -> bool {
    old.client_id == new.client_id
        && old.auth == new.auth
        && old.issuer.name == new.issuer.name
        && old.issuer.endpoint == new.issuer.endpoint
}
