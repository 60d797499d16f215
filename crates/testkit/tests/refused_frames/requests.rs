//! Frames that are no requests, after a proper hello.

use tokenbroker_protocol::{Command, FailureCode, GetToken, MAX_FRAME, Response, frame};

use tokenbroker_testkit::wire::request;

use crate::Host;

/// Sent after a hello, this closes the connection without a reply.
#[track_caller]
fn closes(host: &Host, bytes: &[u8]) {
    let mut wire = host.greeted();
    wire.send(bytes);
    wire.expect_closed();
}

fn get(client: &str) -> Command {
    Command::GetToken(GetToken { client: client.into(), ..GetToken::default() })
}

#[test]
fn s07_malformed_truncated_and_trailing_bytes_are_closed() {
    let host = Host::new();
    let proper = &request(1, get("app"))[4..];
    let mut trailing = proper.to_vec();
    trailing.push(0);
    for payload in [
        &b""[..],
        b"\xff\xff\xff\xff",
        &[0xfb; 64],
        &proper[..proper.len() - 1],
        &trailing,
        // A string that claims to be longer than everything there is.
        b"\x01\x01\xfd\xff\xff\xff\xff\xff\xff\xff\xff",
        &vec![0xff; MAX_FRAME],
    ] {
        closes(&host, frame(payload).unwrap().expose());
    }
    // A hello is said once.
    closes(&host, frame(b"TKBR\x01\x00\x01\x00").unwrap().expose());
    host.expect_well();
}

#[test]
fn s06_an_oversize_request_is_closed_at_its_length() {
    let host = Host::new();
    for length in [u32::MAX, u32::try_from(MAX_FRAME + 1).unwrap()] {
        closes(&host, &length.to_le_bytes());
    }
    host.expect_well();
}

#[test]
fn s13_http_after_a_hello_is_closed() {
    let host = Host::new();
    closes(&host, b"GET / HTTP/1.1\r\n\r\n");
    host.expect_well();
}

#[test]
fn s07_requests_before_a_malformed_one_are_answered() {
    let host = Host::new();
    let mut wire = host.greeted();
    wire.send(&[request(7, Command::Ping), frame(b"\xff").unwrap().expose().to_vec()].concat());
    // What was answered may still be under way when the connection is closed, but nothing follows it.
    if let Some(reply) = wire.reply() {
        assert_eq!((reply.id, reply.response), (7, Response::Done));
        wire.expect_closed();
    }
    host.expect_well();
}

#[test]
fn a_request_for_something_that_can_not_be_is_answered_and_the_connection_goes_on() {
    let host = Host::new();
    let mut wire = host.greeted();
    let wider = GetToken { client: "app".into(), scope: Some("everything".into()), ..GetToken::default() };
    wire.ask(1, Command::GetToken(wider));
    wire.ask(2, get(&"x".repeat(50_000)));
    wire.ask(3, get("../app"));
    wire.ask(4, Command::Ping);
    let mut codes = Vec::new();
    for id in 1..=3 {
        let reply = wire.reply().unwrap();
        let Response::Failed(failure) = reply.response else { panic!("{reply:?}") };
        assert_eq!(reply.id, id);
        codes.push(failure.code);
    }
    assert_eq!(codes, [FailureCode::InvalidRequest, FailureCode::UnknownClient, FailureCode::UnknownClient]);
    assert_eq!(wire.reply().unwrap().response, Response::Done);
    host.expect_well();
}
