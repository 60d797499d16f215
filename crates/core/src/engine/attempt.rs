//! The steps of one attempt to get a token: a turn at the issuer's gate, the credential, the endpoint, the signature,
//! the request, the outcome.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tokenbroker_oauth::{
    Algorithm, Assertion, Authentication, Class, Endpoint, HttpRequest, HttpResponse, MacAlgorithm,
    TokenResponse,
};
use tokenbroker_secret::{Secret, SecretString};

use super::failure::{Failure, KeyStoreFailure, TransportFailure};
use super::gate::Turn;
use super::issuer::{DiscoveryFailure, Endpoints};
use super::server_clock::are_apart;
use super::token::Issued;
use super::{
    Credential, Credentials, Effect, Engine, LoadedCredential, Note, Operation, OperationId, TlsIdentity,
};
use crate::certificate::Certificate;
use crate::config::{self, AuthMethod};
use crate::mutation::{self, Mutation};
use crate::request::{assertion, token_request};
use crate::time::{Moment, Now};

/// A token that has long to live lets no more than what comes within this time go first: the retries of clients that
/// fail may use up the whole budget.
const LONGEST_YIELD: Duration = Duration::from_secs(30);

/// How far an attempt has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// None is under way.
    Idle,
    /// It waits until another token key of the client has tried the credential that is in doubt.
    Behind,
    /// It waits for its turn, in the order of `place`.
    Queued { urgent: bool, place: Moment },
    /// The key store was asked for the credential.
    Loading,
    /// The credential is there; the issuer is asked where its token endpoint is.
    Discovering { credential: Box<LoadedCredential> },
    /// The key store was asked to sign the assertion.
    Signing(Box<Signing>),
    /// The request is made, and may be sent when it is its turn.
    Ready(Box<Made>),
    /// The request was sent. An assertion in it was dated by a server's clock this far ahead of ours.
    Sending { requested_at: Moment, version: Arc<str>, clock_offset: Option<i64> },
}

impl Stage {
    /// The version of the credential that the attempt uses, once it has been chosen.
    pub(super) fn version(&self) -> Option<&Arc<str>> {
        match self {
            Self::Idle | Self::Behind | Self::Queued { .. } | Self::Loading => None,
            Self::Discovering { credential } => Some(&credential.stored.version),
            Self::Signing(signing) => Some(&signing.version),
            Self::Ready(made) => Some(&made.version),
            Self::Sending { version, .. } => Some(version),
        }
    }
}

/// An assertion that lacks its signature.
#[derive(Debug)]
pub(super) struct Signing {
    assertion: Assertion,
    endpoint: Endpoint,
    pub(super) version: Arc<str>,
    clock_offset: i64,
}

/// A token request that can be sent.
#[derive(Debug)]
pub(super) struct Made {
    request: HttpRequest,
    pub(super) version: Arc<str>,
    clock_offset: Option<i64>,
    identity: Option<TlsIdentity>,
}

/// What an assertion is signed with: it is in the key store, under the version.
#[derive(Clone, Copy)]
enum Signer<'a> {
    Key { kid: &'a str, algorithm: Algorithm },
    Secret { algorithm: MacAlgorithm },
}

impl Engine {
    /// Queues a token key at its issuer's gate, and lets in whom it can. The one whose token ends first goes first.
    pub(super) fn queue(&mut self, now: Now, handle: u64) {
        let Some(issuer) = self.issuer_of(handle) else { return };
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        let urgent = !token.waiters.is_empty();
        let ends = token.servable(now.boot).map_or(now.boot, |held| held.serve_until);
        let place = ends.min(now.boot.after(LONGEST_YIELD));
        token.stage = Stage::Queued { urgent, place };
        if let Some(state) = self.issuers.get_mut(&issuer) {
            state.gate.queue(handle, urgent, place);
        }
        self.open_gate(now, &issuer);
    }

    /// Callers wait now for a token key that may be queued without.
    pub(super) fn hurry_queued(&mut self, handle: u64) {
        let Some(issuer) = self.issuer_of(handle) else { return };
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        let Stage::Queued { urgent: urgent @ false, place } = &mut token.stage else { return };
        *urgent = true;
        if let Some(state) = self.issuers.get_mut(&issuer) {
            state.gate.hurry(handle, *place);
        }
    }

    /// Sends the requests and starts the attempts whose turn it is.
    pub(super) fn open_gate(&mut self, now: Now, issuer: &str) {
        while let Some(state) = self.issuers.get_mut(issuer) {
            match state.gate.next_to_send(now.boot) {
                Turn::Now(handle) => self.send(now, handle),
                // Those let in now would only wait behind the ones that are ready.
                Turn::Later(opens) => return self.open_gate_later(issuer, opens),
                Turn::None => break,
            }
        }
        while let Some(state) = self.issuers.get_mut(issuer) {
            if state.is_being_discovered() {
                // Those let in now would pile up and send their requests all at once.
                return;
            }
            match state.gate.next(now.boot) {
                Turn::Now(handle) => self.load_credential(now, handle),
                Turn::Later(opens) => return self.open_gate_later(issuer, opens),
                Turn::None => return,
            }
        }
    }

    fn load_credential(&mut self, now: Now, handle: u64) {
        let operation = self.next_operation(Operation::Token(handle));
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        token.stage = Stage::Loading;
        token.attempted_at = now.boot;
        token.dormant = false;
        let (client, for_tls) = (token.client.clone(), token.config.auth.is_tls());
        self.effects.push_back(Effect::LoadCredential { operation, client, for_tls });
    }

    pub(super) fn credential_loaded(
        &mut self,
        now: Now,
        operation: OperationId,
        result: Result<Option<Credentials>, KeyStoreFailure>,
    ) {
        let Some(Operation::Token(handle)) = self.operations.remove(&operation) else { return };
        let Some(client) = self.client_of(handle).cloned() else { return };
        let credential = match result {
            Ok(Some(credentials)) => self.choose(now, handle, &client.name, credentials),
            // Removed behind the broker's back.
            Ok(None) => return self.credentials_removed(now, &client.name),
            Err(failure) => return self.fail(now, handle, Failure::from(failure)),
        };
        match self.endpoint_of(now, &client.issuer) {
            Some(Ok(endpoints)) => self.authenticate(now, handle, &client, &endpoints, credential),
            Some(Err(failed)) => self.share_discovery_failure(now, handle, &failed),
            None => {
                if let Some(token) = self.tokens.get_mut(&handle) {
                    token.stage = Stage::Discovering { credential: Box::new(credential) };
                }
            }
        }
    }

    /// The issuer's token endpoint is known now: the attempts that waited for it go on.
    pub(super) fn discovered(&mut self, now: Now, issuer: &str, endpoints: &Endpoints) {
        for handle in self.tokens_of(issuer, |stage| matches!(stage, Stage::Discovering { .. })) {
            let Some(client) = self.client_of(handle).cloned() else { continue };
            let Some(token) = self.tokens.get_mut(&handle) else { continue };
            if let Stage::Discovering { credential } = std::mem::replace(&mut token.stage, Stage::Loading) {
                self.authenticate(now, handle, &client, endpoints, *credential);
            }
        }
        self.open_gate(now, issuer);
    }

    /// The issuer's token endpoint could not be found: the attempts that waited for it share the failure, and so do
    /// those still queued, who would only ask the key store in vain.
    pub(super) fn not_discovered(&mut self, now: Now, issuer: &str, failed: &DiscoveryFailure) {
        for handle in self.tokens_of(issuer, |stage| matches!(stage, Stage::Queued { .. })) {
            self.share_discovery_failure(now, handle, failed);
        }
        for handle in self.tokens_of(issuer, |stage| matches!(stage, Stage::Discovering { .. })) {
            self.share_discovery_failure(now, handle, failed);
        }
    }

    /// An attempt that got no further than discovery is tried again when discovery is.
    fn share_discovery_failure(&mut self, now: Now, handle: u64, failed: &DiscoveryFailure) {
        self.leave_gate(now, handle);
        self.try_again(now, handle, failed.failure.clone(), now.boot.until(failed.until));
    }

    pub(super) fn tokens_of(&self, issuer: &str, is_meant: impl Fn(&Stage) -> bool) -> Vec<u64> {
        let is_issuers = |handle| self.client_of(handle).is_some_and(|client| client.issuer.name == issuer);
        let tokens = self.tokens.iter().filter(|(_, token)| is_meant(&token.stage));
        tokens.map(|(handle, _)| *handle).filter(|handle| is_issuers(*handle)).collect()
    }

    fn authenticate(
        &mut self,
        now: Now,
        handle: u64,
        client: &config::Client,
        endpoints: &Endpoints,
        LoadedCredential { stored, credential }: LoadedCredential,
    ) {
        let version = stored.version;
        let endpoint = match endpoints.of(client) {
            Ok(endpoint) => endpoint,
            Err(failure) => return self.fail(now, handle, failure),
        };
        let request = token_request(client, &endpoint);
        let mut identity = None;
        let authentication = match (client.auth, &credential) {
            (AuthMethod::ClientSecretBasic, Credential::Secret(secret)) => {
                Authentication::SecretBasic { secret, encoding: client.issuer.basic_encoding }
            }
            (AuthMethod::ClientSecretPost, Credential::Secret(secret)) => {
                Authentication::SecretPost { secret }
            }
            (AuthMethod::PrivateKeyJwt { algorithm }, Credential::Key { kid }) => {
                let signer = Signer::Key { kid, algorithm };
                return self.sign_assertion(now, handle, client, endpoint.clone(), version, signer);
            }
            (AuthMethod::ClientSecretJwt { algorithm }, Credential::Secret(_)) => {
                let signer = Signer::Secret { algorithm };
                return self.sign_assertion(now, handle, client, endpoint.clone(), version, signer);
            }
            (
                AuthMethod::TlsClientAuth | AuthMethod::SelfSignedTlsClientAuth,
                Credential::TlsKey { public_key },
            ) => {
                match self.certificate_for(now, client, public_key) {
                    Ok(certificate) => {
                        let (client, version) = (client.name.clone(), version.clone());
                        identity = Some(TlsIdentity { client, version, certificate });
                    }
                    Err(failure) => return self.credential_unusable(now, handle, &version, failure),
                }
                Authentication::Certificate
            }
            _ => return self.credential_unusable(now, handle, &version, Failure::other_credential(client)),
        };
        let request = request.authenticate(authentication);
        self.ready(now, handle, Made { request, version, clock_offset: None, identity });
    }

    /// The certificate to show for a key. Whether it is good is judged by the server's clock, as the server does.
    fn certificate_for(
        &mut self,
        now: Now,
        client: &config::Client,
        public_key: &[u8],
    ) -> Result<Arc<Certificate>, Failure> {
        let unix = self.server_clock(&client.issuer.name).unix(now);
        let certificate =
            Failure::or_certificate(client, public_key, i64::try_from(unix).unwrap_or(i64::MAX))?;
        if let Some(state) = self.clients.get_mut(&client.name) {
            state.certificate = Some(Arc::clone(&certificate));
        }
        self.mind_expiry(now, &client.name);
        Ok(certificate)
    }

    /// A credential is of no use, whatever the server would say: the attempt fails, unless it was the next one.
    fn credential_unusable(&mut self, now: Now, handle: u64, version: &str, failure: Failure) {
        let client = self.tokens.get(&handle).and_then(|token| self.clients.get(&token.client));
        match client.is_some_and(|client| client.is_next(version)) {
            true => self.fall_back(now, handle, failure),
            false => {
                if let Some(token) = self.tokens.get_mut(&handle) {
                    token.spares_next = false;
                }
                self.fail(now, handle, failure);
            }
        }
    }

    fn sign_assertion(
        &mut self,
        now: Now,
        handle: u64,
        client: &config::Client,
        endpoint: Endpoint,
        version: Arc<str>,
        signer: Signer<'_>,
    ) {
        let clock_offset = self.assertion_offset(now, client);
        let kid = match signer {
            Signer::Key { kid, .. } => Some(kid),
            Signer::Secret { .. } => None,
        };
        let (jti, issued_at) = (self.random.random(), now.unix.saturating_add_signed(clock_offset));
        let Some(assertion) = assertion(client, &endpoint, kid, jti, issued_at) else { return };
        let input = Secret::from(assertion.signing_input().as_bytes());
        let operation = self.next_operation(Operation::Token(handle));
        let (client, version_used) = (client.name.clone(), version.clone());
        self.effects.push_back(match signer {
            Signer::Key { algorithm, .. } => {
                Effect::Sign { operation, client, version: version_used, algorithm, input }
            }
            Signer::Secret { algorithm } => {
                Effect::Mac { operation, client, version: version_used, algorithm, input }
            }
        });
        if let Some(token) = self.tokens.get_mut(&handle) {
            token.stage = Stage::Signing(Box::new(Signing { assertion, endpoint, version, clock_offset }));
        }
    }

    pub(super) fn signed(
        &mut self,
        now: Now,
        operation: OperationId,
        result: Result<Vec<u8>, KeyStoreFailure>,
    ) {
        let Some(Operation::Token(handle)) = self.operations.remove(&operation) else { return };
        let Some(client) = self.client_of(handle).cloned() else { return };
        let signature = match result {
            Ok(signature) => signature,
            Err(failure) => {
                let version = self.tokens.get(&handle).and_then(|token| token.stage.version()).cloned();
                let version = version.unwrap_or_default();
                return self.credential_unusable(now, handle, &version, Failure::from(failure));
            }
        };
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        let Stage::Signing(signing) = std::mem::replace(&mut token.stage, Stage::Loading) else { return };
        let Signing { assertion, endpoint, version, clock_offset } = *signing;
        let assertion: SecretString = assertion.with_signature(&signature);
        let request = token_request(&client, &endpoint).authenticate(Authentication::Assertion(&assertion));
        let made = Made { request, version, clock_offset: Some(clock_offset), identity: None };
        self.ready(now, handle, made);
    }

    /// The request is made: it is sent when the issuer's pace lets it.
    fn ready(&mut self, now: Now, handle: u64, made: Made) {
        let Some(issuer) = self.issuer_of(handle) else { return };
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        token.stage = Stage::Ready(Box::new(made));
        if let Some(state) = self.issuers.get_mut(&issuer) {
            state.gate.is_ready(handle);
        }
        self.open_gate(now, &issuer);
    }

    fn send(&mut self, now: Now, handle: u64) {
        let operation = self.next_operation(Operation::Token(handle));
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        let Stage::Ready(made) = std::mem::replace(&mut token.stage, Stage::Loading) else { return };
        let Made { request, version, clock_offset, identity } = *made;
        token.stage = Stage::Sending { requested_at: now.boot, version, clock_offset };
        if let Some(state) = self.clients.get_mut(&token.client) {
            state.token_requests += 1;
        }
        let issuer = token.config.issuer.clone();
        self.effects.push_back(Effect::Send { operation, issuer, request, identity });
    }

    pub(super) fn token_responded(
        &mut self,
        now: Now,
        handle: u64,
        result: Result<HttpResponse, TransportFailure>,
    ) {
        let Some(client) = self.client_of(handle).cloned() else { return };
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        let Stage::Sending { requested_at, ref version, clock_offset } = token.stage else { return };
        let version = version.clone();
        let reply = match result {
            Err(failure) => Err(Failure::transport(failure, client.issuer.timeout)),
            Ok(response) => {
                self.learn_time(now, &client.issuer.name, requested_at, &response);
                let unix = self.server_clock(&client.issuer.name).unix(now);
                TokenResponse::parse(&response, client.scope.as_ref())
                    .map_err(|error| Failure::token(&error, &client, unix))
            }
        };
        let (mut is_next, mut is_retired) = (false, false);
        if let Some(state) = self.clients.get_mut(&client.name) {
            state.outcomes.count(reply.as_ref().err().map(|failure| failure.class));
            is_next = state.is_next(&version);
            is_retired = state.retired.as_ref() == Some(&version);
        }
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        let fell_back = !is_next && std::mem::take(&mut token.spares_next);
        // A token bound to a certificate that is not shown any more is wanted for as long as it takes to get another.
        token.again |= is_retired && client.auth.is_tls();
        match reply {
            Ok(reply) => {
                self.leave_gate(now, handle);
                let requested_at =
                    if mutation::is(Mutation::CountFromReply) { now.boot } else { requested_at };
                self.issued(now, handle, Issued::new(reply, version.clone(), requested_at));
                if is_next {
                    self.next_accepted(now, &client.name, &version);
                }
                self.credential_accepted(now, &client.name, version);
            }
            Err(failure) if is_next && failure.may_refuse_next(&client) => {
                self.fall_back(now, handle, failure);
            }
            Err(failure) if is_next => {
                self.hold_next_back(now, &client.name, &failure);
                self.fail(now, handle, failure);
                if let Some(token) = self.tokens.get_mut(&handle) {
                    token.spares_next = true;
                }
            }
            Err(failure) if is_retired && failure.class != Class::Transient => {
                // Another took its place while this was under way.
                self.leave_gate(now, handle);
                self.set_due(handle, Some(now.boot));
            }
            Err(failure)
                if failure.is_of_credential()
                    && !fell_back
                    && self.try_next_instead(now, handle, &client.name) => {}
            Err(failure) if failure.is_of_credential() => {
                self.credential_refused(now, handle, &client, failure, clock_offset);
            }
            Err(failure) => {
                if fell_back {
                    self.forgive_next(&client.name, &failure);
                }
                self.fail(now, handle, failure);
            }
        }
    }

    /// The server refused the credential, or an assertion that was dated by a clock `clock_offset` ahead of ours.
    fn credential_refused(
        &mut self,
        now: Now,
        handle: u64,
        client: &config::Client,
        failure: Failure,
        clock_offset: Option<i64>,
    ) {
        let is_first = self.clients.get(&client.name).is_some_and(|state| state.refusals.is_empty());
        self.doubt_assertion_clock(now, client, clock_offset);
        let offset = self.assertion_offset(now, client);
        let told_the_time = clock_offset.is_some_and(|used| are_apart(used, offset));
        if is_first && told_the_time && failure.retry_after.is_none() {
            self.try_with_another_time(now, handle, failure);
        } else {
            self.fail(now, handle, failure);
        }
    }

    /// By how many seconds a client's assertions are dated ahead of our wall clock.
    fn assertion_offset(&self, now: Now, client: &config::Client) -> i64 {
        let by_ours = self.clients.get(&client.name).is_some_and(|state| state.dates_by_our_clock);
        if by_ours { 0 } else { self.server_clock(&client.issuer.name).offset(now) }
    }

    /// An assertion was refused: where the server's clock differs from ours, the next is dated by the other one. The
    /// `Date` of a gateway need not be the time of the server that checks.
    fn doubt_assertion_clock(&mut self, now: Now, client: &config::Client, used: Option<i64>) {
        let Some(used) = used.filter(|_| self.server_clock(&client.issuer.name).offset(now) != 0) else {
            return;
        };
        if let Some(state) = self.clients.get_mut(&client.name) {
            state.dates_by_our_clock = used != 0;
        }
    }

    /// An assertion was refused that another clock would have dated otherwise: that is tried at once. The refusal
    /// counts all the same.
    fn try_with_another_time(&mut self, now: Now, handle: u64, failure: Failure) {
        self.leave_gate(now, handle);
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        let Some(client) = self.clients.get_mut(&token.client) else { return };
        token.again = false;
        let accepted_before = client.accepted_before();
        let attempted_at = token.attempted_at;
        client.refusals.refused(now.boot, attempted_at, accepted_before, &failure, &mut self.random);
        client.refusals.try_at_once(now.boot);
        self.effects.push_back(Effect::Note(Note::Failed {
            client: token.client.clone(),
            narrowing: token.narrowing.clone(),
            failure,
            next_try_in: Duration::ZERO,
            still_served: token.servable(now.boot).is_some(),
            repeated: false,
        }));
        self.set_due(handle, Some(now.boot));
    }

    fn fail(&mut self, now: Now, handle: u64, failure: Failure) {
        self.leave_gate(now, handle);
        self.attempt_failed(now, handle, failure);
    }

    /// Ends the attempt under way without an outcome, if there is one; what comes of it later is ignored.
    pub(super) fn abandon_attempt(&mut self, now: Now, handle: u64) {
        self.operations.retain(|_, operation| *operation != Operation::Token(handle));
        self.leave_gate(now, handle);
        if let Some(token) = self.tokens.get_mut(&handle) {
            token.again = false;
        }
    }

    /// Gives the place at the gate or in its queue back, and lets the next one in.
    pub(super) fn leave_gate(&mut self, now: Now, handle: u64) {
        let Some(token) = self.tokens.get_mut(&handle) else { return };
        let client = token.client.clone();
        let stage = std::mem::replace(&mut token.stage, Stage::Idle);
        if matches!(stage, Stage::Idle | Stage::Behind) {
            return;
        }
        self.let_follow(now, &client);
        let Some(issuer) = self.issuer_of(handle) else { return };
        let Some(state) = self.issuers.get_mut(&issuer) else { return };
        match stage {
            Stage::Queued { urgent, place } => return state.gate.withdraw(handle, urgent, place),
            _ => state.gate.done(handle, matches!(stage, Stage::Sending { .. })),
        }
        self.open_gate(now, &issuer);
    }
}
