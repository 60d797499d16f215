//! What the server knows: how it was built, its clients, the tokens it issued, what it has counted.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::fault::Fault;
use super::metadata::Discovery;
use crate::{Client, clock};

/// The part of a server that outlives [`AuthServer::stop`](super::AuthServer::stop).
pub(super) struct Server {
    pub(super) settings: Settings,
    state: Mutex<State>,
}

impl Server {
    pub(super) fn new(settings: Settings, lifetime: Duration) -> Self {
        Self { settings, state: Mutex::new(State::new(lifetime)) }
    }

    /// A test that panics while it holds the state must not take the others with it.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What does not change while the server lives.
pub(super) struct Settings {
    /// Scheme, host and port.
    pub(super) origin: String,
    /// The issuer's path: empty, or with a slash at its start and none at its end.
    pub(super) path: String,
    pub(super) issuer: String,
    pub(super) claimed_issuer: Option<String>,
    pub(super) discovery: Discovery,
    pub(super) raw_basic: bool,
    pub(super) audience_is_token_endpoint: bool,
    pub(super) assertion_typ: String,
}

impl Settings {
    pub(super) fn token_endpoint(&self) -> String {
        format!("{}/token", self.issuer)
    }

    pub(super) fn audience(&self) -> String {
        if self.audience_is_token_endpoint { self.token_endpoint() } else { self.issuer.clone() }
    }
}

/// What changes.
pub(super) struct State {
    clients: HashMap<String, Client>,
    pub(super) lifetime: Duration,
    /// Each token issued, and until when it lives.
    pub(super) tokens: HashMap<String, Instant>,
    /// Client ID and `jti` of each assertion that was accepted.
    pub(super) used_assertions: HashSet<(String, String)>,
    pub(super) fault: Fault,
    pub(super) client_faults: HashMap<String, Fault>,
    pub(super) metadata_fault: Fault,
    pub(super) counts: HashMap<String, Counts>,
    /// By client ID, what its token requests were for.
    pub(super) asked: HashMap<String, Vec<Asked>>,
    pub(super) metadata_requests: u64,
}

impl State {
    fn new(lifetime: Duration) -> Self {
        Self {
            clients: HashMap::new(),
            lifetime,
            tokens: HashMap::new(),
            used_assertions: HashSet::new(),
            fault: Fault::None,
            client_faults: HashMap::new(),
            metadata_fault: Fault::None,
            counts: HashMap::new(),
            asked: HashMap::new(),
            metadata_requests: 0,
        }
    }

    pub(super) fn register(&mut self, client: Client) {
        self.clients.insert(client.id.clone(), client);
    }

    pub(super) fn unregister(&mut self, client_id: &str) {
        self.clients.remove(client_id);
    }

    pub(super) fn client(&self, client_id: &str) -> Option<&Client> {
        self.clients.get(client_id)
    }

    /// For the test's own calls: a client that is not there is a mistake in the test.
    pub(super) fn client_mut(&mut self, client_id: &str) -> &mut Client {
        self.clients.get_mut(client_id).expect("the client is registered")
    }

    /// Makes a token that lives from now on for the time returned with it.
    pub(super) fn issue(&mut self, lifetime: Option<Duration>) -> (String, Duration) {
        let mut random = [0; 32];
        rand::fill(&mut random).expect("the system has random bytes");
        let token = BASE64_URL_SAFE_NO_PAD.encode(random);
        let lifetime = lifetime.unwrap_or(self.lifetime);
        self.tokens.insert(token.clone(), clock::now() + lifetime);
        (token, lifetime)
    }

    pub(super) fn is_live(&self, token: &str) -> bool {
        self.tokens.get(token).is_some_and(|expires| clock::now() < *expires)
    }

    pub(super) fn token_fault(&self, client_id: &str) -> Fault {
        self.client_faults.get(client_id).unwrap_or(&self.fault).clone()
    }

    pub(super) fn counts_of(&mut self, client_id: &str) -> &mut Counts {
        self.counts.entry(client_id.into()).or_default()
    }
}

/// What a token request was for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// `scope`, as it was sent.
    pub scope: Option<String>,
    /// Each `resource` (RFC 8707), in the order in which they were sent.
    pub resource: Vec<String>,
    /// `audience`.
    pub audience: Option<String>,
}

/// Token requests of one client. Those that are neither accepted nor rejected were not answered (yet).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct Counts {
    /// All that arrived whole.
    pub requests: u64,
    /// Those for which a token was issued.
    pub accepted: u64,
    /// Those that were answered without one.
    pub rejected: u64,
}
