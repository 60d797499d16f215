//! The npm package `oidc-provider`, a certified authorization server, as a peer that is not ours.
//!
//! `peers/oidc-provider/server.mjs` is what runs.

use std::path::PathBuf;
use std::time::Duration;

use crate::peers::node;
use crate::peers::server::Server;
use crate::{Client, ClientAuthority, Counts};

const PEER: &str = "oidc-provider";
const SCOPES: &str = "signtext_api api:read";

/// A running oidc-provider over TLS; dropping it ends it.
///
/// It knows the scopes `signtext_api` and `api:read`, and each client may have both unless its registration names
/// less. Besides its own rules it wants assertions whose audience is the issuer as one string, with `iat` and
/// `exp`, that live 120 seconds at most. An unknown scope is left out of the token without a word.
///
/// It asks for client certificates (RFC 8705) on a port of its own, which its metadata name as `mtls_endpoint_aliases`; on
/// the other one nobody can present any.
pub struct OidcProvider {
    server: Server,
    client_authority: ClientAuthority,
}

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
        let client_authority = ClientAuthority::new();
        let server = Server::start(PEER, program, lifetime, &[&client_authority.pem()]);
        Self { server, client_authority }
    }

    /// The issuer identifier.
    pub fn issuer(&self) -> String {
        self.server.url("")
    }

    /// The token endpoint.
    pub fn token_endpoint(&self) -> String {
        self.server.url("/token")
    }

    /// The token endpoint where it asks for client certificates.
    pub fn mtls_token_endpoint(&self) -> String {
        self.server.mtls_url("/token")
    }

    /// What a token is good for (RFC 7662): for its own client, which authenticates as it does at the token endpoint. Where it
    /// asks for client certificates.
    pub fn mtls_introspection_endpoint(&self) -> String {
        self.server.mtls_url("/token/introspection")
    }

    /// The protected resource: 200 for a live token that is not bound to a certificate, 401 otherwise.
    pub fn data_url(&self) -> String {
        self.server.url("/data")
    }

    /// The same where it asks for client certificates: a token that is bound to one is good with exactly that one.
    pub fn mtls_data_url(&self) -> String {
        self.server.mtls_url("/data")
    }

    /// The authority whose client certificates it trusts.
    pub fn client_authority(&self) -> &ClientAuthority {
        &self.client_authority
    }

    /// A file with the certificate authority behind its certificate, in PEM, for as long as the server lives.
    pub fn ca_file(&self) -> PathBuf {
        self.server.ca_file()
    }

    /// Registers a client, or replaces one with the same ID. Its lifetime is the server's.
    ///
    /// # Panics
    ///
    /// If oidc-provider refuses it.
    pub fn register(&self, client: &Client) {
        self.server.register(client, SCOPES);
    }

    /// The token requests of a client. Those whose client is unknown count under the ID in their body, if any.
    pub fn counts(&self, client_id: &str) -> Counts {
        self.server.counts(client_id)
    }

    /// What it said on its standard error.
    pub fn log(&self) -> String {
        self.server.log()
    }
}
