//! Which request goes where.

use hyper::body::Incoming;
use hyper::{Method, Request};

use super::reply::Reply;
use super::resource;
use super::state::Server;
use super::token_endpoint;

/// The answer to a request; `None` closes the connection.
pub(super) async fn answer(request: Request<Incoming>, server: &Server) -> Option<Reply> {
    let settings = &server.settings;
    let path = request.uri().path();
    let is_token_endpoint = path.strip_prefix(&settings.path) == Some("/token");
    match *request.method() {
        Method::GET if path == "/data" => Some(resource::data(request.headers(), &server.state())),
        Method::GET if settings.is_metadata(path) => metadata(server).await,
        Method::POST if is_token_endpoint => token_endpoint::answer(request, server).await,
        _ if path == "/data" || is_token_endpoint || settings.is_metadata(path) => Some(Reply::empty(405)),
        _ => Some(Reply::empty(404)),
    }
}

async fn metadata(server: &Server) -> Option<Reply> {
    let fault = {
        let mut state = server.state();
        state.metadata_requests += 1;
        state.metadata_fault.clone()
    };
    fault.answer(|| server.settings.metadata()).await
}
