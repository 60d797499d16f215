//! The examples, against a daemon and a protected resource.

use std::io::{Read, Write};
use std::net::TcpListener;

use tokenbroker_client::protocol::{Command, FailureCode};
use tokenbroker_client::{Broker, blocking};

use crate::fake::{Place, Reaction, failed, token};

#[path = "../../examples/lifetime.rs"]
#[expect(dead_code, reason = "its main is that of another program")]
mod lifetime;
#[path = "../../examples/resource.rs"]
#[expect(dead_code, reason = "its main is that of another program")]
mod resource;

#[tokio::test]
async fn the_resource_gets_the_token() {
    let place = Place::new();
    let _daemon = place.start(|_| Reaction::Answer(token("eyJ")));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/data", listener.local_addr().unwrap());
    let protected = std::thread::spawn(move || serve_one(&listener, OK));

    let broker = Broker::builder().socket(place.socket()).connect().await.unwrap();
    assert_eq!(resource::call(&broker, "signtext", &url).await.unwrap(), "the data");
    let request = protected.join().unwrap();
    assert!(request.to_lowercase().contains("\r\nauthorization: bearer eyj\r\n"), "{request}");
}

#[tokio::test]
async fn s46_the_resource_gets_a_newer_token_when_it_refuses_one_and_no_third() {
    let place = Place::new();
    let _daemon = place.start(|command| match command {
        Command::Rejected(_) => Reaction::Answer(token("newer")),
        _ => Reaction::Answer(token("eyJ")),
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/data", listener.local_addr().unwrap());
    let protected = std::thread::spawn(move || {
        [UNAUTHORIZED, OK, UNAUTHORIZED, UNAUTHORIZED].map(|reply| serve_one(&listener, reply))
    });

    let broker = Broker::builder().socket(place.socket()).connect().await.unwrap();
    assert_eq!(resource::call(&broker, "signtext", &url).await.unwrap(), "the data");
    assert!(resource::call(&broker, "signtext", &url).await.is_err());
    for (request, token) in protected.join().unwrap().iter().zip(["eyj", "newer", "eyj", "newer"]) {
        assert!(
            request.to_lowercase().contains(&format!("\r\nauthorization: bearer {token}\r\n")),
            "{request}"
        );
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\nthe data";
const UNAUTHORIZED: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Answers one request, and returns its head.
fn serve_one(listener: &TcpListener, reply: &str) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    stream.write_all(reply.as_bytes()).unwrap();
    String::from_utf8(request).unwrap()
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
