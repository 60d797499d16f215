//! The configured clients: what comes and goes with the configuration, and what is known of their credentials.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::retry::Retry;
use super::timers::Due;
use super::token::TokenState;
use super::{Effect, Engine, Failure, KeyStoreFailure, Note, Refusal, StoredCredential};
use crate::config::{self, ClientName, Config};
use crate::policy::Access;
use crate::slots::Slot;
use crate::time::{Moment, Now};

/// What is known of a client besides its tokens.
#[derive(Debug)]
pub(super) struct ClientState {
    pub(super) config: Arc<config::Client>,
    /// The token key that the configuration names.
    pub(super) configured: u64,
    /// The credential the key store holds, as far as is known.
    pub(super) credential: Option<StoredCredential>,
    /// The version of the last credential that got a token: a refusal of it may be the server's bad day.
    pub(super) accepted: Option<String>,
    /// Since the start, whatever the token key was; failed ones included.
    pub(super) token_requests: u64,
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
    pub(super) fn configure(&mut self, config: &Config, access: BTreeMap<ClientName, Access>, now: Now) {
        self.configure_issuers(config);
        let gone: Vec<_> =
            self.clients.keys().filter(|name| !config.clients.contains_key(*name)).cloned().collect();
        for name in gone {
            self.remove_client(now, &name, &Refusal::unknown_client());
        }
        for (name, client) in &config.clients {
            match self.clients.get_mut(name) {
                Some(state) if state.config == *client => {}
                Some(state) if is_same_token(&state.config, client) => {
                    state.config = Arc::clone(client);
                    let handle = state.configured;
                    self.configuration_changed(now, handle);
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
        self.last_handle += 1;
        let handle = self.last_handle;
        let state = ClientState {
            config: Arc::clone(client),
            configured: handle,
            credential: None,
            accepted: None,
            token_requests: 0,
            slot: Arc::new(Slot::new(handle)),
        };
        self.clients.insert(client.name.clone(), state);
        self.tokens.insert(handle, TokenState::new(client.name.clone()));
        if self.inventory.known {
            // Only the key store knows whether the new client has a credential: the first attempt asks it.
            self.set_due(handle, Some(now.boot));
        }
    }

    fn remove_client(&mut self, now: Now, name: &ClientName, refusal: &Refusal) -> Option<ClientState> {
        let handle = self.clients.get(name)?.configured;
        // While its issuer can still be told: the attempt under way gives its place at the gate back.
        self.drop_token_state(now, handle, refusal);
        let state = self.clients.remove(name)?;
        state.slot.publish(None);
        Some(state)
    }

    /// The client's configuration changed so that its token is another: it starts anew, with what is known of its
    /// credential and what was counted. Whoever waits was permitted the old token, which says nothing about the new one.
    fn replace_client(&mut self, now: Now, client: &Arc<config::Client>) {
        let refusal = Refusal::client_changed(&client.name, now);
        let Some(old) = self.remove_client(now, &client.name, &refusal) else { return };
        self.add_client(now, client);
        if let Some(state) = self.clients.get_mut(&client.name) {
            state.accepted = old.accepted.filter(|_| is_same_registration(&old.config, client));
            state.credential = old.credential;
            state.token_requests = old.token_requests;
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
        let mut found: HashMap<_, _> =
            found.into_iter().map(|credential| (credential.client.clone(), credential)).collect();
        let waiting: Vec<u64> = self
            .tokens
            .iter()
            .filter(|(_, token)| token.awaits_inventory())
            .map(|(handle, _)| *handle)
            .collect();
        for handle in waiting {
            let Some(client) = self.client_of(handle).map(|client| client.name.clone()) else { continue };
            let credential = found.remove(&client);
            let has_credential = credential.is_some();
            if let Some(state) = self.clients.get_mut(&client) {
                state.credential = credential;
            }
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

    pub(super) fn credential_stored(&mut self, now: Now, credential: StoredCredential) {
        let Some(state) = self.clients.get_mut(&credential.client) else { return };
        let handle = state.configured;
        state.credential = Some(credential);
        self.credential_changed(now, handle);
    }

    pub(super) fn credentials_removed(&mut self, now: Now, client: &ClientName) {
        let Some(state) = self.clients.get_mut(client) else { return };
        (state.credential, state.accepted) = (None, None);
        let handle = state.configured;
        self.credential_gone(now, handle);
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

/// Whether a credential that was accepted under one configuration should be under the other.
fn is_same_registration(old: &config::Client, new: &config::Client) -> bool {
    old.client_id == new.client_id
        && old.auth == new.auth
        && old.issuer.name == new.issuer.name
        && old.issuer.endpoint == new.issuer.endpoint
}
