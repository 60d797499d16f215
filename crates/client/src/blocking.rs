//! The broker for programs without a runtime.

pub(crate) mod connection;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokenbroker_protocol::{Command, Response};

use crate::attempts::{Attempts, Setback};
use crate::builder::{Builder, Destination};
use crate::cache::{Cache, Found};
use crate::pool::{Pool, Turns};
use crate::question::{Get, Question};
use crate::session::{self, Answer};
use crate::{Error, Token, TokenRequest, clock};
use connection::Connection;

/// How long the daemon may take to say hello to [`Broker::connect`].
const CONNECT: Duration = Duration::from_secs(5);

/// Gets tokens from the daemon; calls block. Clones share their connections, and a slow call of one is not in
/// the others' way, as long as fewer than 256 of them wait for the daemon: then the next waits for its turn, within its time.
///
/// ```no_run
/// use std::time::Duration;
/// use tokenbroker_client::blocking::Broker;
/// use tokenbroker_client::{Error, TokenRequest};
///
/// let broker = Broker::connect()?;
/// match broker.token_with(&TokenRequest::new("signtext").min_ttl(Duration::from_secs(60))) {
///     Ok(token) => println!("{} s left", token.expires_in().as_secs()),
///     Err(error) => {
///         eprintln!("error: {error}");
///         if let Some(hint) = error.hint() {
///             eprintln!("hint: {hint}");
///         }
///     }
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Broker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    destination: Arc<Destination>,
    pool: Pool<Connection>,
    turns: Turns,
    cache: Cache,
}

impl Broker {
    /// Connects to the daemon where the environment says it is.
    ///
    /// # Errors
    ///
    /// [`Error::NoDaemon`], [`Error::UntrustedServer`] and others, if that is not possible now.
    pub fn connect() -> Result<Self, Error> {
        Self::builder().connect()
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
    pub fn token(&self, client: &str) -> Result<Token, Error> {
        self.get(Get::new(client))
    }

    /// A client's token as the request says.
    ///
    /// # Errors
    ///
    /// [`Error`]; with [`Error::Failed`] the daemon says why there is none.
    pub fn token_with(&self, request: &TokenRequest) -> Result<Token, Error> {
        self.get(Get::with(request))
    }

    /// A newer token in the place of one that a resource refused, most often with 401.
    ///
    /// However many callers report the same token, the daemon sends one token request for it. Report a token once: when
    /// the newer one is refused too, it is not the token that is wrong. A 403 is none to report: the token was
    /// understood, and is good for less than what was asked of the resource.
    ///
    /// ```no_run
    /// # fn call(_: &str) -> u16 { 200 }
    /// # let broker = tokenbroker_client::blocking::Broker::connect()?;
    /// let token = broker.token("signtext")?;
    /// let mut status = call(token.value());
    /// if status == 401 {
    ///     status = call(broker.rejected(&token)?.value());
    /// }
    /// # let _ = status;
    /// # Ok::<(), tokenbroker_client::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error`]; with [`Error::Failed`] the daemon says why there is no newer token, and when it fetches the next. Until
    /// then it goes on serving the reported one, which other resources may well take.
    pub fn rejected(&self, token: &Token) -> Result<Token, Error> {
        self.find(self.0.cache.replace(token))
    }

    /// Any other request: administration. Ends within `timeout`.
    ///
    /// # Errors
    ///
    /// [`Error`]; [`Response::Failed`] becomes [`Error::Failed`].
    pub fn request(&self, command: Command, timeout: Duration) -> Result<Response, Error> {
        Ok(self.call(Question::Command { command: &command, timeout })?.response)
    }

    fn get(&self, get: Get<'_>) -> Result<Token, Error> {
        match self.0.cache.fresh(&get) {
            Some(token) => Ok(token),
            None => self.find(self.0.cache.look_up(get)),
        }
    }

    fn find(&self, found: Found<'_>) -> Result<Token, Error> {
        let mut lookup = match found {
            Found::Token(token) => return Ok(token),
            Found::Nothing(lookup) => lookup,
        };
        loop {
            let answer = self.call(Question::Get(lookup.question()));
            if let ControlFlow::Break(outcome) = lookup.answered(answer) {
                return outcome;
            }
        }
    }

    fn call(&self, mut question: Question<'_>) -> Result<Answer, Error> {
        let timer = Timer::start(question.deadline());
        let mut attempts = Attempts::new(&question);
        let mut elapsed = Duration::ZERO;
        loop {
            let setback = match self.attempt(&question, &timer, elapsed) {
                Ok(answer) => return Ok(answer),
                Err(setback) => question.after(setback),
            };
            let pause = attempts.after(setback, timer.elapsed())?;
            thread::sleep(pause);
            elapsed = timer.elapsed();
        }
    }

    fn attempt(&self, question: &Question<'_>, timer: &Timer, elapsed: Duration) -> Result<Answer, Setback> {
        let (_turn, elapsed) = match self.0.turns.take(Duration::ZERO) {
            Some(turn) => (turn, elapsed),
            // What it waits for its turn is gone of its time.
            None => {
                let turn = self.0.turns.take(timer.left(elapsed)?).ok_or(Setback::TimedOut)?;
                (turn, timer.elapsed())
            }
        };
        let kept = self.0.pool.take();
        let was_kept = kept.is_some();
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::dial(&self.0.destination, timer, elapsed)?,
        };
        let asked = clock::boot_time();
        match connection.ask(question, timer, elapsed).map(session::outcome) {
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
            Err(setback) => Err(connection.explained(setback)),
        }
    }
}

/// Gives tokens to threads: a [`Broker`], or in tests [`testing::Tokens`](crate::testing::Tokens).
///
/// What the methods of a source do is said at those of the [`Broker`].
pub trait TokenSource: Send + Sync {
    /// The current token of a client.
    ///
    /// # Errors
    ///
    /// [`Error`]; with [`Error::Failed`] the daemon says why there is none.
    fn token(&self, client: &str) -> Result<Token, Error>;

    /// A client's token as the request says.
    ///
    /// # Errors
    ///
    /// [`Error`]; with [`Error::Failed`] the daemon says why there is none.
    fn token_with(&self, request: &TokenRequest) -> Result<Token, Error>;

    /// A newer token in the place of one that a resource refused.
    ///
    /// # Errors
    ///
    /// [`Error`]; with [`Error::Failed`] the daemon says why there is no newer one.
    fn rejected(&self, token: &Token) -> Result<Token, Error>;
}

impl TokenSource for Broker {
    fn token(&self, client: &str) -> Result<Token, Error> {
        self.token(client)
    }

    fn token_with(&self, request: &TokenRequest) -> Result<Token, Error> {
        self.token_with(request)
    }

    fn rejected(&self, token: &Token) -> Result<Token, Error> {
        self.rejected(token)
    }
}

impl Builder<Broker> {
    /// Connects to the daemon.
    ///
    /// # Errors
    ///
    /// [`Error::NoDaemon`], [`Error::UntrustedServer`] and others, if that is not possible now.
    pub fn connect(self) -> Result<Broker, Error> {
        let broker = self.build();
        let dialled = Connection::dial(&broker.0.destination, &Timer::start(CONNECT), Duration::ZERO);
        broker.0.pool.keep(dialled.map_err(|setback| setback.into_error(CONNECT))?);
        Ok(broker)
    }

    /// A broker that connects at its first call, for a program that may start before the daemon.
    pub fn build(self) -> Broker {
        let (destination, cache) = self.parts();
        Broker(Arc::new(Shared { destination, pool: Pool::new(), turns: Turns::new(), cache }))
    }
}

/// The time of one call.
pub(crate) struct Timer {
    started: Instant,
    deadline: Duration,
}

impl Timer {
    pub(crate) fn start(deadline: Duration) -> Self {
        Self { started: clock::now(), deadline }
    }

    fn elapsed(&self) -> Duration {
        clock::now().saturating_duration_since(self.started)
    }

    /// What is left when this much has gone.
    fn left(&self, elapsed: Duration) -> Result<Duration, Setback> {
        match self.deadline.saturating_sub(elapsed) {
            Duration::ZERO => Err(Setback::TimedOut),
            left => Ok(left),
        }
    }
}
