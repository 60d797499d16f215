//! Where each client stands, as its operator sees it.

use std::time::Duration;

use super::attempt::Stage;
use super::failure::Failure;
use super::{Engine, StoredCredential};
use crate::config::ClientName;
use crate::time::Now;

/// How a client is doing.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientStatus {
    /// Its name.
    pub client: ClientName,
    /// Its issuer's name.
    pub issuer: String,
    /// Where it stands.
    pub state: State,
    /// Whether an attempt is under way.
    pub renewing: bool,
    /// How long the token may still be used.
    pub expires_in: Option<Duration>,
    /// When it is renewed.
    pub renew_in: Option<Duration>,
    /// The token's generation; 0 before the first.
    pub generation: u64,
    /// Token requests since the start, failed ones included.
    pub token_requests: u64,
    /// Tokens given to callers since the start.
    pub gets: u64,
    /// The last failure, until a token request succeeds.
    pub last_failure: Option<Failure>,
    /// When the next attempt after that failure is due.
    pub next_try_in: Option<Duration>,
    /// The credential in use.
    pub credential: Option<StoredCredential>,
}

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing was fetched yet.
    Pending,
    /// It has a token.
    Warm,
    /// It has a token, though the last renewal failed.
    Degraded,
    /// It has no token, and the last failure was transient.
    Unavailable,
    /// It has no token, and somebody must act.
    Blocked,
}

impl Engine {
    /// How a client is doing; `None` if it is not configured.
    pub fn status(&self, client: &str, now: Now) -> Option<ClientStatus> {
        let state = self.clients.get(client)?;
        let token = self.tokens.get(&state.configured)?;
        let servable = token.servable(now.boot);
        let (failure, next_try) = self.obstacle(token);
        let standing = match (servable, failure) {
            (Some(_), None) => State::Warm,
            (Some(_), Some(_)) => State::Degraded,
            (None, None) => State::Pending,
            (None, Some(failure)) if failure.blocks() => State::Blocked,
            (None, Some(_)) => State::Unavailable,
        };
        Some(ClientStatus {
            client: token.client.clone(),
            issuer: state.config.issuer.name.clone(),
            state: standing,
            renewing: !matches!(token.stage, Stage::Idle | Stage::Queued { .. }),
            expires_in: servable.map(|token| now.boot.until(token.expires)),
            renew_in: token.due.map(|due| now.boot.until(due)),
            generation: token.generation,
            token_requests: state.token_requests,
            gets: state.slot.gets(),
            last_failure: failure.cloned(),
            next_try_in: next_try.filter(|_| failure.is_some()).map(|at| now.boot.until(at)),
            credential: state.credential.clone(),
        })
    }
}
