//! A source of tokens for tests, without a daemon.
//!
//! ```
//! use std::time::Duration;
//! use tokenbroker_client::blocking::TokenSource;
//! use tokenbroker_client::testing::Tokens;
//! use tokenbroker_client::{Error, Failure, FailureCode};
//!
//! /// The code under test.
//! fn authorization(tokens: &dyn TokenSource) -> Result<http::HeaderValue, Error> {
//!     Ok(tokens.token("invoices")?.header())
//! }
//!
//! let tokens = Tokens::new();
//! tokens.set("invoices", "eyJ");
//! assert_eq!(authorization(&tokens)?, "Bearer eyJ");
//! assert_eq!(tokens.gets("invoices"), 1);
//!
//! tokens.fail_once("invoices", Error::Failed(Failure::new(FailureCode::NoToken, "try later")));
//! assert!(authorization(&tokens).is_err());
//! # Ok::<(), Error>(())
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokenbroker_protocol::{self as protocol, Failure, FailureCode};

use crate::clock::boot_time;
use crate::key::Key;
use crate::question::Get;
use crate::token::Origin;
use crate::{Error, Token, TokenFuture, TokenRequest, TokenSource, blocking};

/// How long tokens live unless it is said.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Tokens that a test sets, for code that takes a [`TokenSource`] or a [`blocking::TokenSource`]. Clones are the same
/// source, so that a test can keep one.
///
/// A request means its client, scope, resources and audience, as for the daemon: a token that was set for a client is not
/// what a request for one of its scopes gets. What was not set is denied.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Arc<Mutex<Vec<Client>>>);

/// What there is for one request.
#[derive(Debug)]
struct Client {
    key: Arc<Key>,
    current: Option<Token>,
    /// What a rejection brings.
    next: VecDeque<Token>,
    generation: u64,
    failures: VecDeque<Error>,
    outage: Option<Outage>,
    gets: u64,
    rejected: Vec<Token>,
}

struct Outage(Box<dyn Fn() -> Error + Send + Sync>);

impl Tokens {
    /// None at first.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on this is the token, for an hour; as a new generation.
    ///
    /// # Panics
    ///
    /// If no header can carry it.
    pub fn set(&self, request: impl Into<TokenRequest>, value: &str) -> Token {
        self.set_for(request, value, LIFETIME)
    }

    /// From now on this is the token, for this long.
    ///
    /// # Panics
    ///
    /// If no header can carry it.
    pub fn set_for(&self, request: impl Into<TokenRequest>, value: &str, lifetime: Duration) -> Token {
        self.with(&Get::with(&request.into()), |client| {
            let token = client.issue(value, lifetime);
            client.current = Some(token.clone());
            token
        })
    }

    /// This will be the token when the one before it is reported as rejected. Several come one after the other.
    ///
    /// # Panics
    ///
    /// If no header can carry it.
    pub fn set_next(&self, request: impl Into<TokenRequest>, value: &str) -> Token {
        self.with(&Get::with(&request.into()), |client| {
            let token = client.issue(value, LIFETIME);
            client.next.push_back(token.clone());
            token
        })
    }

    /// There is no token any more.
    pub fn remove(&self, request: impl Into<TokenRequest>) {
        self.with(&Get::with(&request.into()), |client| {
            client.current = None;
            client.next.clear();
        });
    }

    /// The next get fails, or the next report. Several come one after the other.
    pub fn fail_once(&self, request: impl Into<TokenRequest>, error: Error) {
        self.with(&Get::with(&request.into()), |client| client.failures.push_back(error));
    }

    /// Every get fails, and every report, until [`recover`](Self::recover).
    pub fn fail(&self, request: impl Into<TokenRequest>, error: impl Fn() -> Error + Send + Sync + 'static) {
        self.with(&Get::with(&request.into()), |client| client.outage = Some(Outage(Box::new(error))));
    }

    /// The end of what [`fail`](Self::fail) began.
    pub fn recover(&self, request: impl Into<TokenRequest>) {
        self.with(&Get::with(&request.into()), |client| client.outage = None);
    }

    /// How often a token was asked for, reports and failures included.
    pub fn gets(&self, request: impl Into<TokenRequest>) -> u64 {
        self.with(&Get::with(&request.into()), |client| client.gets)
    }

    /// The tokens that were reported as rejected, in order.
    pub fn rejections(&self, request: impl Into<TokenRequest>) -> Vec<Token> {
        self.with(&Get::with(&request.into()), |client| client.rejected.clone())
    }

    fn get(&self, get: &Get<'_>) -> Result<Token, Error> {
        self.with(get, |client| {
            client.gets += 1;
            if let Some(complaint) = client.key.complaint() {
                client.key.settle(&complaint);
                let current = client.current.clone();
                if let Some(refused) = current.filter(|current| current.generation() == complaint.generation)
                {
                    return client.replace(&refused);
                }
            }
            client.give(get.min_ttl)
        })
    }

    fn replace(&self, refused: &Token) -> Result<Token, Error> {
        self.with(&Get::again(refused), |client| {
            client.gets += 1;
            client.replace(refused)
        })
    }

    fn with<T>(&self, get: &Get<'_>, act: impl FnOnce(&mut Client) -> T) -> T {
        let mut clients = self.clients();
        let place = clients.iter().position(|client| client.key.is_of(get));
        let place = place.unwrap_or_else(|| {
            clients.push(Client::new(get));
            clients.len() - 1
        });
        act(&mut clients[place])
    }

    fn clients(&self) -> MutexGuard<'_, Vec<Client>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    fn new(get: &Get<'_>) -> Self {
        Self {
            key: Arc::new(Key::of(get, &Arc::default())),
            current: None,
            next: VecDeque::new(),
            generation: 0,
            failures: VecDeque::new(),
            outage: None,
            gets: 0,
            rejected: Vec::new(),
        }
    }

    fn issue(&mut self, value: &str, lifetime: Duration) -> Token {
        self.generation += 1;
        let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        let token = protocol::Token {
            access_token: value.into(),
            token_type: "Bearer".into(),
            expires_in_ms: lifetime_ms,
            serve_for_ms: lifetime_ms,
            answered_at_ms: 0,
            expires_at_ms: crate::clock::wall_time_ms().saturating_add(lifetime_ms),
            scope: self.key.scope.as_deref().map(str::to_owned),
            generation: self.generation,
            min_ttl_met: true,
            handle: 1,
        };
        let origin = Origin { instance: [0; 16], answered: boot_time(), wait: None };
        Token::new(token, origin, Arc::clone(&self.key)).unwrap_or_else(|error| panic!("{error}"))
    }

    fn fails(&mut self) -> Result<(), Error> {
        let failure = self.failures.pop_front().or_else(|| self.outage.as_ref().map(|outage| (outage.0)()));
        failure.map_or(Ok(()), Err)
    }

    fn give(&mut self, min_ttl: Duration) -> Result<Token, Error> {
        self.fails()?;
        let now = boot_time();
        match &self.current {
            None => {
                Err(failed(FailureCode::Denied, "no token was set for this client, or not for this request"))
            }
            Some(token) if token.is_fresh(now, Duration::ZERO) => Ok(token.for_min_ttl(now, min_ttl)),
            Some(_) => Err(failed(FailureCode::NoToken, "the token that was set has expired")),
        }
    }

    fn replace(&mut self, refused: &Token) -> Result<Token, Error> {
        self.rejected.push(refused.clone());
        if self.current.as_ref() != Some(refused) {
            return self.give(Duration::ZERO);
        }
        self.fails()?;
        let next = self.next.pop_front();
        let next =
            next.ok_or_else(|| failed(FailureCode::NoToken, "no token was set to follow the rejected one"))?;
        self.current = Some(next);
        self.give(Duration::ZERO)
    }
}

fn failed(code: FailureCode, message: &str) -> Error {
    Error::Failed(Failure::new(code, message))
}

impl TokenSource for Tokens {
    fn token<'a>(&'a self, client: &'a str) -> TokenFuture<'a> {
        TokenFuture::ready(self.get(&Get::new(client)))
    }

    fn token_with<'a>(&'a self, request: &'a TokenRequest) -> TokenFuture<'a> {
        TokenFuture::ready(self.get(&Get::with(request)))
    }

    fn rejected<'a>(&'a self, token: &'a Token) -> TokenFuture<'a> {
        TokenFuture::ready(self.replace(token))
    }
}

impl blocking::TokenSource for Tokens {
    fn token(&self, client: &str) -> Result<Token, Error> {
        self.get(&Get::new(client))
    }

    fn token_with(&self, request: &TokenRequest) -> Result<Token, Error> {
        self.get(&Get::with(request))
    }

    fn rejected(&self, token: &Token) -> Result<Token, Error> {
        self.replace(token)
    }
}

impl fmt::Debug for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outage")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(tokens: &Tokens, request: impl Into<TokenRequest>) -> Result<String, FailureCode> {
        let got = blocking::TokenSource::token_with(tokens, &request.into());
        got.map(|token| token.value().to_owned()).map_err(|error| error.code().unwrap())
    }

    #[test]
    fn what_was_set_is_given_and_counted() {
        let tokens = Tokens::new();
        assert_eq!(get(&tokens, "x"), Err(FailureCode::Denied));
        assert_eq!(tokens.set("x", "one").generation(), 1);
        assert_eq!(tokens.set("x", "two").generation(), 2);
        tokens.set(TokenRequest::new("x").scope("read"), "narrow");
        assert_eq!(get(&tokens, "x"), Ok("two".into()));
        assert_eq!(get(&tokens, TokenRequest::new("x").scope("read")), Ok("narrow".into()));
        assert_eq!((tokens.gets("x"), tokens.gets("y")), (2, 0));
        tokens.remove("x");
        assert_eq!(get(&tokens, "x"), Err(FailureCode::Denied));
    }

    #[test]
    fn lifetimes_are_kept_to() {
        let tokens = Tokens::new();
        tokens.set_for("x", "long", Duration::from_secs(60));
        let request = TokenRequest::new("x").min_ttl(Duration::from_secs(90));
        assert!(!blocking::TokenSource::token_with(&tokens, &request).unwrap().min_ttl_met());
        tokens.set_for("x", "over", Duration::ZERO);
        assert_eq!(get(&tokens, "x"), Err(FailureCode::NoToken));
    }

    #[test]
    fn it_fails_on_demand() {
        let tokens = Tokens::new();
        tokens.set("x", "one");
        tokens.fail_once("x", failed(FailureCode::Blocked, "once"));
        tokens.fail("x", || failed(FailureCode::ShuttingDown, "always"));
        assert_eq!(get(&tokens, "x"), Err(FailureCode::Blocked));
        assert_eq!(get(&tokens, "x"), Err(FailureCode::ShuttingDown));
        assert_eq!(get(&tokens, "x"), Err(FailureCode::ShuttingDown));
        tokens.recover("x");
        assert_eq!(get(&tokens, "x"), Ok("one".into()));
    }

    #[test]
    fn s46_who_reports_late_does_not_use_up_what_was_set_to_follow_before() {
        let tokens = Tokens::new();
        tokens.set_next("x", "next");
        tokens.set_next("x", "last");
        let first = tokens.set("x", "first");
        for _ in 0..2 {
            assert_eq!(blocking::TokenSource::rejected(&tokens, &first).unwrap().value(), "next");
        }
        first.rejected();
        assert_eq!(get(&tokens, "x"), Ok("next".into()));
    }

    #[test]
    fn s46_rejections_are_seen_and_bring_the_next_token() {
        let tokens = Tokens::new();
        tokens.set("x", "one");
        tokens.set_next("x", "two");
        let one = blocking::TokenSource::token(&tokens, "x").unwrap();
        assert_eq!(blocking::TokenSource::rejected(&tokens, &one).unwrap().value(), "two");
        // Who comes late gets the same.
        assert_eq!(blocking::TokenSource::rejected(&tokens, &one).unwrap().value(), "two");
        let two = blocking::TokenSource::token(&tokens, "x").unwrap();
        two.rejected();
        assert_eq!(get(&tokens, "x"), Err(FailureCode::NoToken));
        assert_eq!(get(&tokens, "x"), Ok("two".into()), "it was reported");
        assert_eq!(tokens.rejections("x"), [one.clone(), one, two]);
    }
}
