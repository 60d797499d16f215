//! Requests authenticated with a secret, in a Basic header or in the body.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokenbroker_testkit::{AuthServer, Client, Counts};

use crate::http::{Answer, form, http, send, token};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

/// A token request whose Basic header holds exactly this.
async fn basic(server: &AuthServer, user_and_password: &str, fields: &[(&str, &str)]) -> Answer {
    let header = format!("Basic {}", BASE64_STANDARD.encode(user_and_password));
    send(form(server, fields).header("authorization", header)).await
}

#[tokio::test]
async fn basic_is_form_decoded() {
    let server = AuthServer::start();
    server.register(Client::secret_basic("an app:1", "+ : % & ="));
    let right = basic(&server, "an%20app%3A1:%2B%20%3A%20%25%20%26%20%3D", &[GRANT]).await;
    assert_eq!(right.status, 200, "{right:?}");
    let plus_for_space = basic(&server, "an+app%3A1:%2B+%3A+%25+%26+%3D", &[GRANT]).await;
    assert_eq!(plus_for_space.status, 200);

    let raw = basic(&server, "an app:1:+ : % & =", &[GRANT]).await;
    assert_eq!((raw.status, raw.error()), (400, "invalid_request"));
}

#[tokio::test]
async fn basic_is_taken_as_it_is_where_the_server_is_built_so() {
    let server = AuthServer::builder().raw_basic().start();
    server.register(Client::secret_basic("app", "50%+x"));
    assert_eq!(basic(&server, "app:50%+x", &[GRANT]).await.status, 200);
    assert_eq!(basic(&server, "app:50%25%2Bx", &[GRANT]).await.status, 401);
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_counted() {
    let server = AuthServer::start();
    server.register(Client::secret_basic("app", "right"));

    let wrong = basic(&server, "app:wrong", &[GRANT]).await;
    assert_eq!((wrong.status, wrong.error()), (401, "invalid_client"));
    assert!(wrong.header("www-authenticate").starts_with("Basic"));
    assert_eq!(basic(&server, "app:right", &[GRANT]).await.status, 200);
    assert_eq!(server.counts("app"), Counts { requests: 2, accepted: 1, rejected: 1 });

    server.set_secret("app", "newer");
    assert_eq!(basic(&server, "app:right", &[GRANT]).await.status, 401);
    assert_eq!(basic(&server, "app:newer", &[GRANT]).await.status, 200);

    server.unregister("app");
    let gone = basic(&server, "app:newer", &[GRANT]).await;
    assert_eq!((gone.status, gone.error()), (401, "invalid_client"));
    assert_eq!(server.counts("app"), Counts { requests: 5, accepted: 2, rejected: 3 });
    assert_eq!(server.token_requests("somebody else"), 0);
}

#[tokio::test]
async fn a_secret_in_the_wrong_place_is_refused() {
    let server = AuthServer::start();
    server.register(Client::secret_basic("header", "s3cret"));
    server.register(Client::secret_post("body", "s3cret"));

    assert_eq!(token(&server, "body", "s3cret").await.status, 200);
    assert_eq!(token(&server, "header", "s3cret").await.error(), "invalid_client");
    assert_eq!(basic(&server, "body:s3cret", &[GRANT]).await.error(), "invalid_client");

    let fields = [GRANT, ("client_id", "header"), ("client_secret", "s3cret")];
    let both = basic(&server, "header:s3cret", &fields).await;
    assert_eq!((both.status, both.error()), (400, "invalid_request"));

    let two_clients = basic(&server, "header:s3cret", &[GRANT, ("client_id", "body")]).await;
    assert_eq!((two_clients.status, two_clients.error()), (400, "invalid_request"));

    let none = send(form(&server, &[GRANT, ("client_id", "body")])).await;
    assert_eq!((none.status, none.error()), (401, "invalid_client"));
    assert_eq!(server.counts("body").rejected, 3, "whoever claims to be it");
}

#[tokio::test]
async fn a_request_that_is_not_the_right_form_is_refused() {
    let server = AuthServer::start();
    server.register(Client::secret_basic("app", "s3cret"));

    let repeated = basic(&server, "app:s3cret", &[GRANT, ("scope", "a"), ("scope", "b")]).await;
    assert_eq!((repeated.status, repeated.error()), (400, "invalid_request"));
    let resources = [GRANT, ("resource", "https://a.example"), ("resource", "https://b.example")];
    assert_eq!(basic(&server, "app:s3cret", &resources).await.status, 200);

    let json = http(&server)
        .post(server.token_endpoint())
        .basic_auth("app", Some("s3cret"))
        .header("content-type", "application/json")
        .body(r#"{"grant_type":"client_credentials"}"#);
    assert_eq!(send(json).await.error(), "invalid_request");

    let other = basic(&server, "app:s3cret", &[("grant_type", "password")]).await;
    assert_eq!((other.status, other.error()), (400, "unsupported_grant_type"));
    assert_eq!(basic(&server, "app:s3cret", &[]).await.error(), "invalid_request");

    let get = http(&server).get(server.token_endpoint());
    assert_eq!(send(get).await.status, 405);
}

#[tokio::test]
async fn scopes_beyond_the_registered_ones_are_refused() {
    let server = AuthServer::start();
    server.register(Client::secret_basic("app", "s3cret").scope("api:read signtext_api"));

    let granted = basic(&server, "app:s3cret", &[GRANT, ("scope", "signtext_api")]).await;
    assert_eq!(granted.body["scope"], "signtext_api");
    let beyond = basic(&server, "app:s3cret", &[GRANT, ("scope", "signtext_api api:write")]).await;
    assert_eq!((beyond.status, beyond.error()), (400, "invalid_scope"));
    let unasked = basic(&server, "app:s3cret", &[GRANT]).await;
    assert_eq!(unasked.status, 200);
    assert!(unasked.body.get("scope").is_none());
}
