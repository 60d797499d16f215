//! The reqwest client that presents tokens by itself, against resources that take, refuse and redirect.

use bytes::Bytes;
use http_body_util::Full;
use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;
use tokenbroker_client::protocol::{Failure, FailureCode};
use tokenbroker_client::reqwest::{Client, Error};
use tokenbroker_client::testing::Tokens;

use crate::resource::{OK, Resource, UNAUTHORIZED};

/// A client with the token "old", and what its http client is.
fn client() -> (Tokens, reqwest::Client, Client) {
    let tokens = Tokens::new();
    tokens.set("x", "old");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    (tokens.clone(), http.clone(), Client::new(http, tokens, "x"))
}

/// Takes the token "newer" and no other.
fn picky() -> Resource {
    Resource::start(|token| if token == Some("newer") { OK } else { UNAUTHORIZED })
}

#[tokio::test]
async fn the_current_token_is_presented_each_time() {
    let (tokens, http, client) = client();
    let resource = Resource::start(|_| OK);
    for value in ["one", "two"] {
        tokens.set("x", value);
        let reply = client.send(http.get(resource.url())).await.unwrap();
        assert_eq!(reply.text().await.unwrap(), "the data");
    }
    assert_eq!(resource.presented(), ["one", "two"]);
}

#[tokio::test]
async fn s46_a_refused_token_is_reported_and_the_request_repeated_once() {
    let (tokens, http, client) = client();
    tokens.set_next("x", "newer");
    let resource = picky();
    let reply = client.send(http.put(resource.url()).body("whole")).await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    assert_eq!(resource.presented(), ["old", "newer"]);

    let stubborn = Resource::start(|_| UNAUTHORIZED);
    tokens.set_next("x", "third");
    let reply = client.send(http.get(stubborn.url())).await.unwrap();
    assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(stubborn.presented(), ["newer", "third"], "the third is not reported");
    assert_eq!(tokens.rejections("x").len(), 2);
}

#[tokio::test]
async fn s46_where_there_is_no_newer_token_the_refusal_is_the_answer() {
    let (tokens, http, client) = client();
    let resource = picky();
    let reply = client.send(http.get(resource.url())).await.unwrap();
    assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
    assert_eq!((resource.presented(), tokens.rejections("x").len()), (vec!["old".to_owned()], 1));
}

#[tokio::test]
async fn s46_a_stream_is_not_sent_again_but_the_next_request_has_the_newer_token() {
    let (tokens, http, client) = client();
    tokens.set_next("x", "newer");
    let resource = picky();
    let stream = || reqwest::Body::wrap(Full::new(Bytes::from_static(b"in pieces")));
    let reply = client.send(http.post(resource.url()).body(stream())).await.unwrap();
    assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
    let reply = client.send(http.post(resource.url()).body(stream())).await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    assert_eq!(resource.presented(), ["old", "newer"]);
}

#[tokio::test]
async fn a_403_is_not_the_tokens_fault() {
    let (tokens, http, client) = client();
    let resource =
        Resource::start(|_| "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let reply = client.send(http.get(resource.url())).await.unwrap();
    assert_eq!(reply.status(), StatusCode::FORBIDDEN);
    assert_eq!((resource.presented().len(), tokens.rejections("x").len()), (1, 0));
}

#[tokio::test]
async fn a_redirect_takes_the_token_to_no_other_origin_and_does_not_blame_it() {
    let (tokens, http, client) = client();
    tokens.set_next("x", "newer");
    let other = Resource::start(|_| UNAUTHORIZED);
    let to = other.url().to_owned();
    let resource = Resource::start(move |_| {
        format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    });
    let reply = client.send(http.get(resource.url())).await.unwrap();
    assert_eq!((reply.status(), reply.url().as_str()), (StatusCode::UNAUTHORIZED, other.url()));
    assert_eq!((resource.presented(), other.presented()), (vec!["old".to_owned()], vec![String::new()]));
    assert_eq!(tokens.rejections("x"), []);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let (tokens, http, client) = client();
    let resource = Resource::start(|_| OK);
    tokens.fail_once("x", Failure::new(FailureCode::Blocked, "no").into());
    let refused = client.send(http.get(resource.url())).await.unwrap_err();
    let Error::Token(source) = &refused else { panic!("{refused:?}") };
    assert_eq!(source.code(), Some(FailureCode::Blocked));
    assert!(resource.presented().is_empty());
}

#[tokio::test]
async fn a_request_with_an_authorization_of_its_own_is_sent_as_it_is() {
    let (tokens, http, client) = client();
    let resource = picky();
    let request = http.get(resource.url()).header(AUTHORIZATION, "Bearer mine");
    assert_eq!(client.send(request).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!((resource.presented(), tokens.gets("x")), (vec!["mine".to_owned()], 0));
}

#[test]
fn a_client_can_be_shared_and_does_not_print_tokens() {
    fn shareable<T: Clone + Send + Sync + 'static>(_: &T) {}
    let (_, _, client) = client();
    shareable(&client);
    assert!(!format!("{client:?}").contains("old"));
}
