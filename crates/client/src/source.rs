//! Where an application gets its tokens from, so that its tests can have another place.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::{Error, Token, TokenRequest};

/// Gives tokens to tasks: a [`Broker`](crate::Broker), or in tests [`testing::Tokens`](crate::testing::Tokens).
///
/// ```
/// use std::sync::Arc;
/// use tokenbroker_client::{Error, TokenSource};
///
/// struct Invoices {
///     tokens: Arc<dyn TokenSource>,
/// }
///
/// impl Invoices {
///     async fn authorization(&self) -> Result<http::HeaderValue, Error> {
///         Ok(self.tokens.token("invoices").await?.header())
///     }
/// }
/// ```
///
/// What the methods of a source do is said at those of the [`Broker`](crate::Broker).
pub trait TokenSource: Send + Sync {
    /// The current token of a client.
    fn token<'a>(&'a self, client: &'a str) -> TokenFuture<'a>;

    /// A client's token as the request says.
    fn token_with<'a>(&'a self, request: &'a TokenRequest) -> TokenFuture<'a>;

    /// A newer token in the place of one that a resource refused.
    fn rejected<'a>(&'a self, token: &'a Token) -> TokenFuture<'a>;
}

/// A token that may be there already. Then it takes no allocation and no runtime.
#[must_use = "it does nothing unless it is awaited"]
pub struct TokenFuture<'a>(State<'a>);

enum State<'a> {
    Ready(Option<Result<Token, Error>>),
    Waiting(Pin<Box<dyn Future<Output = Result<Token, Error>> + Send + 'a>>),
}

impl<'a> TokenFuture<'a> {
    /// What is known now.
    pub fn ready(outcome: Result<Token, Error>) -> Self {
        Self(State::Ready(Some(outcome)))
    }

    /// What takes waiting for.
    pub fn waiting(future: impl Future<Output = Result<Token, Error>> + Send + 'a) -> Self {
        Self(State::Waiting(Box::pin(future)))
    }
}

impl Future for TokenFuture<'_> {
    type Output = Result<Token, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().0 {
            // Like any future, it has nothing to say once it was ready.
            State::Ready(outcome) => outcome.take().map_or(Poll::Pending, Poll::Ready),
            State::Waiting(future) => future.as_mut().poll(context),
        }
    }
}

impl fmt::Debug for TokenFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Ready(_) => "TokenFuture(ready)",
            State::Waiting(_) => "TokenFuture(waiting)",
        })
    }
}

impl<T: TokenSource + ?Sized> TokenSource for &T {
    fn token<'a>(&'a self, client: &'a str) -> TokenFuture<'a> {
        (**self).token(client)
    }

    fn token_with<'a>(&'a self, request: &'a TokenRequest) -> TokenFuture<'a> {
        (**self).token_with(request)
    }

    fn rejected<'a>(&'a self, token: &'a Token) -> TokenFuture<'a> {
        (**self).rejected(token)
    }
}

impl<T: TokenSource + ?Sized> TokenSource for Arc<T> {
    fn token<'a>(&'a self, client: &'a str) -> TokenFuture<'a> {
        (**self).token(client)
    }

    fn token_with<'a>(&'a self, request: &'a TokenRequest) -> TokenFuture<'a> {
        (**self).token_with(request)
    }

    fn rejected<'a>(&'a self, token: &'a Token) -> TokenFuture<'a> {
        (**self).rejected(token)
    }
}
