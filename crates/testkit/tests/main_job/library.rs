//! The client crate against the real daemon, in both its halves.

use std::time::Duration;

use tokenbroker_client::protocol::FailureCode;
use tokenbroker_client::{Broker, Error, TokenRequest, blocking};
use tokenbroker_testkit::{AuthServer, Fault};

use crate::Site;

#[test]
fn the_blocking_broker_gets_what_the_command_line_gets() {
    let site = Site::with_app(AuthServer::start());
    let broker = blocking::Broker::builder().socket(site.install.socket()).connect().unwrap();
    let token = broker.token("app").unwrap();
    assert_eq!(token.value(), site.get("app"));
    assert_eq!((token.token_type(), token.generation(), token.scope()), ("Bearer", 1, None));
    assert!(token.expires_in() > Duration::from_secs(3500) && token.min_ttl_met());
    site.assert_accepted(token.value());

    let unknown = broker.token("nobody").unwrap_err();
    assert_eq!(unknown.code(), Some(FailureCode::UnknownClient));
    site.cli(&["secret", "remove", "app"], "");
    let blocked = broker.token("app").unwrap_err();
    assert_eq!(blocked.code(), Some(FailureCode::Blocked));
    assert!(blocked.hint().unwrap().contains("secret set app"), "{blocked}");
}

#[tokio::test]
async fn the_async_broker_gets_what_the_command_line_gets() {
    let site = Site::with_app(AuthServer::start());
    let broker = Broker::builder().socket(site.install.socket()).connect().await.unwrap();
    let token = broker.token_with(&TokenRequest::new("app").min_ttl(Duration::from_secs(60))).await.unwrap();
    assert_eq!(token.value(), site.get("app"));
    assert!(token.min_ttl_met());

    let reply = reqwest::Client::builder().no_proxy().build().unwrap();
    let reply = reply.get(site.server.data_url()).bearer_auth(token.value()).send().await.unwrap();
    assert_eq!(reply.text().await.unwrap(), "This is the protected data.");
}

#[tokio::test]
async fn s12_a_call_that_is_given_up_does_not_end_the_token_request_for_the_others() {
    let server = AuthServer::start();
    server.set_fault(Fault::Delay(Duration::from_secs(1)));
    let site = Site::with_app(server);
    let broker = Broker::builder().socket(site.install.socket()).connect().await.unwrap();
    let patient = tokio::spawn({
        let broker = broker.clone();
        async move { broker.token("app").await }
    });
    let hasty = tokio::time::timeout(Duration::from_millis(100), broker.token("app")).await;
    assert!(hasty.is_err(), "it was given up");
    assert_eq!(patient.await.unwrap().unwrap().generation(), 1);
    assert_eq!(site.server.token_requests("app"), 1);
}

#[test]
fn s69_a_broker_outlives_the_daemon_it_was_connected_to() {
    let site = Site::with_app(AuthServer::start());
    let broker = blocking::Broker::builder().socket(site.install.socket()).connect().unwrap();
    broker.token("app").unwrap();
    let Site { install, daemon, server } = site;
    daemon.kill();
    let gone = broker.token("app").unwrap_err();
    assert!(matches!(gone, Error::NoDaemon { .. }), "{gone:?}");

    let site = Site { daemon: install.start(), install, server };
    site.assert_accepted(broker.token("app").unwrap().value());
}
