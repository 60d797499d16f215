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
use rustls::pki_types::CertificateDer;
use tokenbroker_core::config::{EndpointSource, Issuer};
use tokenbroker_core::engine::{TlsIdentity, TransportFailure};
use tokenbroker_core::time::Moment;
use tokio::sync::Mutex;
use tokio::task::{JoinError, JoinHandle};

use super::identity::Identity;
use super::resolver::Resolver;
use super::trust::read_ca_file;
use super::{failure, proxy};

/// No connection is used for longer.
const LONGEST_AGE: Duration = Duration::from_secs(5 * 60);

/// A kept connection that was idle for this long is closed: its buffers hold the last request, and with it a secret.
const LONGEST_IDLE: Duration = Duration::from_secs(10);

/// A server that is down fails every request: the client is not replaced each time.
const SHORTEST_AGE: Duration = Duration::from_secs(1);

/// How long a new client is waited for while there is an old one. A CA file can be on a file system that hangs.
const PATIENCE: Duration = Duration::from_secs(1);

/// The connections to one issuer; see the [module](self).
#[derive(Debug)]
pub(super) struct Connections {
    issuer: Arc<Issuer>,
    /// What is shown in TLS.
    identity: Option<Identity>,
    make: Make,
    held: Mutex<Held>,
    /// A request failed, and the connections may be why.
    suspect: AtomicBool,
}

/// Makes a client; `before` are the certificates that the CA file had.
type Make = fn(
    issuer: &Issuer,
    identity: Option<&Identity>,
    before: Option<Vec<CertificateDer<'static>>>,
) -> Result<Made, TransportFailure>;

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
    certificates: Option<Vec<CertificateDer<'static>>>,
    since: Moment,
}

/// A client that was just made.
#[derive(Debug)]
struct Made {
    client: Client,
    proxy: Option<Arc<str>>,
    /// Of the CA file, if there is one.
    certificates: Option<Vec<CertificateDer<'static>>>,
    /// Why they are the old ones.
    complaint: Option<String>,
}

impl Connections {
    /// Makes no connection yet, nor reads anything.
    pub(super) fn new(issuer: Arc<Issuer>) -> Self {
        Self { issuer, identity: None, make, held: Mutex::default(), suspect: AtomicBool::new(false) }
    }

    /// Connections that show a certificate.
    pub(super) fn showing(issuer: Arc<Issuer>, identity: Identity) -> Self {
        Self { identity: Some(identity), ..Self::new(issuer) }
    }

    /// Whether this is what they show.
    pub(super) fn shows(&self, shown: &TlsIdentity) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.shown == *shown)
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
        let (issuer, identity, make) = (Arc::clone(&self.issuer), self.identity.clone(), self.make);
        let before = before.and_then(|current| current.certificates.clone());
        tokio::task::spawn_blocking(move || make(&issuer, identity.as_ref(), before))
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

fn make(
    issuer: &Issuer,
    identity: Option<&Identity>,
    before: Option<Vec<CertificateDer<'static>>>,
) -> Result<Made, TransportFailure> {
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
    let mut builder = builder(issuer, Resolver::new(issuer));
    let mut called = None;
    if let Some(via) = via {
        builder = builder.proxy(via.proxy);
        called = Some(via.called.into());
    }
    if let Some(identity) = identity {
        builder = builder.tls_backend_preconfigured(identity.tls(certificates.as_deref())?);
    } else if let Some(certificates) = &certificates {
        let certificates: Result<Vec<_>, _> =
            certificates.iter().map(|certificate| Certificate::from_der(certificate)).collect();
        builder =
            builder.tls_certs_only(certificates.map_err(|error| failure::tls(failure::innermost(&error)))?);
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

fn builder(issuer: &Issuer, resolver: Resolver) -> ClientBuilder {
    ClientBuilder::new()
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .dns_resolver(resolver)
        // Some of the time is left for an answer. The addresses of a name share it, so that each has its turn.
        .connect_timeout(issuer.timeout * 3 / 4)
        .pool_idle_timeout(LONGEST_IDLE)
        .user_agent(concat!("tokenbroker/", env!("CARGO_PKG_VERSION")))
}

fn is_plain_http(issuer: &Issuer) -> bool {
    let url = match &issuer.endpoint {
        EndpointSource::Discover(identifier) => identifier.as_str(),
        EndpointSource::Named { endpoint, .. } => endpoint.as_str(),
    };
    url.starts_with("http:")
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::thread;

    use reqwest::dns::Name;

    use super::super::resolver::LookUp;
    use super::super::tests::{Server, issuer};
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::BOOT.after(Duration::from_secs(seconds))
    }

    fn connections(make: Make) -> Connections {
        Connections { make, ..Connections::new(Arc::new(issuer(""))) }
    }

    async fn since(connections: &Connections) -> Option<Moment> {
        connections.held.lock().await.current.as_ref().map(|current| current.since)
    }

    #[tokio::test]
    async fn s43_a_file_system_that_hangs_delays_one_request_and_stops_none() {
        let connections = connections(|issuer, identity, before| {
            std::thread::sleep(PATIENCE * 3 / 2);
            make(issuer, identity, before)
        });
        connections.client(at(0)).await.unwrap();
        connections.client(at(300)).await.unwrap();
        assert_eq!(since(&connections).await, Some(at(0)), "it was not waited for to the end");
        let complaint = connections.held.lock().await.complaint.clone();
        assert_eq!(complaint.as_deref(), Some("its CA certificates can't be read in time"));

        let at_once = Duration::from_millis(200);
        tokio::time::timeout(at_once, connections.client(at(301))).await.unwrap().unwrap();
        assert_eq!(since(&connections).await, Some(at(0)));

        while since(&connections).await == Some(at(0)) {
            tokio::time::timeout(at_once, connections.client(at(302))).await.unwrap().unwrap();
        }
        assert_eq!(since(&connections).await, Some(at(302)));
        assert_eq!(connections.held.lock().await.complaint, None);
    }

    #[tokio::test]
    async fn s43_a_client_that_can_not_be_made_anew_is_used_further() {
        static IS_BROKEN: AtomicBool = AtomicBool::new(true);
        let connections = connections(|issuer, identity, before| match IS_BROKEN.load(Ordering::Relaxed) {
            true => Err(failure::tls("no CA certificates".into())),
            false => make(issuer, identity, before),
        });
        assert!(connections.client(at(0)).await.is_err(), "there is none to be used further");
        IS_BROKEN.store(false, Ordering::Relaxed);
        connections.client(at(0)).await.unwrap();

        IS_BROKEN.store(true, Ordering::Relaxed);
        connections.client(at(300)).await.unwrap();
        assert_eq!(since(&connections).await, Some(at(300)), "nor is it tried again all the time");
        let complaint = connections.held.lock().await.complaint.clone();
        assert_eq!(complaint.as_deref(), Some("no CA certificates"));

        IS_BROKEN.store(false, Ordering::Relaxed);
        connections.client(at(600)).await.unwrap();
        assert_eq!(connections.held.lock().await.complaint, None);
    }

    #[tokio::test]
    async fn s43_a_request_that_took_too_long_makes_the_connections_suspect() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server::at(silent.local_addr().unwrap());
        let connections = Connections::new(server.issuer("timeout = \"200ms\""));
        super::super::exchange(&connections, server.request(), at(0)).await.unwrap_err();
        connections.client(at(1)).await.unwrap();
        assert_eq!(since(&connections).await, Some(at(1)));
    }

    /// The kernel drops what would make the queue of a listener longer.
    #[tokio::test]
    async fn s43_an_address_that_takes_no_connection_does_not_stand_in_the_way_of_the_next_one() {
        let server = Server::start();
        let dead = SocketAddr::new([127, 0, 0, 2].into(), server.address.port());
        let listener = TcpListener::bind(dead).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        for _ in 0..8 {
            thread::spawn(move || {
                TcpStream::connect_timeout(&dead, Duration::from_secs(5)).map(|_| thread::park())
            });
        }
        while TcpStream::connect_timeout(&dead, Duration::from_millis(100)).is_ok() {}

        let look_up: fn(Name) -> LookUp = |_| {
            let addresses =
                [[127, 0, 0, 2], [127, 0, 0, 1]].map(|address| SocketAddr::new(address.into(), 0));
            Box::pin(async move { Ok(addresses.to_vec()) })
        };
        let issuer = server.issuer("timeout = \"2s\"");
        let client =
            builder(&issuer, Resolver::looking_up(look_up, &issuer)).tls_certs_only([]).build().unwrap();
        let url = format!("http://as.example:{}/token", dead.port());
        let response = tokio::time::timeout(issuer.timeout, client.post(url).send()).await.unwrap();
        assert_eq!(response.unwrap().status(), 200);
    }
}
