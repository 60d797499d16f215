//! The examples, against a daemon and a protected resource.

use tokenbroker_client::protocol::FailureCode;
use tokenbroker_client::testing::Tokens;
use tokenbroker_client::{Broker, blocking};

use crate::fake::{Place, Reaction, failed, token};
use crate::resource::{OK, Resource, UNAUTHORIZED};

#[path = "../../examples/invoices.rs"]
#[expect(dead_code, reason = "its main is that of another program")]
mod invoices;
#[path = "../../examples/lifetime.rs"]
#[expect(dead_code, reason = "its main is that of another program")]
mod lifetime;
#[path = "../../examples/reqwest_client.rs"]
#[expect(dead_code, reason = "its main is that of another program")]
mod reqwest_client;
#[path = "../../examples/resource.rs"]
#[expect(dead_code, reason = "its main is that of another program")]
mod resource;
#[path = "../../examples/tower_layer.rs"]
#[expect(dead_code, reason = "its main is that of another program")]
mod tower_layer;

#[tokio::test]
async fn the_resource_gets_the_token() {
    let place = Place::new();
    let _daemon = place.start(|_| Reaction::Answer(token("eyJ")));
    let protected = Resource::start(|_| OK);

    let broker = Broker::builder().socket(place.socket()).connect().await.unwrap();
    assert_eq!(resource::call(&broker, "signtext", protected.url()).await.unwrap(), "the data");
    assert_eq!(protected.presented(), ["eyJ"]);
}

/// Tokens of which the resource takes the second, and the resource.
fn replaced() -> (Tokens, Resource) {
    let tokens = Tokens::new();
    tokens.set("signtext", "old");
    tokens.set_next("signtext", "newer");
    (tokens, Resource::start(|token| if token == Some("newer") { OK } else { UNAUTHORIZED }))
}

#[tokio::test]
async fn s46_the_resource_gets_a_newer_token_when_it_refuses_one_and_no_third() {
    let (tokens, protected) = replaced();
    assert_eq!(resource::call(&tokens, "signtext", protected.url()).await.unwrap(), "the data");
    assert_eq!(protected.presented(), ["old", "newer"]);
    let stubborn = Resource::start(|_| UNAUTHORIZED);
    tokens.set_next("signtext", "third");
    tokens.set_next("signtext", "fourth");
    assert!(resource::call(&tokens, "signtext", stubborn.url()).await.is_err());
    assert_eq!(stubborn.presented(), ["newer", "third"]);
}

#[tokio::test]
async fn s46_the_tower_layer_repeats_a_request_once_with_a_newer_token() {
    let (tokens, protected) = replaced();
    let call = tower_layer::call(tokens.clone(), "signtext", protected.url());
    assert_eq!(call.await.unwrap(), "the data");
    assert_eq!(protected.presented(), ["old", "newer"]);

    let stubborn = Resource::start(|_| UNAUTHORIZED);
    let call = tower_layer::call(tokens.clone(), "signtext", stubborn.url());
    assert!(call.await.is_err(), "there is no newer token: the refusal is the answer");
    assert_eq!(stubborn.presented(), ["newer"]);

    tokens.remove("signtext");
    assert!(tower_layer::call(tokens, "signtext", protected.url()).await.is_err());
    assert_eq!(protected.presented().len(), 2, "without a token nothing is sent");
}

#[tokio::test]
async fn s46_the_http_client_repeats_a_request_once_with_a_newer_token() {
    let (tokens, protected) = replaced();
    let call = reqwest_client::call(tokens, "signtext", protected.url());
    assert_eq!(call.await.unwrap(), "the data");
    assert_eq!(protected.presented(), ["old", "newer"]);
}

#[test]
fn the_lifetime_is_told_and_a_failure_too() {
    let place = Place::new();
    let broker = blocking::Broker::builder().socket(place.socket()).build();
    let daemon = place.start(|_| Reaction::Answer(token("eyJ")));
    assert_eq!(lifetime::describe(&broker, "signtext"), "signtext: 59 s left");
    drop(daemon);
    let _daemon = place.start(|_| Reaction::Answer(failed(FailureCode::Denied)));
    assert_eq!(lifetime::describe(&broker, "signtext"), "signtext: it can not be had");
}
