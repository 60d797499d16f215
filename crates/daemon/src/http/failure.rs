//! Why there is no response, told apart and in an operator's words.

use std::error::Error;

use rustls::CertificateError;
use tokenbroker_core::addresses::Unfit;
use tokenbroker_core::config::{self, Issuer};
use tokenbroker_core::engine::{TransportFailure, TransportKind};

use super::resolver::RefusedName;
use super::{body, proxy};

/// Why there is no response.
#[derive(Debug)]
pub(super) enum Fault {
    /// A header can't carry what it has to.
    Unsendable,
    /// The body passes the limit.
    TooLong,
    /// The body is coded in a way that is not understood, or is not what its coding says.
    Coding,
    /// Anything else.
    Reqwest(reqwest::Error),
}

impl From<reqwest::Error> for Fault {
    fn from(error: reqwest::Error) -> Self {
        // A URL can hold what is not for a log.
        Self::Reqwest(error.without_url())
    }
}

impl Fault {
    /// Whether other connections could fare better.
    pub(super) fn may_be_the_connections(&self) -> bool {
        matches!(self, Self::Reqwest(_))
    }
}

/// Not even the timeout was kept: some server keeps the thread busy.
pub(super) fn stalled() -> TransportFailure {
    let message =
        "the answer was not read in time: an authorization server keeps the broker's HTTP busy".to_owned();
    let hint =
        "look for an issuer that answers with an endless row of interim responses (HTTP 1xx)".to_owned();
    TransportFailure { kind: TransportKind::Timeout, message, hint: Some(hint) }
}

/// The same for what shows a certificate: its thread waits for the key store, once in each handshake.
pub(super) fn not_signed() -> TransportFailure {
    let message =
        "the answer was not read in time: the key store or an authorization server keeps the broker's HTTP busy".to_owned();
    let hint = "see whether the keyring answers: tokenbroker doctor; if it does, look for an issuer that answers with an \
                endless row of interim responses (HTTP 1xx)"
        .to_owned();
    TransportFailure { kind: TransportKind::Timeout, message, hint: Some(hint) }
}

/// Who was to answer what fails.
pub(super) struct Exchange<'a> {
    pub(super) issuer: &'a Issuer,
    pub(super) host: &'a str,
}

impl Exchange<'_> {
    /// What came of it, and of this proxy if there was one.
    pub(super) fn failure(&self, fault: Fault, proxy: Option<&str>) -> TransportFailure {
        let host = self.host;
        match fault {
            Fault::Unsendable => network("the client ID can't be put into a header".into()),
            Fault::TooLong => {
                malformed(format!("the response of {host} is longer than {} bytes", body::LONGEST))
            }
            Fault::Coding => {
                malformed(format!("the response of {host} is compressed in a way that is not understood"))
            }
            Fault::Reqwest(error) => self.no_response(&error, proxy),
        }
    }

    /// Nothing came in time.
    pub(super) fn timeout(&self) -> TransportFailure {
        let message = format!("{} did not answer in time", self.peer());
        TransportFailure { kind: TransportKind::Timeout, message, hint: None }
    }

    /// The host, and the proxy if it is sure that there was one: the environment may exempt the host.
    fn peer(&self) -> String {
        match &self.issuer.proxy {
            config::Proxy::Url(url) => format!("{} through the proxy {}", self.host, proxy::called(url)),
            config::Proxy::Environment | config::Proxy::None => self.host.to_owned(),
        }
    }

    fn no_response(&self, error: &reqwest::Error, proxy: Option<&str>) -> TransportFailure {
        if let (Some(proxy), Some(problem)) = (proxy, tunnel_problem(error)) {
            return self.no_tunnel(error, proxy, problem);
        }
        if error.is_timeout() {
            return self.timeout();
        }
        let peer = self.peer();
        if let Some(problem) = tls_problem(error) {
            return tls(format!("TLS with {peer} failed: {problem}"));
        }
        let doing = if error.is_connect() { "can't connect to" } else { "the exchange broke off with" };
        let hint = chain(error)
            .find_map(<dyn Error>::downcast_ref)
            .and_then(|refused: &RefusedName| hint_to_allow(refused.unfit, self.issuer));
        TransportFailure { hint, ..network(format!("{doing} {peer}: {}", innermost(error))) }
    }

    fn no_tunnel(&self, error: &reqwest::Error, proxy: &str, problem: Tunnel) -> TransportFailure {
        let (host, name) = (self.host, &self.issuer.name);
        match problem {
            Tunnel::Unreachable => {
                let refused = chain(error).find_map(<dyn Error>::downcast_ref);
                let hint = match refused {
                    Some(RefusedName { unfit, .. }) => hint_to_allow(*unfit, self.issuer),
                    None => Some(format!("check `proxy` of [issuers.{name}]{}", self.variables())),
                };
                let cause = if error.is_timeout() { "no answer in time".into() } else { innermost(error) };
                TransportFailure { hint, ..network(format!("can't connect to the proxy {proxy}: {cause}")) }
            }
            Tunnel::Credentials => TransportFailure {
                hint: Some(match self.issuer.proxy {
                    config::Proxy::Environment => {
                        "check the user name and password in HTTPS_PROXY of the daemon's environment".into()
                    }
                    _ => format!(
                        "set proxy = \"environment\" for [issuers.{name}], and in the daemon's environment \
                         HTTPS_PROXY with user name and password"
                    ),
                }),
                ..network(format!("the proxy {proxy} wants other credentials (HTTP 407)"))
            },
            Tunnel::Refused => TransportFailure {
                hint: Some(format!("the proxy must permit CONNECT to {host}; its log says more")),
                ..network(format!("the proxy {proxy} opens no tunnel to {host}"))
            },
        }
    }

    fn variables(&self) -> &'static str {
        match self.issuer.proxy {
            config::Proxy::Environment => " and HTTPS_PROXY in the daemon's environment",
            config::Proxy::None | config::Proxy::Url(_) => "",
        }
    }
}

/// Nothing is sent to this address.
pub(super) fn refused_address(address: &str, unfit: Unfit, issuer: &Issuer) -> TransportFailure {
    let hint = hint_to_allow(unfit, issuer);
    TransportFailure { hint, ..network(format!("no request is sent to {address}: it is {unfit}")) }
}

/// Something between here and there.
pub(super) fn network(message: String) -> TransportFailure {
    TransportFailure { kind: TransportKind::Network, message, hint: None }
}

/// TLS can't be had.
pub(super) fn tls(message: String) -> TransportFailure {
    TransportFailure { kind: TransportKind::Tls, message, hint: None }
}

fn malformed(message: String) -> TransportFailure {
    TransportFailure { kind: TransportKind::Malformed, message, hint: None }
}

fn hint_to_allow(unfit: Unfit, issuer: &Issuer) -> Option<String> {
    unfit.can_be_allowed().then(|| {
        format!("if that is where it has to go, set allow_link_local = true for [issuers.{}]", issuer.name)
    })
}

/// What went wrong with a proxy.
enum Tunnel {
    Unreachable,
    Credentials,
    Refused,
}

/// What went wrong with the proxy, if it was there. The error has no type that could be asked.
fn tunnel_problem(error: &reqwest::Error) -> Option<Tunnel> {
    let words =
        chain(error).find_map(|error| error.to_string().strip_prefix("tunnel error: ").map(str::to_owned))?;
    Some(match words.as_str() {
        "failed to create underlying connection" | "io error establishing tunnel" => Tunnel::Unreachable,
        "proxy authorization required" => Tunnel::Credentials,
        _ => Tunnel::Refused,
    })
}

/// What rustls said, if it was rustls that gave up.
fn tls_problem(error: &reqwest::Error) -> Option<String> {
    chain(error).find_map(<dyn Error>::downcast_ref).map(words_for)
}

fn words_for(problem: &rustls::Error) -> String {
    match problem {
        // The latter: a CA that is trusted has the same name.
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => "its certificate is not from a CA that is trusted here".into(),
        // Its type is of a library below. OpenSSL makes self-signed certificates so.
        rustls::Error::InvalidCertificate(CertificateError::Other(other))
            if other.to_string().contains("CaUsedAsEndEntity") =>
        {
            "its certificate is that of a CA, as self-signed ones often are; a server needs one of its own"
                .into()
        }
        other => other.to_string(),
    }
}

/// What the operating system or the protocol said.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

/// The error and its sources.
fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(Some(error as &(dyn Error + 'static)), |error| source(*error))
}

/// An I/O error names as its source the source of what is inside of it, which would be left out.
fn source<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inside) => Some(inside),
        None => error.source(),
    }
}
