//! How a server is to be, before it starts.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use super::metadata::Discovery;
use super::state::{Server, Settings};
use super::{AuthServer, Tls};
use crate::certificates::ServerCertificate;

/// How a server is to be.
pub struct Builder {
    tls: bool,
    path: String,
    claimed_issuer: Option<String>,
    discovery: Discovery,
    lifetime: Duration,
    raw_basic: bool,
    audience_is_token_endpoint: bool,
    assertion_typ: String,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            tls: false,
            path: String::new(),
            claimed_issuer: None,
            discovery: Discovery::Both,
            lifetime: Duration::from_secs(3600),
            raw_basic: false,
            audience_is_token_endpoint: false,
            assertion_typ: "client-authentication+jwt".into(),
        }
    }

    /// HTTPS with a certificate of its own authority, or plain HTTP (the default).
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// The path of the issuer identifier, such as `/op`; none by default.
    pub fn issuer_path(mut self, path: &str) -> Self {
        self.path = path.trim_end_matches('/').into();
        self
    }

    /// The issuer that the metadata documents name; by default the true one.
    pub fn claimed_issuer(mut self, issuer: &str) -> Self {
        self.claimed_issuer = Some(issuer.into());
        self
    }

    /// Which metadata documents there are; by default both.
    pub fn discovery(mut self, discovery: Discovery) -> Self {
        self.discovery = discovery;
        self
    }

    /// How long tokens live; by default an hour.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Client ID and secret in a Basic header are taken as they are, not form-decoded, as some servers do.
    pub fn raw_basic(mut self) -> Self {
        self.raw_basic = true;
        self
    }

    /// Assertions must name the token endpoint as their audience instead of the issuer, as some servers want it.
    pub fn audience_is_token_endpoint(mut self) -> Self {
        self.audience_is_token_endpoint = true;
        self
    }

    /// The `typ` that assertions must have; by default `client-authentication+jwt` (RFC 10070).
    pub fn assertion_typ(mut self, typ: &str) -> Self {
        self.assertion_typ = typ.into();
        self
    }

    /// Starts it on 127.0.0.1, on a port the system chooses.
    ///
    /// # Panics
    ///
    /// If the host does not let it.
    pub fn start(self) -> AuthServer {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port on 127.0.0.1");
        let address = listener.local_addr().expect("a bound listener has an address");
        let tls = self.tls.then(|| Tls::new(&ServerCertificate::issue()));
        let scheme = if self.tls { "https" } else { "http" };
        let origin = format!("{scheme}://{address}");
        let settings = Settings {
            issuer: format!("{origin}{}", self.path),
            origin,
            path: self.path,
            claimed_issuer: self.claimed_issuer,
            discovery: self.discovery,
            raw_basic: self.raw_basic,
            audience_is_token_endpoint: self.audience_is_token_endpoint,
            assertion_typ: self.assertion_typ,
        };
        AuthServer::new(Server::new(settings, self.lifetime), listener, address, tls)
    }
}
