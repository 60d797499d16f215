//! The connections to one issuer, and how they age.
//!
//! A kept connection holds on to what was true when it was made: where the server was, and whom its certificate had to
//! be from. An HTTP/2 connection that is used often enough would be kept for ever. Therefore the HTTP client, whose
//! connections they are, is replaced every few minutes and after a failure; what is under way goes on with the old one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};
use tokenbroker_core::config::{EndpointSource, Issuer};
use tokenbroker_core::engine::TransportFailure;
use tokenbroker_core::time::Moment;
use tokio::sync::Mutex;
use tokio::task::{JoinError, JoinHandle};

use super::resolver::Resolver;
use super::trust::read_ca_file;
use super::{failure, proxy};

/// No connection is used for longer.
const LONGEST_AGE: Duration = Duration::from_secs(5 * 60);

/// A kept connection that was idle for this long is closed.
const LONGEST_IDLE: Duration = Duration::from_secs(60);

/// A server that is down fails every request: the client is not replaced each time.
const SHORTEST_AGE: Duration = Duration::from_secs(1);

/// How long a new client is waited for while there is an old one. A CA file can be on a file system that hangs.
const PATIENCE: Duration = Duration::from_secs(1);

/// The connections to one issuer; see the [module](self).
#[derive(Debug)]
pub(super) struct Connections {
    issuer: Arc<Issuer>,
    held: Mutex<Held>,
    /// A request failed, and the connections may be why.
    suspect: AtomicBool,
}

#[derive(Debug, Default)]
struct Held {
    current: Option<Current>,
    /// One at a time, however many requests wait for it.
    making: Option<JoinHandle<Result<Made, TransportFailure>>>,
    /// What was said last about files that can't be used.
    complaint: Option<String>,
}

#[derive(Debug)]
struct Current {
    client: Client,
    proxy: Option<Arc<str>>,
    certificates: Option<Vec<Certificate>>,
    since: Moment,
}

/// A client that was just made.
#[derive(Debug)]
struct Made {
    client: Client,
    proxy: Option<Arc<str>>,
    /// Of the CA file, if there is one.
    certificates: Option<Vec<Certificate>>,
    /// Why they are the old ones.
    complaint: Option<String>,
}

impl Connections {
    /// Makes no connection yet, nor reads anything.
    pub(super) fn new(issuer: Arc<Issuer>) -> Self {
        Self { issuer, held: Mutex::default(), suspect: AtomicBool::new(false) }
    }

    /// Whose they are.
    pub(super) fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Has new connections made for the requests to come.
    pub(super) fn suspect(&self) {
        self.suspect.store(true, Ordering::Relaxed);
    }

    /// A client that is not too old, and what its proxy is called.
    ///
    /// # Errors
    ///
    /// If none can be made, and there was none before.
    pub(super) async fn client(&self, now: Moment) -> Result<(Client, Option<Arc<str>>), TransportFailure> {
        let mut held = self.held.lock().await;
        let held = &mut *held;
        if let Some(current) = &held.current
            && !self.is_due(current, now)
        {
            return Ok(current.parts());
        }
        let waited_for_before = held.making.is_some();
        let making = held.making.get_or_insert_with(|| self.make(held.current.as_ref()));
        let made = match &held.current {
            None => making.await,
            Some(current) if waited_for_before && !making.is_finished() => return Ok(current.parts()),
            Some(current) => match tokio::time::timeout(PATIENCE, &mut *making).await {
                Ok(made) => made,
                Err(_) => {
                    let complaint = "its CA certificates can't be read in time".to_owned();
                    self.complain(&mut held.complaint, Some(complaint));
                    return Ok(current.parts());
                }
            },
        };
        held.making = None;
        self.suspect.store(false, Ordering::Relaxed);
        self.replace(held, made, now)
    }

    fn is_due(&self, current: &Current, now: Moment) -> bool {
        let limit = if self.suspect.load(Ordering::Relaxed) { SHORTEST_AGE } else { LONGEST_AGE };
        now.since(current.since) >= limit
    }

    /// Off the event loop: it reads files, and sets up TLS for many milliseconds.
    fn make(&self, before: Option<&Current>) -> JoinHandle<Result<Made, TransportFailure>> {
        let issuer = Arc::clone(&self.issuer);
        let before = before.and_then(|current| current.certificates.clone());
        tokio::task::spawn_blocking(move || make(&issuer, before))
    }

    /// Takes the client that was made; if none could be made, goes on with the old one for a while.
    fn replace(
        &self,
        held: &mut Held,
        made: Result<Result<Made, TransportFailure>, JoinError>,
        since: Moment,
    ) -> Result<(Client, Option<Arc<str>>), TransportFailure> {
        let made = made.unwrap_or_else(|_| Err(failure::tls("setting up TLS panicked".into())));
        match made {
            Ok(Made { client, proxy, certificates, complaint }) => {
                self.complain(&mut held.complaint, complaint);
                Ok(held.current.insert(Current { client, proxy, certificates, since }).parts())
            }
            Err(failure) => {
                let Some(current) = &mut held.current else { return Err(failure) };
                self.complain(&mut held.complaint, Some(failure.message));
                current.since = since;
                Ok(current.parts())
            }
        }
    }

    /// Says once what is wrong, and once that it is not any more.
    fn complain(&self, before: &mut Option<String>, complaint: Option<String>) {
        let issuer = self.issuer.name.as_str();
        match &complaint {
            _ if *before == complaint => {}
            Some(complaint) => {
                tracing::warn!(issuer, "what was trusted before is trusted further: {complaint}");
            }
            None => tracing::info!(issuer, "the CA certificates can be read again"),
        }
        *before = complaint;
    }
}

impl Current {
    fn parts(&self) -> (Client, Option<Arc<str>>) {
        (self.client.clone(), self.proxy.clone())
    }
}

fn make(issuer: &Issuer, before: Option<Vec<Certificate>>) -> Result<Made, TransportFailure> {
    let via = proxy::find(issuer, std::env::var_os)?;
    let (certificates, complaint) = match issuer.ca_file.as_deref().map(|file| (file, read_ca_file(file))) {
        None => (None, None),
        Some((_, Ok(certificates))) => (Some(certificates), None),
        Some((file, Err(problem))) => {
            let problem = format!("ca_file {}: {problem}", file.display());
            match before {
                Some(certificates) => (Some(certificates), Some(problem)),
                None => return Err(failure::tls(problem)),
            }
        }
    };
    let mut builder = ClientBuilder::new()
        .redirect(Policy::none())
        .referer(false)
        .dns_resolver(Resolver::new(issuer))
        // Some of the time is left for an answer. Several addresses share it, so that each has its turn.
        .connect_timeout(issuer.timeout * 3 / 4)
        .pool_idle_timeout(LONGEST_IDLE)
        .user_agent(concat!("tokenbroker/", env!("CARGO_PKG_VERSION")))
        .no_proxy();
    let mut called = None;
    if let Some(via) = via {
        builder = builder.proxy(via.proxy);
        called = Some(via.called.into());
    }
    if let Some(certificates) = &certificates {
        builder = builder.tls_certs_only(certificates.iter().cloned());
    } else if is_plain_http(issuer) {
        // Nothing is verified there: a host without CA certificates must not stand in its way.
        builder = builder.tls_certs_only([]);
    }
    let client = builder.build().map_err(|error| {
        failure::tls(format!(
            "TLS can't be set up: {}; are CA certificates installed on this host (package ca-certificates)?",
            failure::innermost(&error)
        ))
    })?;
    Ok(Made { client, proxy: called, certificates, complaint })
}

fn is_plain_http(issuer: &Issuer) -> bool {
    let url = match &issuer.endpoint {
        EndpointSource::Discover(identifier) => identifier.as_str(),
        EndpointSource::Named { endpoint, .. } => endpoint.as_str(),
    };
    url.starts_with("http:")
}
