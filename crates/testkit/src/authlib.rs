//! The authorization server of Authlib, from PyPI, as a peer that is not ours.
//!
//! `peers/authlib/server.py` is what runs.

use std::path::PathBuf;
use std::time::Duration;

use crate::peers::python;
use crate::peers::server::Server;
use crate::{Client, Counts};

const PEER: &str = "authlib";
const SCOPES: &str = "signtext_api api:read";

/// Authlib's authorization server in Flask, running over TLS; dropping it ends it.
///
/// It knows the scopes `signtext_api` and `api:read`, and each client may have both unless its registration names
/// less; another one is `invalid_scope`. Clients authenticate with a secret or with an assertion, by HS256, RS256 or ES256:
/// the package takes no other algorithm. Its metadata are where RFC 8414 wants them, and nowhere else.
pub struct Authlib(Server);

/// The one audience that assertions must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssertionAudience {
    /// The issuer identifier.
    Issuer,
    /// The URL of the token endpoint.
    TokenEndpoint,
}

impl Authlib {
    /// What is missing on this host to run it, if something is.
    ///
    /// # Errors
    ///
    /// Words for the one who can install it.
    pub fn available() -> Result<(), String> {
        python::available()
    }

    /// Installs the packages where that was not done before, and starts a server whose tokens live this long, in whole
    /// seconds.
    ///
    /// # Panics
    ///
    /// With what Python or pip said, if that fails.
    pub fn start(lifetime: Duration, audience: AssertionAudience) -> Self {
        let audience = match audience {
            AssertionAudience::Issuer => "issuer",
            AssertionAudience::TokenEndpoint => "token-endpoint",
        };
        Self(Server::start(PEER, python::install(PEER, "server.py"), lifetime, &[audience]))
    }

    /// The issuer identifier.
    pub fn issuer(&self) -> String {
        self.0.url("")
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
    /// If it authenticates in a way that the server does not have.
    pub fn register(&self, client: &Client) {
        self.0.register(client, SCOPES);
    }

    /// The token requests of a client, known or not.
    pub fn counts(&self, client_id: &str) -> Counts {
        self.0.counts(client_id)
    }

    /// What it said on its standard error.
    pub fn log(&self) -> String {
        self.0.log()
    }
}
