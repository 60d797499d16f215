//! Both kinds of broker behind one face.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokenbroker_client::protocol::{Command, Response};
use tokenbroker_client::{Broker, Error, Token, TokenRequest, blocking};
use tokio::runtime::Runtime;

/// A caller of either kind.
#[derive(Clone)]
pub(crate) enum Caller {
    Blocking(blocking::Broker),
    Async(Arc<Runtime>, Broker),
}

impl Caller {
    /// One of each that asks the daemon each time, without a connection yet.
    pub(crate) fn both(socket: &Path) -> [Self; 2] {
        Self::make(socket, false)
    }

    /// The same with a cache.
    pub(crate) fn both_cached(socket: &Path) -> [Self; 2] {
        Self::make(socket, true)
    }

    fn make(socket: &Path, cache: bool) -> [Self; 2] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        [
            Self::Blocking(blocking::Broker::builder().socket(socket).cache(cache).build()),
            Self::Async(Arc::new(runtime), Broker::builder().socket(socket).cache(cache).build()),
        ]
    }

    pub(crate) fn token(&self, client: &str) -> Result<Token, Error> {
        match self {
            Self::Blocking(broker) => broker.token(client),
            Self::Async(runtime, broker) => runtime.block_on(broker.token(client)),
        }
    }

    pub(crate) fn token_with(&self, request: &TokenRequest) -> Result<Token, Error> {
        match self {
            Self::Blocking(broker) => broker.token_with(request),
            Self::Async(runtime, broker) => runtime.block_on(broker.token_with(request)),
        }
    }

    pub(crate) fn rejected(&self, token: &Token) -> Result<Token, Error> {
        match self {
            Self::Blocking(broker) => broker.rejected(token),
            Self::Async(runtime, broker) => runtime.block_on(broker.rejected(token)),
        }
    }

    pub(crate) fn request(&self, command: Command, timeout: Duration) -> Result<Response, Error> {
        match self {
            Self::Blocking(broker) => broker.request(command, timeout),
            Self::Async(runtime, broker) => runtime.block_on(broker.request(command, timeout)),
        }
    }
}
