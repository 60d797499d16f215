//! An OAuth 2.0 authorization server and a protected resource, with faults on demand.
//!
//! It is strict where a lenient server would hide a mistake: duplicated parameters, two ways of authentication at
//! once, a wrong content type, an assertion whose audience is anything but one string are all refused, and
//! `error_description` says why. It runs on a thread and a runtime of its own, so it does not matter what the test
//! is doing. Tokens are opaque, and the resource knows exactly which of them live.

mod assertion;
mod authentication;
mod builder;
mod fault;
mod metadata;
mod reply;
mod resource;
mod routes;
mod serving;
mod state;
mod token_endpoint;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use self::serving::Running;
use self::state::Server;
use crate::certificates::ServerCertificate;
use crate::{Client, wait_for};

pub(crate) use self::serving::tls_config;

pub use self::builder::Builder;
pub use self::fault::Fault;
pub use self::metadata::Discovery;
pub use self::state::{Asked, Counts};

/// How long [`AuthServer::start_again`] tries to get its port back.
const PORT_DEADLINE: Duration = Duration::from_secs(5);

const CA_FILE: &str = "ca.pem";

/// A running authorization server; dropping it stops it.
pub struct AuthServer {
    address: SocketAddr,
    server: Arc<Server>,
    tls: Option<Tls>,
    running: Mutex<Option<Running>>,
}

struct Tls {
    ca: String,
    ca_directory: TempDir,
    acceptor: TlsAcceptor,
}

impl AuthServer {
    /// A server to be configured first.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// A plain HTTP server whose tokens live an hour.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// The issuer identifier (RFC 8414).
    pub fn issuer(&self) -> String {
        self.server.settings.issuer.clone()
    }

    /// The token endpoint.
    pub fn token_endpoint(&self) -> String {
        self.server.settings.token_endpoint()
    }

    /// The protected resource: 200 for a live token, 401 otherwise.
    pub fn data_url(&self) -> String {
        self.url("/data")
    }

    /// The URL of an absolute path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.settings.origin)
    }

    /// The address it listens on, also while it is stopped.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate authority behind its certificate, in PEM; `None` without TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.tls.as_ref().map(|tls| tls.ca.as_str())
    }

    /// A file with [`ca_pem`](Self::ca_pem), for as long as the server lives.
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.tls.as_ref().map(|tls| tls.ca_directory.path().join(CA_FILE))
    }

    /// Registers a client, or replaces one with the same ID. Its counts go on.
    ///
    /// # Panics
    ///
    /// If it authenticates with a certificate: this server asks nobody for one, [`OidcProvider`](crate::OidcProvider) does.
    pub fn register(&self, client: Client) {
        assert!(!client.has_certificate(), "{} would need a server that asks for certificates", client.id);
        self.server.state().register(client);
    }

    /// From now on the client is unknown. Its tokens live on.
    pub fn unregister(&self, client_id: &str) {
        self.server.state().unregister(client_id);
    }

    /// Replaces the secret of a registered client.
    ///
    /// # Panics
    ///
    /// If there is no such client, or it has a key instead.
    pub fn set_secret(&self, client_id: &str, secret: &str) {
        self.server.state().client_mut(client_id).set_secret(secret);
    }

    /// Adds a public key to those of a registered client: a JWK, or a set of them.
    ///
    /// # Panics
    ///
    /// If there is no such client, it has a secret instead, or the JWK is not a usable public key.
    pub fn add_key(&self, client_id: &str, jwk: &str) {
        self.server.state().client_mut(client_id).add_key(jwk);
    }

    /// How long the tokens issued from now on live, unless their client says otherwise.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.server.state().lifetime = lifetime;
    }

    /// From now on no token issued so far is accepted by the resource.
    pub fn revoke_tokens(&self) {
        self.server.state().tokens.clear();
    }

    /// What every token request meets from now on, unless its client has a fault of its own.
    pub fn set_fault(&self, fault: Fault) {
        self.server.state().fault = fault;
    }

    /// What this client's token requests meet from now on; [`Fault::None`] spares it the general fault.
    pub fn set_client_fault(&self, client_id: &str, fault: Fault) {
        self.server.state().client_faults.insert(client_id.into(), fault);
    }

    /// From now on this client's token requests meet what everybody's do.
    pub fn clear_client_fault(&self, client_id: &str) {
        self.server.state().client_faults.remove(client_id);
    }

    /// What requests for the metadata documents meet from now on.
    pub fn set_metadata_fault(&self, fault: Fault) {
        self.server.state().metadata_fault = fault;
    }

    /// How many token requests claimed to be this client's, whatever became of them.
    pub fn token_requests(&self, client_id: &str) -> u64 {
        self.counts(client_id).requests
    }

    /// The token requests that claimed to be this client's, by what became of them.
    pub fn counts(&self, client_id: &str) -> Counts {
        self.server.state().counts.get(client_id).copied().unwrap_or_default()
    }

    /// What each of this client's token requests was for, whatever became of it, in the order in which they came.
    pub fn asked(&self, client_id: &str) -> Vec<Asked> {
        self.server.state().asked.get(client_id).cloned().unwrap_or_default()
    }

    /// All token requests, those of unknown clients included.
    pub fn all_token_requests(&self) -> u64 {
        self.server.state().counts.values().map(|counts| counts.requests).sum()
    }

    /// Requests for the metadata documents.
    pub fn metadata_requests(&self) -> u64 {
        self.server.state().metadata_requests
    }

    /// Closes the port and cuts every connection. Clients, tokens and counts are kept.
    pub fn stop(&self) {
        self.running().take();
    }

    /// Listens again where it did before [`stop`](Self::stop).
    ///
    /// # Panics
    ///
    /// If the port can't be had within five seconds.
    pub fn start_again(&self) {
        let mut running = self.running();
        if running.is_some() {
            return;
        }
        let listener = wait_for(PORT_DEADLINE, || TcpListener::bind(self.address).ok())
            .expect("the port of the stopped server is free again");
        *running = Some(self.serve(listener));
    }

    fn new(server: Server, listener: TcpListener, address: SocketAddr, tls: Option<Tls>) -> Self {
        let auth_server = Self { address, server: Arc::new(server), tls, running: Mutex::new(None) };
        *auth_server.running() = Some(auth_server.serve(listener));
        auth_server
    }

    fn serve(&self, listener: TcpListener) -> Running {
        let acceptor = self.tls.as_ref().map(|tls| tls.acceptor.clone());
        Running::start(listener, acceptor, Arc::clone(&self.server))
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tls {
    fn new(certificate: &ServerCertificate) -> Self {
        let ca_directory = TempDir::new().expect("a temporary directory can be made");
        std::fs::write(ca_directory.path().join(CA_FILE), &certificate.ca)
            .expect("the CA file can be written");
        Self { ca: certificate.ca.clone(), ca_directory, acceptor: serving::acceptor(certificate) }
    }
}
