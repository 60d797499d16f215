//! Where a broker is looked for, and which one is trusted.

use std::io;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tokenbroker_ipc::{ConnectError, Endpoint, ServerTrust};

use crate::attempts::Setback;
use crate::cache::Cache;
use crate::{Error, Tried};

/// Sets up a [`Broker`](crate::blocking::Broker) of either kind; what is not set comes from the environment.
#[derive(Debug)]
#[must_use]
pub struct Builder<B> {
    socket: Option<PathBuf>,
    server_user: Option<String>,
    cache: bool,
    kind: PhantomData<fn() -> B>,
}

impl<B> Builder<B> {
    pub(crate) fn new() -> Self {
        Self { socket: None, server_user: None, cache: true, kind: PhantomData }
    }

    /// This socket and no other.
    pub fn socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.socket = Some(path.into());
        self
    }

    /// A server of this user is trusted, besides those of root and of this user.
    pub fn server_user(mut self, name: impl Into<String>) -> Self {
        self.server_user = Some(name.into());
        self
    }

    /// Whether tokens are kept in this process's memory, which they are unless this says no. Then every get asks the
    /// daemon, and no thread is ever started.
    pub fn cache(mut self, cache: bool) -> Self {
        self.cache = cache;
        self
    }

    /// Where the daemon is looked for, in order. Only where there is nothing at all, the next place counts.
    pub fn sockets(&self) -> Vec<PathBuf> {
        let endpoints = Endpoint::search(self.socket.as_deref());
        endpoints.iter().map(|endpoint| endpoint.path().to_owned()).collect()
    }

    pub(crate) fn parts(self) -> (Arc<Destination>, Cache) {
        let destination = Arc::new(Destination {
            endpoints: Endpoint::search(self.socket.as_deref()),
            found: OnceLock::new(),
            trust: self.server_user.map_or_else(ServerTrust::from_environment, ServerTrust::of_user),
        });
        let cache = Cache::new(&destination, self.cache);
        (destination, cache)
    }
}

/// Where connections go.
#[derive(Debug)]
pub(crate) struct Destination {
    endpoints: Vec<Endpoint>,
    /// Once a daemon has answered somewhere, its restart must not lead to another daemon.
    found: OnceLock<Endpoint>,
    trust: ServerTrust,
}

impl Destination {
    /// Where to look, in order.
    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        self.found.get().map_or(&self.endpoints, std::slice::from_ref)
    }

    pub(crate) fn trust(&self) -> &ServerTrust {
        &self.trust
    }

    /// Says that a daemon has answered there.
    pub(crate) fn found(&self, endpoint: &Endpoint) {
        self.found.get_or_init(|| endpoint.clone());
    }
}

/// Takes note of a place without a daemon. Only where there is nothing at all, the next place counts.
pub(crate) fn note(tried: &mut Vec<Tried>, endpoint: &Endpoint, error: ConnectError) -> Result<(), Setback> {
    let source = match error {
        ConnectError::Io(source) if source.kind() == io::ErrorKind::WouldBlock => return Err(Setback::Busy),
        ConnectError::Io(source) => source,
        ConnectError::Untrusted(refused) => return Err(Setback::Final(refused.into())),
        other => return Err(Setback::Final(Error::ConnectionLost { source: io::Error::other(other) })),
    };
    let nothing = matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    tried.push(Tried { socket: endpoint.path().into(), source });
    if nothing { Ok(()) } else { Err(Setback::Absent(std::mem::take(tried))) }
}

#[cfg(test)]
mod tests {
    use crate::blocking::Broker;

    #[test]
    fn a_socket_that_was_given_is_the_only_one_looked_for() {
        assert_eq!(Broker::builder().socket("/a").sockets(), [std::path::Path::new("/a")]);
        assert!(!Broker::builder().sockets().is_empty());
    }
}
