//! The npm package `@node-oauth/oauth2-server`, which many servers in Node are built on, as a peer that is not ours.
//!
//! `peers/oauth2-server/server.mjs` is what runs.

use std::path::PathBuf;
use std::time::Duration;

use crate::peers::node;
use crate::peers::server::Server;
use crate::{Client, Counts};

const PEER: &str = "oauth2-server";
const SCOPES: &str = "signtext_api api:read";

/// A running server over TLS; dropping it ends it.
///
/// It knows the scopes `signtext_api` and `api:read`, and each client may have both unless its registration names
/// less; another one is `invalid_scope`. Clients authenticate with a secret, in the body or in a Basic header: both are the
/// same to it, and the header is taken as it is, not form-decoded as RFC 6749 wants it. It publishes no metadata. Of a token
/// that has less than a second to live it does not say how long that is.
pub struct OAuth2Server(Server);

impl OAuth2Server {
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
        Self(Server::start(PEER, node::install(PEER, "server.mjs"), lifetime, &[]))
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
    /// If it authenticates with anything but a secret that is sent.
    pub fn register(&self, client: &Client) {
        self.0.register(client, SCOPES);
    }

    /// The token requests of a client, known or not; of those that named none, under no name.
    pub fn counts(&self, client_id: &str) -> Counts {
        self.0.counts(client_id)
    }

    /// What it said on its standard error.
    pub fn log(&self) -> String {
        self.0.log()
    }
}
