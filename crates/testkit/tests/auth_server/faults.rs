//! Faults on demand, and the server going away and coming back.

use std::time::Duration;

use serde_json::json;
use tokenbroker_testkit::{AuthServer, Client, Counts, Fault, wait_until};

use crate::http::{form, get, http, token};

const FIELDS: [(&str, &str); 3] =
    [("grant_type", "client_credentials"), ("client_id", "app"), ("client_secret", "s3cret")];

fn server() -> AuthServer {
    let server = AuthServer::start();
    server.register(Client::secret_post("app", "s3cret"));
    server.register(Client::secret_post("other", "s3cret"));
    server
}

#[tokio::test]
async fn errors_come_as_they_are_set() {
    let server = server();

    server.set_fault(Fault::Status(503));
    let answer = token(&server, "app", "s3cret").await;
    assert_eq!((answer.status, &answer.body), (503, &json!(null)));

    server.set_fault(Fault::RetryAfter { status: 429, value: "7".into() });
    let answer = token(&server, "app", "s3cret").await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "7"));

    server.set_fault(Fault::Redirect("http://127.0.0.1:1/".into()));
    let answer = token(&server, "app", "s3cret").await;
    assert_eq!((answer.status, answer.header("location")), (307, "http://127.0.0.1:1/"));

    for (code, status) in [("invalid_client", 401), ("invalid_scope", 400), ("temporarily_unavailable", 503)]
    {
        server.set_fault(Fault::Refuse(code));
        let answer = token(&server, "app", "s3cret").await;
        assert_eq!((answer.status, answer.error()), (status, code));
    }

    let body = b"<html>".to_vec();
    server.set_fault(Fault::Garbage { status: 200, content_type: "text/html", body });
    let answer = token(&server, "app", "s3cret").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/html"));

    assert_eq!(server.counts("app"), Counts { requests: 7, accepted: 0, rejected: 7 });
    server.set_fault(Fault::None);
    assert_eq!(token(&server, "app", "s3cret").await.status, 200);
}

#[tokio::test]
async fn a_client_s_own_fault_comes_before_the_general_one() {
    let server = server();
    server.set_fault(Fault::Status(500));
    server.set_client_fault("app", Fault::None);
    assert_eq!(token(&server, "app", "s3cret").await.status, 200);
    assert_eq!(token(&server, "other", "s3cret").await.status, 500);
    server.clear_client_fault("app");
    assert_eq!(token(&server, "app", "s3cret").await.status, 500);
}

#[tokio::test]
async fn an_answer_can_be_edited() {
    let server = server();
    server.set_fault(Fault::Edited(|members| drop(members.remove("expires_in"))));
    let answer = token(&server, "app", "s3cret").await;
    assert!(answer.body["access_token"].is_string() && answer.body.get("expires_in").is_none());
    assert_eq!(server.counts("app").accepted, 1);
}

#[tokio::test]
async fn metadata_has_a_fault_of_its_own() {
    let server = server();
    server.set_metadata_fault(Fault::Status(502));
    assert_eq!(get(&server, "/.well-known/openid-configuration").await.status, 502);
    assert_eq!(token(&server, "app", "s3cret").await.status, 200);
}

#[tokio::test]
async fn a_delay_is_kept_and_ends_in_a_token() {
    let server = server();
    let delay = Duration::from_millis(300);
    server.set_fault(Fault::Delay(delay));
    let (short, long) = (form(&server, &FIELDS).timeout(delay / 3), form(&server, &FIELDS));
    assert!(short.send().await.unwrap_err().is_timeout());
    assert_eq!(long.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_hung_request_holds_up_nobody_else() {
    let server = server();
    server.set_client_fault("app", Fault::Hang);
    let hung = tokio::spawn(form(&server, &FIELDS).send());
    while server.token_requests("app") == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(token(&server, "other", "s3cret").await.status, 200);
    assert_eq!(server.counts("app"), Counts { requests: 1, accepted: 0, rejected: 0 });

    server.stop();
    assert!(hung.await.unwrap().is_err(), "stopping cuts the connection");
}

#[tokio::test]
async fn a_stalled_answer_stops_in_its_middle() {
    let server = server();
    server.set_fault(Fault::Stall);
    let mut response = form(&server, &FIELDS).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let half = response.chunk().await.unwrap().unwrap();
    assert!(half.starts_with(b"{") && !half.ends_with(b"}"));
    let rest = tokio::time::timeout(Duration::from_millis(300), response.chunk()).await;
    assert!(rest.is_err(), "{rest:?}");
}

#[tokio::test]
async fn a_disconnect_is_no_answer() {
    let server = server();
    server.set_fault(Fault::Disconnect);
    let error = form(&server, &FIELDS).send().await.unwrap_err();
    assert!(!error.is_connect() && !error.is_timeout(), "{error:?}");
}

#[tokio::test]
async fn it_stops_and_starts_again_on_its_port_with_all_it_knew() {
    let server = server();
    let issued = token(&server, "app", "s3cret").await;
    let address = server.address();

    server.stop();
    let refused = form(&server, &FIELDS).send().await;
    assert!(refused.unwrap_err().is_connect());

    server.start_again();
    assert_eq!(server.address(), address);
    wait_until(Duration::from_secs(5), || std::net::TcpStream::connect(address).is_ok());
    let access_token = issued.body["access_token"].as_str().unwrap();
    let data = http(&server).get(server.data_url()).bearer_auth(access_token).send().await.unwrap();
    assert_eq!(data.status(), 200);
    assert_eq!(server.token_requests("app"), 1, "the refused one never arrived");

    drop(server);
    assert!(std::net::TcpStream::connect(address).is_err());
}
