//! The authorization server itself, by hand-made requests: what it accepts, what it refuses, how it fails.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod assertions;
mod faults;
mod http;
#[path = "../common/keys.rs"]
mod keys;
mod secrets;

use std::time::Duration;

use http::{get, http, token};
use tokenbroker_testkit::{AuthServer, Client, Discovery};

#[tokio::test]
async fn the_resource_takes_live_tokens_and_nothing_else() {
    let server = AuthServer::start();
    server.register(Client::secret_post("app", "s3cret"));

    let issued = token(&server, "app", "s3cret").await;
    assert_eq!(issued.status, 200, "{issued:?}");
    assert_eq!(issued.body["token_type"], "Bearer");
    assert_eq!(issued.body["expires_in"], 3600);
    let access_token = issued.body["access_token"].as_str().unwrap();

    let data = http(&server).get(server.data_url()).bearer_auth(access_token).send().await.unwrap();
    assert_eq!(data.status(), 200);
    assert_eq!(data.text().await.unwrap(), "This is the protected data.");

    let unknown = http(&server).get(server.data_url()).bearer_auth("made-up").send().await.unwrap();
    assert_eq!(unknown.status(), 401);
    assert_eq!(unknown.headers()["www-authenticate"], r#"Bearer error="invalid_token""#);

    let without = http(&server).get(server.data_url()).send().await.unwrap();
    assert_eq!(without.status(), 401);
    assert_eq!(without.headers()["www-authenticate"], "Bearer");

    server.revoke_tokens();
    let revoked = http(&server).get(server.data_url()).bearer_auth(access_token).send().await.unwrap();
    assert_eq!(revoked.status(), 401);
}

#[tokio::test]
async fn tokens_expire_each_client_s_in_its_time() {
    let server = AuthServer::builder().lifetime(Duration::from_secs(600)).start();
    server.register(Client::secret_post("brief", "s3cret").lifetime(Duration::from_millis(2500)));
    server.register(Client::secret_post("usual", "s3cret"));

    let brief = token(&server, "brief", "s3cret").await;
    let usual = token(&server, "usual", "s3cret").await;
    assert_eq!(brief.body["expires_in"], 2);
    assert_eq!(usual.body["expires_in"], 600);

    let accepted = async |issued: &http::Answer| {
        let token = issued.body["access_token"].as_str().unwrap();
        http(&server).get(server.data_url()).bearer_auth(token).send().await.unwrap().status() == 200
    };
    assert!(accepted(&brief).await);
    let expired = async { while accepted(&brief).await {} };
    tokio::time::timeout(Duration::from_secs(10), expired).await.unwrap();
    assert!(accepted(&usual).await);
}

#[tokio::test]
async fn both_metadata_documents_name_the_issuer_and_its_endpoint() {
    let server = AuthServer::builder().tls(true).issuer_path("/op").start();
    for path in ["/.well-known/oauth-authorization-server/op", "/op/.well-known/openid-configuration"] {
        let answer = get(&server, path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.body["issuer"], server.issuer());
        assert_eq!(answer.body["token_endpoint"], format!("{}/token", server.issuer()));
    }
    for path in ["/op/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        assert_eq!(get(&server, path).await.status, 404, "{path}");
    }
    assert_eq!(server.metadata_requests(), 2);
}

#[tokio::test]
async fn discovery_can_be_partial_absent_or_lie() {
    let openid = AuthServer::builder().discovery(Discovery::OpenId).start();
    assert_eq!(get(&openid, "/.well-known/oauth-authorization-server").await.status, 404);
    assert_eq!(get(&openid, "/.well-known/openid-configuration").await.status, 200);

    let nothing = AuthServer::builder().discovery(Discovery::Nothing).start();
    assert_eq!(get(&nothing, "/.well-known/openid-configuration").await.status, 404);

    let liar = AuthServer::builder().claimed_issuer("https://other.example").start();
    let document = get(&liar, "/.well-known/oauth-authorization-server").await;
    assert_eq!(document.body["issuer"], "https://other.example");
}

#[tokio::test]
async fn its_certificate_is_trusted_through_its_own_authority_only() {
    let server = AuthServer::builder().tls(true).start();
    server.register(Client::secret_post("app", "s3cret"));
    assert_eq!(token(&server, "app", "s3cret").await.status, 200);
    assert_eq!(std::fs::read_to_string(server.ca_file().unwrap()).unwrap(), server.ca_pem().unwrap());

    let other = AuthServer::builder().tls(true).start();
    let refused = http(&other).get(server.data_url()).send().await;
    assert!(refused.unwrap_err().is_connect());
}

#[test]
#[should_panic(expected = "app would need a server that asks for certificates")]
fn a_client_with_a_certificate_is_not_for_this_server() {
    AuthServer::start().register(Client::tls("app", "CN=app"));
}
