//! Where an issuer's token endpoint is, and how much it may be asked.

use std::sync::Arc;
use std::time::Duration;

use tokenbroker_oauth::{Endpoint, HttpRequest, HttpResponse, Issuer, Metadata, MetadataError};

use super::failure::{Failure, TransportFailure};
use super::gate::Gate;
use super::retry::Retry;
use super::server_clock::ServerClock;
use super::timers::Due;
use super::{Effect, Engine, Note, Operation, OperationId};
use crate::config::{self, Config, EndpointSource};
use crate::time::{Moment, Now};

/// How long metadata counts. Endpoints move rarely, and a failing lookup never makes a known one unknown.
const METADATA_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The state of one issuer.
#[derive(Debug)]
pub(super) struct IssuerState {
    config: Arc<config::Issuer>,
    pub(super) gate: Gate,
    /// When the gate lets the next one in, if it is a matter of time.
    pub(super) opens: Option<Moment>,
    discovery: Discovery,
    clock: ServerClock,
}

/// What is known of the token endpoint by discovery (RFC 8414, OpenID Connect Discovery).
#[derive(Debug, Default)]
struct Discovery {
    known: Option<(Endpoints, Moment)>,
    /// The lookup under way, and which of the two metadata URLs it asks since when.
    asking: Option<(OperationId, usize, Moment)>,
    /// The last lookup failed.
    failed: Option<DiscoveryFailure>,
    retry: Retry,
}

/// Where an issuer's tokens are asked for.
#[derive(Debug, Clone)]
pub(super) struct Endpoints {
    token: Endpoint,
    /// By clients that show a certificate; if it can't be used, why.
    mtls: Result<Endpoint, Failure>,
}

impl Endpoints {
    fn one(endpoint: &Endpoint) -> Self {
        Self { token: endpoint.clone(), mtls: Ok(endpoint.clone()) }
    }

    /// Where this client asks.
    pub(super) fn of(&self, client: &config::Client) -> Result<Endpoint, Failure> {
        if client.auth.is_tls() { self.mtls.clone() } else { Ok(self.token.clone()) }
    }
}

/// Why the token endpoint is not known: everybody's failure until it is looked up again.
#[derive(Debug, Clone)]
pub(super) struct DiscoveryFailure {
    pub(super) failure: Failure,
    pub(super) until: Moment,
}

impl Engine {
    /// Takes over the configured issuers. One that moved is discovered anew; budgets change at once.
    pub(super) fn configure_issuers(&mut self, config: &Config) {
        let timers = &mut self.timers;
        self.issuers.retain(|name, state| {
            let stays = config.issuers.contains_key(&**name);
            if let Some(opens) = state.opens.filter(|_| !stays) {
                timers.remove(opens, Due::Issuer(Arc::clone(name)));
            }
            stays
        });
        for (name, issuer) in &config.issuers {
            match self.issuers.get_mut(name.as_str()) {
                Some(state) => state.configure(issuer),
                None => {
                    self.issuers.insert(name.as_str().into(), IssuerState::new(issuer));
                }
            }
        }
    }

    pub(super) fn issuer_of(&self, handle: u64) -> Option<Arc<str>> {
        let client = self.client_of(handle)?;
        self.issuers.get_key_value(client.issuer.name.as_str()).map(|(name, _)| Arc::clone(name))
    }

    /// The token endpoint, or why it is not known; `None` while it is being looked up, which ends in
    /// [`discovered`](Self::discovered). One that is known is used while it is looked up again.
    pub(super) fn endpoint_of(
        &mut self,
        now: Now,
        issuer: &config::Issuer,
    ) -> Option<Result<Endpoints, DiscoveryFailure>> {
        let identifier = match &issuer.endpoint {
            EndpointSource::Named { endpoint, .. } => return Some(Ok(Endpoints::one(endpoint))),
            EndpointSource::Discover(identifier) => identifier,
        };
        let discovery = &self.issuers.get(issuer.name.as_str())?.discovery;
        let is_fresh = |(_, at): &(Endpoints, Moment)| now.boot.since(*at) < METADATA_LIFETIME;
        let is_due = discovery.asking.is_none() && !discovery.known.as_ref().is_some_and(is_fresh);
        let known = discovery.known.as_ref().map(|(endpoints, _)| endpoints.clone());
        let failed = discovery.failed.clone().filter(|failed| now.boot < failed.until);
        if is_due && failed.is_none() {
            self.ask(now, issuer, identifier, 0);
        }
        known.map(Ok).or(failed.map(Err))
    }

    /// Asks one of the places where the issuer's metadata may be.
    fn ask(&mut self, now: Now, issuer: &config::Issuer, identifier: &Issuer, place: usize) {
        let Some((name, _)) = self.issuers.get_key_value(issuer.name.as_str()) else { return };
        let operation = self.next_operation(Operation::Discovery(Arc::clone(name)));
        let Some(state) = self.issuers.get_mut(issuer.name.as_str()) else { return };
        let [rfc8414, openid] = identifier.metadata_urls();
        let url = if place == 0 { rfc8414 } else { openid };
        state.discovery.asking = Some((operation, place, now.boot));
        let request = HttpRequest::get(url);
        let issuer = Arc::clone(&state.config);
        self.effects.push_back(Effect::Send { operation, issuer, request, identity: None });
    }

    pub(super) fn metadata_responded(
        &mut self,
        now: Now,
        issuer: &Arc<str>,
        operation: OperationId,
        result: Result<HttpResponse, TransportFailure>,
    ) {
        let Some(state) = self.issuers.get_mut(issuer) else { return };
        let config = Arc::clone(&state.config);
        let EndpointSource::Discover(identifier) = &config.endpoint else { return };
        let Some((_, place, asked_at)) = state.discovery.asking.take_if(|(asked, ..)| *asked == operation)
        else {
            return;
        };
        if let Ok(response) = &result {
            self.learn_time(now, issuer, asked_at, response);
        }
        let unix = self.server_clock(issuer).unix(now);
        let failure = match result {
            Err(failure) => Failure::transport(failure, config.timeout),
            Ok(response) => match Metadata::parse(&response, identifier, config.plain_http) {
                Ok(metadata) => {
                    let unusable = |error| Failure::metadata(&MetadataError::Endpoint(error), &config, unix);
                    let mtls = metadata.mtls_token_endpoint.map_err(unusable);
                    let endpoints = Endpoints { token: metadata.token_endpoint, mtls };
                    return self.metadata_found(now, issuer, endpoints);
                }
                Err(error) if place == 0 && error.is_elsewhere() => {
                    return self.ask(now, &config, identifier, 1);
                }
                Err(error) => Failure::metadata(&error, &config, unix),
            },
        };
        self.metadata_not_found(now, issuer, failure);
    }

    fn metadata_found(&mut self, now: Now, issuer: &Arc<str>, endpoints: Endpoints) {
        let Some(state) = self.issuers.get_mut(issuer) else { return };
        state.discovery = Discovery { known: Some((endpoints.clone(), now.boot)), ..Discovery::default() };
        let note = Note::Discovered { issuer: Arc::clone(issuer), endpoint: endpoints.token.as_str().into() };
        self.effects.push_back(Effect::Note(note));
        self.discovered(now, issuer, &endpoints);
    }

    fn metadata_not_found(&mut self, now: Now, issuer: &Arc<str>, failure: Failure) {
        let Some(state) = self.issuers.get_mut(issuer) else { return };
        let discovery = &mut state.discovery;
        // No credential was shown to anybody: there is none to protect from too many attempts.
        let wait = discovery.retry.failed(failure.class, true, failure.retry_after, &mut self.random);
        let failed = DiscoveryFailure { failure, until: now.boot.after(wait) };
        discovery.failed = Some(failed.clone());
        if discovery.known.is_none() {
            self.not_discovered(now, issuer, &failed);
        }
    }

    /// What the issuer's server says of the time.
    pub(super) fn server_clock(&self, issuer: &str) -> ServerClock {
        self.issuers.get(issuer).map(|state| state.clock).unwrap_or_default()
    }

    /// A response tells the server's time.
    pub(super) fn learn_time(
        &mut self,
        now: Now,
        issuer: &str,
        requested_at: Moment,
        response: &HttpResponse,
    ) {
        let Some((name, _)) = self.issuers.get_key_value(issuer) else { return };
        let name = Arc::clone(name);
        let Some(state) = self.issuers.get_mut(issuer) else { return };
        state.clock.learn(now, requested_at, response.server_time());
        if let Some(seconds) = state.clock.news(now) {
            self.effects.push_back(Effect::Note(Note::ClockOff { issuer: name, seconds }));
        }
    }

    /// An administrator wants it tried now.
    pub(super) fn forget_discovery_failure(&mut self, handle: u64) {
        let Some(issuer) = self.issuer_of(handle) else { return };
        if let Some(state) = self.issuers.get_mut(&issuer) {
            state.discovery.forget_failure();
        }
    }

    /// Starts what the budgets allow, after they changed.
    pub(super) fn open_gates(&mut self, now: Now) {
        for issuer in self.issuers.keys().cloned().collect::<Vec<_>>() {
            self.open_gate(now, &issuer);
        }
    }

    /// Nothing more can start before `opens`.
    pub(super) fn open_gate_later(&mut self, issuer: &str, opens: Moment) {
        let Some((name, _)) = self.issuers.get_key_value(issuer) else { return };
        let name = Arc::clone(name);
        let Some(state) = self.issuers.get_mut(issuer) else { return };
        if let Some(before) = state.opens.replace(opens) {
            self.timers.remove(before, Due::Issuer(Arc::clone(&name)));
        }
        self.timers.add(opens, Due::Issuer(name));
    }

    pub(super) fn gate_opens(&mut self, now: Now, issuer: &str) {
        if let Some(state) = self.issuers.get_mut(issuer) {
            state.opens = None;
        }
        self.open_gate(now, issuer);
    }
}

impl IssuerState {
    fn new(config: &Arc<config::Issuer>) -> Self {
        Self {
            config: Arc::clone(config),
            gate: Gate::new(config.max_in_flight, config.max_per_second),
            opens: None,
            discovery: Discovery::default(),
            clock: ServerClock::default(),
        }
    }

    /// Whether nobody can start because nobody knows where to send a request.
    pub(super) fn is_being_discovered(&self) -> bool {
        self.discovery.known.is_none() && self.discovery.asking.is_some()
    }

    fn configure(&mut self, config: &Arc<config::Issuer>) {
        if self.config == *config {
            return;
        }
        if self.config.endpoint == config.endpoint {
            self.discovery.forget_failure();
        } else {
            self.discovery = Discovery::default();
        }
        self.gate.set_limits(config.max_in_flight, config.max_per_second);
        self.config = Arc::clone(config);
    }
}

impl Discovery {
    /// What failed before may work now.
    fn forget_failure(&mut self) {
        self.failed = None;
        self.retry = Retry::default();
    }
}
