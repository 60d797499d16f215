//! Requests, as a test writes them by hand.

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder};
use serde_json::Value;
use tokenbroker_testkit::AuthServer;
use url::form_urlencoded;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderMap,
    /// Null if it is not JSON.
    pub(crate) body: Value,
}

impl Answer {
    /// The header's value, empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The OAuth error code, empty if there is none.
    pub(crate) fn error(&self) -> &str {
        self.body["error"].as_str().unwrap_or_default()
    }

    pub(crate) fn description(&self) -> &str {
        self.body["error_description"].as_str().unwrap_or_default()
    }
}

/// A client that trusts this server, and follows nobody.
pub(crate) fn http(server: &AuthServer) -> Client {
    let builder = Client::builder().redirect(Policy::none()).no_proxy();
    let builder = match server.ca_pem() {
        Some(ca) => builder.tls_certs_only([Certificate::from_pem(ca.as_bytes()).unwrap()]),
        None => builder,
    };
    builder.build().unwrap()
}

/// A form for the token endpoint; headers can still be added.
pub(crate) fn form(server: &AuthServer, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    http(server)
        .post(server.token_endpoint())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default();
    Answer { status, headers, body }
}

pub(crate) async fn get(server: &AuthServer, path: &str) -> Answer {
    send(http(server).get(server.url(path))).await
}

/// A token request with the secret in its body.
pub(crate) async fn token(server: &AuthServer, id: &str, secret: &str) -> Answer {
    let fields = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    send(form(server, &fields)).await
}
