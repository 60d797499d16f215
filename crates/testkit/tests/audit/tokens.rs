//! Who got which token: once for each caller and generation, on whichever socket.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use aws_lc_rs::digest::{SHA256, digest};
use tokenbroker_protocol::{Command, GetToken, Response};

use crate::{Host, token};

/// As docs/audit.md says how to make it.
fn fingerprint(token: &str) -> String {
    let hash = digest(&SHA256, token.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).take(8).collect()
}

#[test]
fn a_caller_has_one_record_for_each_generation_however_often_it_asks_and_connects() {
    let host = Host::new();
    let mut wire = host.greeted();
    let first = token(&mut wire);
    for _ in 0..100 {
        token(&mut wire);
        token(&mut host.greeted());
    }
    host.install.cli(["renew", "app"]).run().success();
    let second = token(&mut wire);
    assert_ne!(first.access_token, second.access_token);

    let records = host.wait_for("token", 2);
    for (record, token) in records.iter().zip([&first, &second]) {
        assert_eq!(record["client"], "app");
        assert_eq!(record["decision"], "permitted");
        assert_eq!(record["pid"], std::process::id());
        assert_eq!(record["uid"], rustix::process::geteuid().as_raw());
        assert_eq!(record["gid"], rustix::process::getegid().as_raw());
        assert_eq!(record["generation"], token.generation);
        assert_eq!(record["fingerprint"], fingerprint(token.access_token.expose()));
    }
    let text = fs::read_to_string(host.install.audit_log()).unwrap();
    for token in [first, second] {
        assert!(!text.contains(token.access_token.expose()));
    }
}

#[test]
fn another_process_has_a_record_of_its_own() {
    let host = Host::new();
    token(&mut host.greeted());
    host.install.cli(["get", "app"]).run().success();
    let records = host.wait_for("token", 2);
    assert_eq!(records[0]["pid"], std::process::id());
    assert_ne!(records[1]["pid"], records[0]["pid"]);
    assert_eq!(records[1]["fingerprint"], records[0]["fingerprint"]);
}

#[test]
fn a_token_that_is_pushed_is_handed_out_too() {
    let host = Host::new();
    let mut wire = host.greeted();
    wire.ask(1, Command::Subscribe(GetToken { client: "app".into(), ..GetToken::default() }));
    assert!(matches!(wire.reply().unwrap().response, Response::Token(_)));
    host.wait_for("token", 1);
    host.install.cli(["renew", "app"]).run().success();
    let Response::Token(pushed) = wire.reply().unwrap().response else { panic!("no token was pushed") };
    let records = host.wait_for("token", 2);
    assert_eq!(records[1]["generation"], pushed.generation);
    assert_eq!(records[1]["fingerprint"], fingerprint(pushed.access_token.expose()));
}

#[test]
fn over_http_it_is_the_same() {
    let install = tokenbroker_testkit::Install::new();
    let keys = format!("http_socket = {:?}", install.http_socket());
    let host = Host::start(install, &keys, tokenbroker_testkit::Install::start);
    for _ in 0..3 {
        let mut stream = UnixStream::connect(host.install.http_socket()).unwrap();
        stream.write_all(b"GET /v1/tokens/app HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    }
    host.install.cli(["renew", "app"]).run().success();
    token(&mut host.greeted());
    let records = host.wait_for("token", 2);
    assert_eq!(records[0]["pid"], std::process::id());
}
