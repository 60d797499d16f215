//! A tower layer that presents tokens, for any client that speaks `http::Request`: tonic channels, hyper, axum's tests.
//!
//! `cargo run -p tokenbroker-client --example tower_layer -- CLIENT URL`

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use tokenbroker_client::{Broker, Token, TokenSource};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt};

/// Gives a service's requests the token of one client.
#[derive(Clone)]
pub(crate) struct BearerLayer {
    tokens: Arc<dyn TokenSource>,
    client: Arc<str>,
}

impl BearerLayer {
    pub(crate) fn new(tokens: impl TokenSource + 'static, client: &str) -> Self {
        Self { tokens: Arc::new(tokens), client: client.into() }
    }
}

impl<S> Layer<S> for BearerLayer {
    type Service = Bearer<S>;

    fn layer(&self, inner: S) -> Bearer<S> {
        Bearer { inner, layer: self.clone() }
    }
}

#[derive(Clone)]
pub(crate) struct Bearer<S> {
    inner: S,
    layer: BearerLayer,
}

impl<S, B, R> Service<Request<B>> for Bearer<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Clone + Send + 'static,
    R: Send + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that is ready, not its clone.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let BearerLayer { tokens, client } = self.layer.clone();
        Box::pin(async move {
            let again = request.clone();
            let token = tokens.token(&client).await?;
            let reply = inner.call(presenting(request, &token)).await.map_err(Into::into)?;
            if reply.status() != StatusCode::UNAUTHORIZED {
                return Ok(reply);
            }
            // It may have been withdrawn before its time. If there is no newer one, the refusal is the answer.
            let Ok(newer) = tokens.rejected(&token).await else { return Ok(reply) };
            let inner = inner.ready().await.map_err(Into::into)?;
            inner.call(presenting(again, &newer)).await.map_err(Into::into)
        })
    }
}

fn presenting<B>(mut request: Request<B>, token: &Token) -> Request<B> {
    request.headers_mut().insert(AUTHORIZATION, token.header());
    request
}

fn main() -> Result<(), BoxError> {
    let mut arguments = std::env::args().skip(1);
    let (Some(client), Some(url)) = (arguments.next(), arguments.next()) else {
        return Err("usage: tower_layer CLIENT URL".into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let body = runtime.block_on(async {
        let broker = Broker::connect().await?;
        call(broker, &client, &url).await
    })?;
    println!("{body}");
    Ok(())
}

pub(crate) async fn call(
    tokens: impl TokenSource + 'static,
    client: &str,
    url: &str,
) -> Result<String, BoxError> {
    let http = reqwest::Client::new();
    let send = tower::service_fn(move |request: Request<String>| {
        let http = http.clone();
        async move { Ok::<_, BoxError>(Response::from(http.execute(request.try_into()?).await?)) }
    });
    let service = ServiceBuilder::new().layer(BearerLayer::new(tokens, client)).service(send);
    let reply = service.oneshot(Request::get(url).body(String::new())?).await?;
    Ok(reqwest::Response::from(reply).error_for_status()?.text().await?)
}
