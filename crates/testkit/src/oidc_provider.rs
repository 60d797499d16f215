//! The npm package `oidc-provider`, a certified authorization server, as a peer that is not ours.
//!
//! `peers/oidc-provider/server.mjs` is what runs.

use std::path::PathBuf;
use std::time::Duration;

use crate::peers::node;
use crate::peers::server::Server;
use crate::{Client, Counts};

const PEER: &str = "oidc-provider";
const SCOPES: &str = "signtext_api api:read";

/// A running oidc-provider over TLS; dropping it ends it.
///
/// It knows the scopes `signtext_api` and `api:read`, and each client may have both unless its registration names
/// less. Besides its own rules it wants assertions whose audience is the issuer as one string, with `iat` and
/// `exp`, that live 120 seconds at most. An unknown scope is left out of the token without a word.
pub struct OidcProvider(Server);

impl OidcProvider {
    /// What is missing on this host to run it, if something is.
    ///
    /// # Errors
    ///
    /// Words for the one who can install it.
    pub fn available() -> Result<(), String> {
        node::available()
    }

    /// Installs the package where that was not done before, and starts a server whose tokens live this long, in whole
    /// seconds.
    ///
    /// # Panics
    ///
    /// With what node or npm said, if that fails.
    pub fn start(lifetime: Duration) -> Self {
        let program = node::install(PEER, "server.mjs");
        Self(Server::start(PEER, program, lifetime))
    }

    /// The issuer identifier.
    pub fn issuer(&self) -> String {
        self.0.url("")
    }

    /// The token endpoint.
    pub fn token_endpoint(&self) -> String {
        self.0.url("/token")
    }

    /// The protected resource: 200 for a live token, 401 otherwise.
    pub fn data_url(&self) -> String {
        self.0.url("/data")
    }

    /// A file with the certificate authority behind its certificate, in PEM, for as long as the server lives.
    pub fn ca_file(&self) -> PathBuf {
        self.0.ca_file()
    }

    /// Registers a client, or replaces one with the same ID. Its lifetime is the server's.
    ///
    /// # Panics
    ///
    /// If oidc-provider refuses it.
    pub fn register(&self, client: &Client) {
        self.0.register(client, SCOPES);
    }

    /// The token requests of a client. Those whose client is unknown count under the ID in their body, if any.
    pub fn counts(&self, client_id: &str) -> Counts {
        self.0.counts(client_id)
    }

    /// What it said on its standard error.
    pub fn log(&self) -> String {
        self.0.log()
    }
}
