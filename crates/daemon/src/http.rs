//! Carries out HTTP requests as values: reqwest in production, something else wherever that serves better.
//!
//! All of it runs on threads of its own, one for each issuer as far as there are enough: a server that keeps the parser
//! or TLS busy, with an endless row of interim responses for example, delays neither the event loop nor a session nor
//! other servers' tokens.
//!
//! A request goes to where its URL says and nowhere else: no redirect is followed, the environment names no proxy
//! unless the configuration says so, and an address where no authorization server is gets nothing. What comes back is
//! read up to a limit.

mod body;
mod connections;
mod failure;
mod identity;
mod proxy;
mod resolver;
#[cfg(test)]
mod tests;
mod threads;
mod trust;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use tokenbroker_core::config::{ClientName, Issuer};
use tokenbroker_core::engine::{TlsIdentity, TransportFailure};
use tokenbroker_core::time::Moment;
use tokenbroker_oauth::{HttpRequest, HttpResponse, Method};
use tokenbroker_secret::Secret;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use self::body::Body;
use self::connections::Connections;
use self::failure::{Exchange, Fault};
use self::identity::Identity;
use self::threads::Threads;
use crate::clock;
use crate::key_store::KeyStoreThread;

pub(crate) use self::trust::{read_ca_file, read_small_file};

/// What executes requests.
pub(crate) trait Http {
    /// Prepares for these issuers, and forgets all others.
    fn configure(&mut self, issuers: &BTreeMap<String, Arc<Issuer>>);

    /// Sends a request and reads the whole response, within the issuer's timeout. Follows no redirect. What shows a
    /// certificate has connections of its own.
    fn execute(
        &self,
        issuer: &Arc<Issuer>,
        request: HttpRequest,
        identity: Option<&TlsIdentity>,
    ) -> impl Future<Output = Result<HttpResponse, TransportFailure>> + 'static;
}

/// How much longer than its timeout a request is waited for before the threads that carry it out count as stalled.
const GRACE: Duration = Duration::from_millis(500);

/// Connections of its own for each issuer, with its CA, proxy and timeout.
#[derive(Debug)]
pub(crate) struct Reqwest {
    issuers: HashMap<String, Arc<Connections>>,
    /// Of the clients that show a certificate: the last two, since there may be a next one.
    identified: Mutex<HashMap<ClientName, Vec<Arc<Connections>>>>,
    key_store: KeyStoreThread,
    threads: Threads,
}

impl Reqwest {
    /// For no issuer yet.
    pub(crate) fn start(key_store: KeyStoreThread) -> io::Result<Self> {
        let identified = Mutex::default();
        Ok(Self { issuers: HashMap::new(), identified, key_store, threads: Threads::start()? })
    }

    /// The connections that show this.
    fn identified(&self, issuer: &Arc<Issuer>, shown: &TlsIdentity) -> Arc<Connections> {
        let mut all = self.identified.lock().unwrap_or_else(PoisonError::into_inner);
        let of_client = all.entry(shown.client.clone()).or_default();
        let same = |one: &&Arc<Connections>| one.shows(shown) && *one.issuer() == **issuer;
        if let Some(connections) = of_client.iter().find(same) {
            return Arc::clone(connections);
        }
        let identity = Identity::new(shown.clone(), self.key_store.clone());
        let connections = Arc::new(Connections::showing(Arc::clone(issuer), identity));
        of_client.insert(0, Arc::clone(&connections));
        of_client.truncate(2);
        connections
    }
}

impl Http for Reqwest {
    /// Requests under way go on with the old connections.
    fn configure(&mut self, issuers: &BTreeMap<String, Arc<Issuer>>) {
        let mut before = std::mem::take(&mut self.issuers);
        let mut connections = |issuer: &Arc<Issuer>| match before.remove(&issuer.name) {
            // What a CA file says may have changed under the same name.
            Some(old) if *old.issuer() == **issuer && issuer.ca_file.is_none() => old,
            _ => Arc::new(Connections::new(Arc::clone(issuer))),
        };
        self.issuers = issuers.values().map(|issuer| (issuer.name.clone(), connections(issuer))).collect();
        self.identified.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.threads.share(issuers);
    }

    fn execute(
        &self,
        issuer: &Arc<Issuer>,
        request: HttpRequest,
        identity: Option<&TlsIdentity>,
    ) -> impl Future<Output = Result<HttpResponse, TransportFailure>> + 'static {
        let connections = match identity {
            Some(shown) => Some(self.identified(issuer, shown)),
            None => self.issuers.get(&issuer.name).cloned(),
        };
        let thread = match identity {
            Some(_) => self.threads.showing(&issuer.name).cloned(),
            None => self.threads.of(&issuer.name).cloned(),
        };
        let waits_for_key_store = identity.is_some();
        let limit = issuer.timeout + GRACE;
        async move {
            let (Some(connections), Some(thread)) = (connections, thread) else {
                return Err(failure::network("the issuer is not configured any more".into()));
            };
            let span = tracing::Span::current();
            let exchange = async move { exchange(&connections, request, clock::moment()).await };
            let task = AbortOnDropHandle::new(thread.spawn(exchange.instrument(span)));
            match tokio::time::timeout(limit, task).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => {
                    Err(failure::network("the exchange panicked; this is a fault of tokenbrokerd".into()))
                }
                Err(_) if waits_for_key_store => Err(failure::not_signed()),
                Err(_) => Err(failure::stalled()),
            }
        }
    }
}

/// Connections of its own to one issuer, on the thread of whoever uses it: for looking at what is wrong there.
pub(crate) struct Lone(Connections);

impl Lone {
    pub(crate) fn new(
        issuer: &Arc<Issuer>,
        identity: Option<TlsIdentity>,
        key_store: KeyStoreThread,
    ) -> Self {
        let issuer = Arc::clone(issuer);
        Self(match identity {
            Some(shown) => Connections::showing(issuer, Identity::new(shown, key_store)),
            None => Connections::new(issuer),
        })
    }

    /// As [`Http::execute`].
    pub(crate) async fn execute(&self, request: HttpRequest) -> Result<HttpResponse, TransportFailure> {
        exchange(&self.0, request, clock::moment()).await
    }
}

async fn exchange(
    connections: &Connections,
    request: HttpRequest,
    now: Moment,
) -> Result<HttpResponse, TransportFailure> {
    let issuer = connections.issuer();
    resolver::check_literal(request.url.url(), issuer)?;
    let host = request.url.url().host_str().unwrap_or_default().to_owned();
    let words = Exchange { issuer, host: &host };
    let result = tokio::time::timeout(issuer.timeout, async {
        let (client, proxy) = connections.client(now).await?;
        send(&client, request).await.map_err(|fault| {
            if fault.may_be_the_connections() {
                connections.suspect();
            }
            words.failure(fault, proxy.as_deref())
        })
    });
    result.await.unwrap_or_else(|_| {
        connections.suspect();
        Err(words.timeout())
    })
}

async fn send(client: &Client, request: HttpRequest) -> Result<HttpResponse, Fault> {
    let url = request.url.url().clone();
    let mut builder = match request.method {
        Method::Get => client.get(url),
        Method::Post => client.post(url),
    };
    let mut headers = HeaderMap::new();
    // Without it a server may choose any coding (RFC 9110 section 12.5.3).
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in &request.headers {
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| Fault::Unsendable)?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    builder = builder.headers(headers);
    if let Some(body) = request.body {
        builder = builder.body(body.expose().to_vec());
    }
    let mut response = builder.send().await?;
    let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let (status, content_type) = (response.status().as_u16(), header(CONTENT_TYPE).map(str::to_owned));
    let (retry_after, date) = (header(RETRY_AFTER).map(str::to_owned), header(DATE).map(str::to_owned));
    let mut body = Body::of(response.headers())?;
    while let Some(chunk) = response.chunk().await? {
        body.take(&chunk)?;
    }
    let body = Secret::yielding(std::mem::take(&mut *body.finish()?));
    Ok(HttpResponse { status, content_type, retry_after, date, body })
}
