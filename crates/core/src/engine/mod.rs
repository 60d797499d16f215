//! The state machine of all tokens: events and `now` go in, effects and the next deadline come out.
//!
//! A driver feeds [`Engine::handle`] with what happened, calls [`Engine::handle_timeout`] when
//! [`Engine::poll_timeout`] has passed, and after either carries out what [`Engine::poll_effect`] gives, until it
//! gives nothing more. Each effect that asks for something names the event that answers it. The engine never
//! waits: a hung server, key store or caller is a deadline like any other.
//!
//! - `event`, `effect`: what goes in and what comes out
//! - `clients`: what comes and goes with the configuration, and what is known of credentials
//! - `token`: the renewal clock and the current token of one token key
//! - `narrowed`: the token keys that callers ask for besides the configured one
//! - `waiting`: the callers that wait for it, and what they are answered
//! - `rejection`: what callers say of tokens that a resource refused
//! - `attempt`: the steps of one token request, from the credential to the outcome
//! - `issuer`: where an issuer's token endpoint is, what its `server_clock` says, and its budget (`gate`)
//! - `retry`: when to try again; `refusal`: when a client's credential is tried again
//! - `rotation`: a next credential beside the one in use; `expiry`: when one will be worth nothing
//! - `kept`: the tokens that outlive the daemon
//! - `failure`: what went wrong, in an operator's words; `explain`: all the rest

mod attempt;
mod clients;
mod effect;
mod event;
mod expiry;
mod explain;
mod failure;
mod gate;
mod issuer;
mod kept;
mod narrowed;
mod refusal;
mod rejection;
mod retry;
mod rotation;
mod server_clock;
mod status;
mod timers;
mod token;
mod waiting;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;

pub use self::effect::{Effect, Expiring, Granted, Note, Party, Reason, Refusal, TlsIdentity};
pub use self::event::{
    Credential, CredentialKind, Credentials, Event, LoadedCredential, Store, StoredCredential,
};
pub use self::failure::{Failure, KeyStoreFailure, TransportFailure, TransportKind, with_environment_hint};
pub use self::kept::{KeptToken, TokenToKeep};
pub use self::narrowed::MAX_NARROWED;
pub use self::status::{ClientStatus, NextCredential, Outcomes, Size, State};

use self::clients::{ClientState, Inventory};
use self::issuer::IssuerState;
use self::kept::Kept;
use self::rotation::Untold;
use self::timers::{Due, Timers};
use self::token::TokenState;
use self::waiting::Waiter;
use crate::config::{ClientName, Config};
use crate::slots::Slots;
use crate::time::{Moment, Now};

/// Names a waiting caller; chosen by the driver, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaiterId(pub u64);

/// Names something under way outside of the engine; chosen by the engine, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(u64);

/// The state of every token; see the [module](self).
#[derive(Debug)]
pub struct Engine {
    issuers: BTreeMap<Arc<str>, IssuerState>,
    // In boxes: a node of such a tree has room for eleven, and most of it stays empty.
    clients: BTreeMap<ClientName, Box<ClientState>>,
    tokens: BTreeMap<u64, Box<TokenState>>,
    waiters: HashMap<WaiterId, Waiter>,
    operations: HashMap<OperationId, Operation>,
    inventory: Inventory,
    /// When it is looked next which credentials expire soon; `None` while none is known to.
    expiry_check: Option<Moment>,
    untold: Untold,
    kept: Kept,
    timers: Timers,
    effects: VecDeque<Effect>,
    slots: Arc<Slots>,
    random: StdRng,
    last_client: u64,
    last_operation: u64,
}

/// Whom the outcome of something under way concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Operation {
    Token(u64),
    Discovery(Arc<str>),
}

impl Engine {
    /// Starts with nothing fetched: the first effects ask what was kept, and what the key store holds.
    ///
    /// All jitter and every `jti` is drawn from `seed`; the daemon takes it from the operating system.
    pub fn new(config: &Config, seed: [u8; 32], now: Now) -> Self {
        let mut engine = Self {
            issuers: BTreeMap::new(),
            clients: BTreeMap::new(),
            tokens: BTreeMap::new(),
            waiters: HashMap::new(),
            operations: HashMap::new(),
            inventory: Inventory::default(),
            expiry_check: None,
            untold: Untold::default(),
            kept: Kept::default(),
            timers: Timers::default(),
            effects: VecDeque::new(),
            slots: Arc::default(),
            random: StdRng::from_seed(seed),
            last_client: 0,
            last_operation: 0,
        };
        engine.configure(config, BTreeMap::new(), now);
        engine.load_kept(now);
        engine.effects.push_back(Effect::ListCredentials);
        engine
    }

    /// Where the tokens are published.
    pub fn slots(&self) -> &Arc<Slots> {
        &self.slots
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Now, event: Event) {
        match event {
            Event::Inventory(result) => self.inventory_taken(now, result),
            Event::Credential { operation, result } => self.credential_loaded(now, operation, result),
            Event::Signed { operation, result } => self.signed(now, operation, result),
            Event::Response { operation, result } => match self.operations.remove(&operation) {
                Some(Operation::Token(token)) => self.token_responded(now, token, result),
                Some(Operation::Discovery(issuer)) => {
                    self.metadata_responded(now, &issuer, operation, result);
                }
                None => {} // of something that was given up meanwhile
            },
            Event::Get { waiter, client, narrowing, min_ttl, deadline } => {
                self.get(now, waiter, &client, &narrowing, min_ttl, deadline);
            }
            Event::Rejected { waiter, client, handle, generation, deadline } => {
                self.rejected(now, waiter, &client, handle, generation, deadline);
            }
            Event::Renew { waiter, client, deadline } => self.renew(now, waiter, &client, deadline),
            Event::Gone(waiter) => self.gone(now, waiter),
            Event::CredentialsChanged { client, current, next } => {
                self.credentials_changed(now, &client, current, next.as_ref());
            }
            Event::Promoted { client, result } => self.promoted(now, client, result),
            Event::CredentialsMoved(store) => self.credentials_moved(store),
            Event::Restored(tokens) => self.kept_loaded(now, tokens),
            Event::WallClockSet => self.wall_clock_set(now),
            Event::Configured { config, access } => self.configure(&config, access, now),
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.timers.earliest()
    }

    /// Does what is due by now.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(due) = self.timers.pop(now.boot) {
            match due {
                Due::Token(token) => self.token_due(now, token),
                Due::Waiter(waiter) => self.give_up_waiting(now, waiter),
                Due::Issuer(issuer) => self.gate_opens(now, &issuer),
                Due::Inventory => self.effects.push_back(Effect::ListCredentials),
                Due::Loading => self.kept_not_loaded(now),
                Due::Keeping => self.keep_now(),
                Due::Promotions => self.tell_again(),
                Due::Expiries => self.check_expiries(now),
            }
        }
    }

    /// What is to be done next.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn next_operation(&mut self, operation: Operation) -> OperationId {
        self.last_operation += 1;
        let id = OperationId(self.last_operation);
        self.operations.insert(id, operation);
        id
    }
}

#[cfg(test)]
mod tests;
