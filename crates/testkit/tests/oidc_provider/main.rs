//! The npm package `oidc-provider` as a peer: first what it insists on, then the daemon and the command line with it.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod certificates;
mod daemon;
#[path = "../common/keys.rs"]
mod keys;
mod rules;
mod tls;

use std::time::Duration;

use tokenbroker_testkit::{ClientCertificate, OidcProvider, require_or_skip};

/// A server whose tokens live a minute, if this host can run it.
fn provider() -> Option<OidcProvider> {
    require_or_skip("oidc-provider", OidcProvider::available())
        .then(|| OidcProvider::start(Duration::from_secs(60)))
}

/// What the protected resource says to this token.
async fn data(provider: &OidcProvider, token: &str) -> (u16, String) {
    let response = http(provider).get(provider.data_url()).bearer_auth(token).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

fn http(provider: &OidcProvider) -> reqwest::Client {
    http_with(provider, None)
}

/// Connections of somebody with this certificate, if any: new ones, with a handshake each.
fn http_with(provider: &OidcProvider, certificate: Option<&ClientCertificate>) -> reqwest::Client {
    let ca = std::fs::read(provider.ca_file()).unwrap();
    let ca = reqwest::Certificate::from_pem(&ca).unwrap();
    let mut builder = reqwest::Client::builder().tls_certs_only([ca]).no_proxy();
    if let Some(certificate) = certificate {
        builder = builder.identity(reqwest::Identity::from_pem(certificate.identity().as_bytes()).unwrap());
    }
    builder.build().unwrap()
}
