//! Exchanges with an authorization server over connections that nobody else uses, and what they show of clocks.

use std::sync::Arc;

use tokenbroker_core::config::Issuer;
use tokenbroker_core::engine::{Failure, TlsIdentity, TransportFailure};
use tokenbroker_oauth::{HttpRequest, HttpResponse};

use super::Report;
use crate::clock;
use crate::http::Lone;
use crate::key_store::KeyStoreThread;

/// Clocks that are no further apart are together.
const TOLERANCE: i64 = 10;

/// Servers refuse assertions that are dated further off than this.
const SERIOUS: i64 = 60;

/// Connections of its own to one issuer.
pub(super) struct Server {
    /// Those that show nothing, for what everybody may ask.
    plain: Lone,
    lone: Lone,
    issuer: Arc<Issuer>,
    /// By how many seconds the server's clock is ahead, once it said what time it is.
    pub(super) ahead: Option<i64>,
}

impl Server {
    pub(super) fn new(
        issuer: &Arc<Issuer>,
        identity: Option<TlsIdentity>,
        key_store: KeyStoreThread,
    ) -> Self {
        let plain = Lone::new(issuer, None, key_store.clone());
        Self { plain, lone: Lone::new(issuer, identity, key_store), issuer: Arc::clone(issuer), ahead: None }
    }

    /// Looks up what the server publishes.
    pub(super) async fn look_up(&mut self, request: HttpRequest) -> Result<HttpResponse, Failure> {
        let response = self.plain.execute(request).await;
        self.received(response)
    }

    /// Sends a request. What a response shows is kept: the server's clock.
    pub(super) async fn send(&mut self, request: HttpRequest) -> Result<HttpResponse, Failure> {
        let response = self.lone.execute(request).await;
        self.received(response)
    }

    fn received(
        &mut self,
        response: Result<HttpResponse, TransportFailure>,
    ) -> Result<HttpResponse, Failure> {
        let response = response.map_err(|failure| Failure::transport(failure, self.issuer.timeout))?;
        let ours = i64::try_from(clock::since_epoch().as_secs()).unwrap_or(i64::MAX);
        let theirs = response.server_time().and_then(|time| i64::try_from(time).ok());
        self.ahead = theirs.map(|theirs| theirs - ours).or(self.ahead);
        Ok(response)
    }

    /// What is to be said of the clocks.
    pub(super) fn compare_clocks(&self, report: &mut Report, has_assertions: bool) {
        let Some(ahead) = self.ahead else {
            return report.good("clock", "the server does not say what time it is");
        };
        if ahead.abs() < TOLERANCE {
            return report.good("clock", "this host's and the server's are together");
        }
        let direction = if ahead > 0 { "behind" } else { "ahead of" };
        let finding = format!("this host's clock is {} s {direction} the server's", ahead.abs());
        let remedy = match has_assertions && ahead.abs() >= SERIOUS {
            true => {
                "set it right (timedatectl, chronyc tracking): the broker dates assertions by the server's, but other \
                 programs can't"
            }
            false => "set it right: see timedatectl and chronyc tracking",
        };
        report.warn("clock", finding, remedy);
    }
}
