//! Where each client stands, as its operator sees it.

use std::time::Duration;

use tokenbroker_oauth::Class;

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
    /// Whether it waits for its turn at the issuer.
    pub queued: bool,
    /// How many callers wait.
    pub waiting: usize,
    /// Token requests since the start, failed ones and those of narrower token keys included.
    pub token_requests: u64,
    /// What came of them.
    pub outcomes: Outcomes,
    /// Tokens given to callers since the start.
    pub gets: u64,
    /// How many of them were there already: as many token requests avoided.
    pub gets_from_cache: u64,
    /// How many narrower token keys callers asked for lately.
    pub narrowed: usize,
    /// By how many seconds the server's clock is ahead, if that is worth telling.
    pub clock_offset: Option<i64>,
    /// The last failure, until a token request succeeds.
    pub last_failure: Option<Failure>,
    /// When the next attempt after that failure is due.
    pub next_try_in: Option<Duration>,
    /// The credential in use.
    pub credential: Option<StoredCredential>,
    /// The one that is to take its place.
    pub next_credential: Option<NextCredential>,
    /// Until when the certificate is good that was shown last, in seconds since 1970 (UTC).
    pub certificate_expires: Option<i64>,
}

/// A credential that is tried before the one in use.
#[derive(Debug, Clone, PartialEq)]
pub struct NextCredential {
    /// What is known of it.
    pub stored: StoredCredential,
    /// Why it was refused, if it was.
    pub refused: Option<Failure>,
    /// For how long it has been refused.
    pub refused_for: Duration,
    /// When it is tried again at the earliest; the next token request tries it if that is now.
    pub next_try_in: Duration,
}

/// What came of a client's token requests; those that are under way or were given up are in none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcomes {
    /// A token.
    pub issued: u64,
    /// A transient failure.
    pub transient: u64,
    /// A refusal of the client's credential.
    pub credential: u64,
    /// A refusal of the request.
    pub request: u64,
}

impl Outcomes {
    /// Counts one: a token, or a failure of this class.
    pub(super) fn count(&mut self, failure: Option<Class>) {
        let count = match failure {
            None => &mut self.issued,
            Some(Class::Transient) => &mut self.transient,
            Some(Class::Credential) => &mut self.credential,
            Some(Class::Request | Class::Demand) => &mut self.request,
        };
        *count += 1;
    }

    /// The failures.
    pub fn failed(&self) -> u64 {
        self.transient + self.credential + self.request
    }
}

/// How much the engine holds: all of it is bounded by the configuration and by who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Token keys.
    pub tokens: usize,
    /// Callers that wait.
    pub waiters: usize,
    /// What is under way outside.
    pub operations: usize,
    /// Deadlines.
    pub timers: usize,
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
            renewing: !matches!(token.stage, Stage::Idle | Stage::Behind | Stage::Queued { .. }),
            queued: matches!(token.stage, Stage::Behind | Stage::Queued { .. }),
            waiting: token.waiters.len(),
            expires_in: servable.map(|token| now.boot.until(token.expires)),
            renew_in: token.due.map(|due| now.boot.until(due)),
            generation: token.generation,
            token_requests: state.token_requests,
            outcomes: state.outcomes,
            gets: state.slot.gets(),
            gets_from_cache: state.slot.gets_from_cache(),
            narrowed: state.narrowed.len(),
            clock_offset: Some(self.server_clock(&state.config.issuer.name).offset(now))
                .filter(|offset| *offset != 0),
            last_failure: failure.cloned(),
            next_try_in: next_try.filter(|_| failure.is_some()).map(|at| now.boot.until(at)),
            credential: state.credential.clone(),
            next_credential: state.next.as_ref().map(|next| NextCredential {
                stored: next.stored.clone(),
                refused: next.refusals.last().map(|last| last.failure.clone()),
                refused_for: next.refused_since.map_or(Duration::ZERO, |since| now.boot.since(since)),
                next_try_in: now.boot.until(next.tried_at(now.boot)),
            }),
            certificate_expires: state.certificate.as_ref().map(|certificate| certificate.not_after),
        })
    }

    /// How much it holds.
    pub fn size(&self) -> Size {
        Size {
            tokens: self.tokens.len(),
            waiters: self.waiters.len(),
            operations: self.operations.len(),
            timers: self.timers.len(),
        }
    }
}
