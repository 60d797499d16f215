//! The broker for tasks on a tokio runtime.

mod connection;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokenbroker_protocol::{Command, Response};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::attempts::{Attempts, Setback};
use crate::builder::{self, Builder, Destination};
use crate::cache::{Cache, Found};
use crate::pool::{MOST_AT_ONCE, Pool};
use crate::question::{Get, Question};
use crate::session::{self, Answer};
use crate::{Error, Token, TokenFuture, TokenRequest, TokenSource, clock};
use connection::Connection;

/// How long the daemon may take to say hello to [`Broker::connect`].
const CONNECT: Duration = Duration::from_secs(5);

/// Gets tokens from the daemon. Clones share their connections, and a slow call of one is not in the others' way, as long as
/// fewer than 256 of them wait for the daemon: then the next waits for its turn, within its time.
///
/// A call may be dropped at any time: its connection is dropped with it, and nothing else is touched. A broker may be
/// used from several runtimes, and outlives them.
///
/// What can't be answered [from memory](crate#what-is-kept-in-memory) takes a tokio runtime that has I/O and time enabled,
/// and panics outside of one.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use tokenbroker_client::{Broker, TokenRequest};
///
/// let broker = Broker::connect().await?;
/// let request = TokenRequest::new("signtext").min_ttl(Duration::from_secs(60));
/// let token = broker.token_with(&request).await?;
///
/// let http = reqwest::Client::new();
/// let reply = http.get("https://api.example.com/data").bearer_auth(token.value()).send().await?;
/// # drop(reply);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Broker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    destination: Arc<Destination>,
    pool: Pool<Connection>,
    turns: Semaphore,
    cache: Cache,
}

impl Broker {
    /// Connects to the daemon where the environment says it is.
    ///
    /// # Errors
    ///
    /// [`Error::NoDaemon`], [`Error::UntrustedServer`] and others, if that is not possible now.
    pub async fn connect() -> Result<Self, Error> {
        Self::builder().connect().await
    }

    /// Says where the daemon is, before connecting.
    pub fn builder() -> Builder<Self> {
        Builder::new()
    }

    /// The current token of a client.
    ///
    /// # Errors
    ///
    /// [`Error`]; with [`Error::Failed`] the daemon says why there is none.
    pub async fn token(&self, client: &str) -> Result<Token, Error> {
        let get = Get::new(client);
        match self.0.cache.fresh(&get) {
            Some(token) => Ok(token),
            None => self.find(self.0.cache.look_up(get)).await,
        }
    }

    /// A client's token as the request says.
    ///
    /// # Errors
    ///
    /// [`Error`]; with [`Error::Failed`] the daemon says why there is none.
    pub async fn token_with(&self, request: &TokenRequest) -> Result<Token, Error> {
        let get = Get::with(request);
        match self.0.cache.fresh(&get) {
            Some(token) => Ok(token),
            None => self.find(self.0.cache.look_up(get)).await,
        }
    }

    /// A newer token in the place of one that a resource refused, most often with 401.
    ///
    /// However many callers report the same token, the daemon sends one token request for it. Report a token once: when
    /// the newer one is refused too, it is not the token that is wrong. A 403 is none to report: the token was
    /// understood, and is good for less than what was asked of the resource.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (broker, http) = (tokenbroker_client::Broker::connect().await?, reqwest::Client::new());
    /// let call = |token: &str| http.get("https://api.example.com/data").bearer_auth(token).send();
    ///
    /// let token = broker.token("signtext").await?;
    /// let mut reply = call(token.value()).await?;
    /// if reply.status() == reqwest::StatusCode::UNAUTHORIZED {
    ///     let newer = broker.rejected(&token).await?;
    ///     reply = call(newer.value()).await?;
    /// }
    /// # drop(reply);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error`]; with [`Error::Failed`] the daemon says why there is no newer token, and when it fetches the next. Until
    /// then it goes on serving the reported one, which other resources may well take.
    pub async fn rejected(&self, token: &Token) -> Result<Token, Error> {
        self.find(self.0.cache.replace(token)).await
    }

    /// Any other request: administration. Ends within `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error`]; [`Response::Failed`] becomes [`Error::Failed`].
    pub async fn request(&self, command: Command, timeout: Duration) -> Result<Response, Error> {
        Ok(self.call(Question::Command { command: &command, timeout }).await?.response)
    }

    async fn find(&self, found: Found<'_>) -> Result<Token, Error> {
        let mut lookup = match found {
            Found::Token(token) => return Ok(token),
            Found::Nothing(lookup) => lookup,
        };
        loop {
            let answer = self.call(Question::Get(lookup.question())).await;
            if let ControlFlow::Break(outcome) = lookup.answered(answer) {
                return outcome;
            }
        }
    }

    async fn call(&self, mut question: Question<'_>) -> Result<Answer, Error> {
        let started = clock::now();
        let mut attempts = Attempts::new(&question);
        let mut elapsed = Duration::ZERO;
        loop {
            let left = question.deadline().saturating_sub(elapsed);
            let setback = match timeout(left, self.attempt(&question, started, elapsed)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(setback)) => question.after(setback),
                Err(_) => Setback::TimedOut,
            };
            sleep(attempts.after(setback, since(started))?).await;
            elapsed = since(started);
        }
    }

    async fn attempt(
        &self,
        question: &Question<'_>,
        started: Instant,
        elapsed: Duration,
    ) -> Result<Answer, Setback> {
        let (_turn, elapsed) = match self.0.turns.try_acquire() {
            Ok(turn) => (Ok(turn), elapsed),
            // What it waits for its turn is gone of its time. Nobody closes the semaphore.
            Err(_) => (self.0.turns.acquire().await, since(started)),
        };
        let kept = self.0.pool.take().filter(Connection::is_of_this_runtime);
        let was_kept = kept.is_some();
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.0.dial().await?,
        };
        let asked = clock::boot_time();
        match connection.ask(question, elapsed).await.map(session::outcome) {
            // Only a connection that has answered is kept: on any other an answer may still be on its way.
            Ok(outcome @ (Ok(_) | Err(Setback::Final(_) | Setback::TooMuch(_)))) => {
                let instance = connection.instance();
                if connection.is_reusable() {
                    self.0.pool.keep(connection);
                }
                outcome.map(|response| Answer { response, instance, asked })
            }
            Ok(Err(shutting_down)) => {
                self.0.pool.clear();
                Err(shutting_down)
            }
            // What it said when it hung up on an idle connection may be long out of date.
            Err(Setback::Lost { unsent, source, .. }) if was_kept => {
                self.0.pool.clear();
                Err(Setback::Lost { kept: true, unsent, source })
            }
            Err(setback) => Err(connection.explained(setback).await),
        }
    }
}

impl Shared {
    async fn dial(&self) -> Result<Connection, Setback> {
        let mut tried = Vec::new();
        for endpoint in self.destination.endpoints() {
            match tokenbroker_ipc::connect(endpoint, self.destination.trust()).await {
                Ok(stream) => {
                    let connection = Connection::greet(stream).await?;
                    self.destination.found(endpoint);
                    return Ok(connection);
                }
                Err(error) => builder::note(&mut tried, endpoint, error)?,
            }
        }
        Err(Setback::Absent(tried))
    }
}

impl TokenSource for Broker {
    fn token<'a>(&'a self, client: &'a str) -> TokenFuture<'a> {
        self.future(Get::new(client))
    }

    fn token_with<'a>(&'a self, request: &'a TokenRequest) -> TokenFuture<'a> {
        self.future(Get::with(request))
    }

    fn rejected<'a>(&'a self, token: &'a Token) -> TokenFuture<'a> {
        TokenFuture::waiting(self.rejected(token))
    }
}

impl Broker {
    fn future<'a>(&'a self, get: Get<'a>) -> TokenFuture<'a> {
        match self.0.cache.fresh(&get) {
            Some(token) => TokenFuture::ready(Ok(token)),
            None => TokenFuture::waiting(self.find(self.0.cache.look_up(get))),
        }
    }
}

impl Builder<Broker> {
    /// Connects to the daemon.
    ///
    /// # Errors
    ///
    /// [`Error::NoDaemon`], [`Error::UntrustedServer`] and others, if that is not possible now.
    pub async fn connect(self) -> Result<Broker, Error> {
        let broker = self.build();
        let dialled = timeout(CONNECT, broker.0.dial()).await.unwrap_or(Err(Setback::TimedOut));
        broker.0.pool.keep(dialled.map_err(|setback| setback.into_error(CONNECT))?);
        Ok(broker)
    }

    /// A broker that connects at its first call, for a program that may start before the daemon.
    pub fn build(self) -> Broker {
        let (destination, cache) = self.parts();
        let turns = Semaphore::new(MOST_AT_ONCE);
        Broker(Arc::new(Shared { destination, pool: Pool::new(), turns, cache }))
    }
}

fn since(started: Instant) -> Duration {
    clock::now().saturating_duration_since(started)
}
