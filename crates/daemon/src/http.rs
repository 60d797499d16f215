//! Carries out HTTP requests as values: reqwest in production, something else wherever that serves better.

use std::collections::{BTreeMap, HashMap};
use std::error::Error as _;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};
use rustix::fs::OFlags;
use rustls::CertificateError;
use tokenbroker_core::config::{EndpointSource, Issuer};
use tokenbroker_core::engine::{TransportFailure, TransportKind};
use tokenbroker_oauth::{HttpRequest, HttpResponse, Method};
use tokenbroker_secret::Secret;
use zeroize::Zeroizing;

/// A response is read up to here and no further. The longest one that makes sense is a page of metadata.
const LONGEST_BODY: usize = 1024 * 1024;

/// A kept connection that was idle for this long is closed, so that a server can move.
const LONGEST_IDLE: Duration = Duration::from_secs(60);

/// What executes requests.
pub(crate) trait Http {
    /// Prepares for these issuers, and forgets all others.
    fn configure(&mut self, issuers: &BTreeMap<String, Arc<Issuer>>);

    /// Sends a request and reads the whole response, within the issuer's timeout. Follows no redirect.
    fn execute(
        &self,
        issuer: &Arc<Issuer>,
        request: HttpRequest,
    ) -> impl Future<Output = Result<HttpResponse, TransportFailure>> + 'static;
}

/// One HTTP client for each issuer, with its CA and timeout.
#[derive(Debug, Default)]
pub(crate) struct Reqwest {
    clients: HashMap<String, (Arc<Issuer>, Result<Client, TransportFailure>)>,
}

impl Http for Reqwest {
    /// Requests under way go on with the old clients. An issuer whose CA file can't be read any more has none: its
    /// requests fail, and say why.
    fn configure(&mut self, issuers: &BTreeMap<String, Arc<Issuer>>) {
        let mut before = std::mem::take(&mut self.clients);
        let mut client = |issuer: &Arc<Issuer>| match before.remove(&issuer.name) {
            // What a CA file says may have changed under the same name.
            Some((old, client)) if old == *issuer && issuer.ca_file.is_none() => client,
            _ => client_for(issuer),
        };
        self.clients = issuers
            .values()
            .map(|issuer| (issuer.name.clone(), (Arc::clone(issuer), client(issuer))))
            .collect();
    }

    fn execute(
        &self,
        issuer: &Arc<Issuer>,
        request: HttpRequest,
    ) -> impl Future<Output = Result<HttpResponse, TransportFailure>> + 'static {
        let client = self.clients.get(&issuer.name).map(|(_, client)| client.clone());
        let timeout = issuer.timeout;
        async move {
            let client =
                client.unwrap_or_else(|| Err(network("the issuer is not configured any more".into())))?;
            let host = request.url.url().host_str().unwrap_or_default().to_owned();
            exchange(&client, request, timeout).await.map_err(|error| transport_failure(error, &host))
        }
    }
}

/// Reads the certificates of a `ca_file`.
///
/// # Errors
///
/// What is wrong with the file, without its name.
pub(crate) fn read_ca_file(path: &Path) -> Result<Vec<Certificate>, String> {
    let pem = read_small_file(path).map_err(|error| error.to_string())?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|_| "it is not a PEM file".to_owned())?;
    if certificates.is_empty() {
        return Err("there is no certificate in it".into());
    }
    Ok(certificates)
}

/// Neither waits for a pipe to be written nor reads a device for ever.
fn read_small_file(path: &Path) -> io::Result<Vec<u8>> {
    let nonblocking = OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut content = Vec::new();
    file.take(LONGEST_BODY as u64).read_to_end(&mut content)?;
    Ok(content)
}

fn client_for(issuer: &Issuer) -> Result<Client, TransportFailure> {
    let mut builder = ClientBuilder::new()
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .pool_idle_timeout(LONGEST_IDLE)
        .user_agent(concat!("tokenbroker/", env!("CARGO_PKG_VERSION")));
    if let Some(file) = &issuer.ca_file {
        let certificates =
            read_ca_file(file).map_err(|problem| tls(format!("ca_file {}: {problem}", file.display())))?;
        builder = builder.tls_certs_only(certificates);
    } else if is_plain_http(issuer) {
        // Nothing is verified there: a host without CA certificates must not stand in its way.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| {
        tls(format!(
            "TLS can't be set up: {}; are CA certificates installed on this host (package ca-certificates)?",
            innermost(&error)
        ))
    })
}

fn is_plain_http(issuer: &Issuer) -> bool {
    let url = match &issuer.endpoint {
        EndpointSource::Discover(identifier) => identifier.as_str(),
        EndpointSource::Named { endpoint, .. } => endpoint.as_str(),
    };
    url.starts_with("http:")
}

async fn exchange(client: &Client, request: HttpRequest, timeout: Duration) -> Result<HttpResponse, Fault> {
    let url = request.url.url().clone();
    let mut builder = match request.method {
        Method::Get => client.get(url),
        Method::Post => client.post(url),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| Fault::Unsendable)?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    builder = builder.headers(headers).timeout(timeout);
    if let Some(body) = request.body {
        builder = builder.body(body.expose().to_vec());
    }
    let mut response = builder.send().await?;
    let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let (status, content_type) = (response.status().as_u16(), header(CONTENT_TYPE).map(str::to_owned));
    let (retry_after, date) = (header(RETRY_AFTER).map(str::to_owned), header(DATE).map(str::to_owned));
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LONGEST_BODY {
            return Err(Fault::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(HttpResponse { status, content_type, retry_after, date, body: Secret::from(body.as_slice()) })
}

/// Why there is no response.
enum Fault {
    Unsendable,
    TooLong,
    Reqwest(reqwest::Error),
}

impl From<reqwest::Error> for Fault {
    fn from(error: reqwest::Error) -> Self {
        // A URL can hold what is not for a log.
        Self::Reqwest(error.without_url())
    }
}

fn transport_failure(fault: Fault, host: &str) -> TransportFailure {
    let error = match fault {
        Fault::Unsendable => return network("the client ID can't be put into a header".into()),
        Fault::TooLong => {
            let message = format!("the response of {host} is longer than {LONGEST_BODY} bytes");
            return TransportFailure { kind: TransportKind::Malformed, message, hint: None };
        }
        Fault::Reqwest(error) => error,
    };
    if error.is_timeout() {
        let message = format!("{host} did not answer in time");
        return TransportFailure { kind: TransportKind::Timeout, message, hint: None };
    }
    if let Some(problem) = tls_problem(&error) {
        return tls(format!("TLS with {host} failed: {problem}"));
    }
    let doing = if error.is_connect() { "can't connect to" } else { "the exchange broke off with" };
    network(format!("{doing} {host}: {}", innermost(&error)))
}

fn network(message: String) -> TransportFailure {
    TransportFailure { kind: TransportKind::Network, message, hint: None }
}

fn tls(message: String) -> TransportFailure {
    TransportFailure { kind: TransportKind::Tls, message, hint: None }
}

/// What rustls said, if it was rustls that gave up. It travels inside of I/O errors.
fn tls_problem(error: &reqwest::Error) -> Option<String> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(problem) = error.downcast_ref() {
            return Some(words_for(problem));
        }
        // An I/O error names as its source the source of what is inside of it.
        next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inside) => Some(inside),
            None => error.source(),
        };
    }
    None
}

fn words_for(problem: &rustls::Error) -> String {
    match problem {
        // The latter: a CA that is trusted has the same name.
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => "its certificate is not from a CA that is trusted here".into(),
        other => other.to_string(),
    }
}

/// The error at the end of the chain: what the operating system or the protocol said.
fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
