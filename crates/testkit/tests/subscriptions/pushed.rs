//! Tokens that come unasked.

use tokenbroker_protocol::{Command, FailureCode, Response};
use tokenbroker_testkit::Fault;

use crate::{Host, expect, failure, subscribe, token};

#[test]
fn each_new_token_comes_with_the_id_of_the_request() {
    let host = Host::new();
    let (mut wire, first) = host.subscribed();
    assert_eq!(first.generation, 1);
    for generation in 2..=4 {
        host.renew();
        let next = token(&mut wire, 1);
        assert_eq!((next.generation, next.handle), (generation, first.handle));
        assert_eq!(next.access_token.expose(), host.install.cli(["get", "app"]).run().success().trim_end());
        assert!(next.serve_for_ms < next.expires_in_ms && next.min_ttl_met);
    }
}

#[test]
fn requests_go_on_beside_subscriptions() {
    let host = Host::new();
    let mut wire = host.greeted();
    wire.ask(1, subscribe("app", None));
    wire.ask(2, subscribe("app", Some("read")));
    wire.ask(3, Command::Ping);
    let mut ids: Vec<u32> = (0..3).map(|_| wire.reply().unwrap().id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3]);
    host.renew();
    assert_eq!(token(&mut wire, 1).scope.as_deref(), Some("read write"));
    wire.ask(4, Command::Ping);
    expect(&mut wire, 4, Response::Done);
}

#[test]
fn without_a_token_there_is_no_subscription() {
    let host = Host::new();
    let mut wire = host.greeted();
    wire.ask(1, subscribe("nobody", None));
    assert_eq!(failure(&mut wire, 1).code, FailureCode::UnknownClient);
    wire.ask(1, subscribe("app", Some("admin")));
    assert_eq!(failure(&mut wire, 1).code, FailureCode::InvalidRequest);
    // The id is free.
    wire.ask(1, subscribe("app", None));
    token(&mut wire, 1);
    wire.ask(1, subscribe("app", None));
    assert_eq!(failure(&mut wire, 1).code, FailureCode::InvalidRequest, "it is in use");
    host.renew();
    assert_eq!(token(&mut wire, 1).generation, 2, "what was there is still there");
}

#[test]
fn s09_who_does_not_read_gets_the_last_of_it() {
    const RENEWALS: u64 = 60;
    let host = Host::new();
    host.server.set_fault(Fault::Edited(|reply| {
        // As long as tokens can be: a few of them fill what the kernel holds for a connection.
        let token = reply["access_token"].as_str().unwrap_or_default();
        let long = format!("{token}{}", "x".repeat(30_000 - token.len()));
        reply.insert("access_token".into(), long.into());
    }));
    let (mut deaf, _) = host.subscribed();
    let mut asking = host.greeted();
    for id in 1..=u32::try_from(RENEWALS).unwrap() {
        asking.ask(id, Command::Renew { client: "app".into(), wait_ms: 20_000 });
        assert!(matches!(asking.reply().unwrap().response, Response::Renewed(_)));
    }
    let mut told = 1;
    let mut last = token(&mut deaf, 1).generation;
    while last < RENEWALS + 1 {
        let next = token(&mut deaf, 1).generation;
        assert!(next > last, "{next} after {last}");
        (told, last) = (told + 1, next);
    }
    assert!(told < RENEWALS / 2, "{told} tokens were held for a caller that did not read");
}

#[test]
fn a_thousand_subscribers_are_all_told() {
    let host = Host::new();
    let mut wires: Vec<_> = (0..1_000).map(|_| host.subscribed().0).collect();
    // One connection more than the daemon's default lets a user have is not needed: this is the same one again.
    wires[0].ask(9, Command::Renew { client: "app".into(), wait_ms: 20_000 });
    let mut replies = [wires[0].reply().unwrap().id, wires[0].reply().unwrap().id];
    replies.sort_unstable();
    assert_eq!(replies, [1, 9]);
    for wire in &mut wires[1..] {
        assert_eq!(token(wire, 1).generation, 2);
    }
}
