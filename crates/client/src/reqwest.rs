//! An HTTP client that presents tokens by itself: [`Client`]. With the feature `reqwest`.

use std::fmt;
use std::sync::Arc;

use ::reqwest::header::AUTHORIZATION;
use ::reqwest::{Request, RequestBuilder, Response, StatusCode, Url};

use crate::{Token, TokenRequest, TokenSource};

/// Sends requests with the current token of a client.
///
/// When the resource answers 401, the token is reported, and the request is sent once more with the newer one, if there is
/// a newer one, and if the request can be sent again: one whose body is a stream can't. Otherwise the 401 is the answer.
/// Nothing else is repeated: a 403 is not the token's fault, and other errors are between the program and the resource.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use tokenbroker_client::Broker;
/// use tokenbroker_client::reqwest::Client;
///
/// let http = reqwest::Client::new();
/// let signtext = Client::new(http.clone(), Broker::connect().await?, "signtext");
///
/// let reply = signtext.send(http.get("https://api.example.com/data").header("accept", "application/json")).await?;
/// # drop(reply);
/// # Ok(())
/// # }
/// ```
///
/// A token goes where the request goes, and no further: reqwest takes it off a request that a redirect leads to another
/// scheme, host or port. A request that brings an `Authorization` header of its own is sent as it is.
#[derive(Clone)]
pub struct Client {
    http: ::reqwest::Client,
    tokens: Arc<dyn TokenSource>,
    request: Arc<TokenRequest>,
}

impl Client {
    /// Sends by `http`, with tokens from `tokens`: those of a client by its name in the daemon's configuration, or what a
    /// [`TokenRequest`] says.
    pub fn new(
        http: ::reqwest::Client,
        tokens: impl TokenSource + 'static,
        request: impl Into<TokenRequest>,
    ) -> Self {
        Self { http, tokens: Arc::new(tokens), request: Arc::new(request.into()) }
    }

    /// Sends what was built with any reqwest client. It is sent by the one that this was made with.
    ///
    /// # Errors
    ///
    /// [`Error::Http`] if the request can't be built, and as [`execute`](Self::execute).
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        self.execute(request.build().map_err(Error::Http)?).await
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// [`Error::Token`] if there is no token; then nothing was sent. [`Error::Http`] if there is no response. Any response
    /// is none, whatever its status.
    pub async fn execute(&self, mut request: Request) -> Result<Response, Error> {
        if request.headers().contains_key(AUTHORIZATION) {
            return self.http.execute(request).await.map_err(Error::Http);
        }
        let token = self.tokens.token_with(&self.request).await.map_err(Error::Token)?;
        present(&mut request, &token);
        let again = request.try_clone();
        let target = request.url().clone();
        let response = self.http.execute(request).await.map_err(Error::Http)?;
        if response.status() != StatusCode::UNAUTHORIZED || !is_of_one_origin(&target, response.url()) {
            return Ok(response);
        }
        let Some(mut again) = again else {
            // The next request reports it, and has the newer one.
            token.rejected();
            return Ok(response);
        };
        match self.tokens.rejected(&token).await {
            Ok(newer) => {
                present(&mut again, &newer);
                self.http.execute(again).await.map_err(Error::Http)
            }
            // What the resource says is more to the point.
            Err(_) => Ok(response),
        }
    }
}

fn present(request: &mut Request, token: &Token) {
    request.headers_mut().insert(AUTHORIZATION, token.header());
}

/// Whether the token that was sent to the one came to the other.
fn is_of_one_origin(sent_to: &Url, answered_by: &Url) -> bool {
    sent_to.origin() == answered_by.origin()
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("http", &self.http)
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no token.
    #[error("there is no token to send the request with")]
    Token(#[source] crate::Error),
    /// The request can't be sent, or nothing came back.
    #[error("the request has failed")]
    Http(#[source] ::reqwest::Error),
}
