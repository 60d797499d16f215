//! Callers that take back what they asked for.

use std::time::Duration;

use tokenbroker_protocol::{Command, FailureCode, Response};
use tokenbroker_testkit::{Fault, wait_until};

use crate::{Host, expect, failure, subscribe, token};

#[test]
fn a_cancelled_subscription_is_told_nothing_more() {
    let host = Host::new();
    let (mut wire, _) = host.subscribed();
    wire.ask(2, subscribe("app", None));
    token(&mut wire, 2);
    wire.ask(3, Command::Cancel { id: 1 });
    expect(&mut wire, 3, Response::Done);
    host.renew();
    assert_eq!(token(&mut wire, 2).generation, 2);
    wire.ask(4, Command::Ping);
    expect(&mut wire, 4, Response::Done);
}

#[test]
fn s12_a_cancelled_request_is_answered_and_what_was_begun_goes_on_for_the_others() {
    let host = Host::new();
    host.server.set_fault(Fault::Delay(Duration::from_secs(2)));
    let requests = host.server.token_requests("app");
    let (mut patient, mut hasty) = (host.greeted(), host.greeted());
    let renewal = || Command::Renew { client: "app".into(), wait_ms: 20_000 };
    patient.ask(1, renewal());
    hasty.ask(1, renewal());
    wait_until(Duration::from_secs(20), || host.server.token_requests("app") > requests);
    hasty.ask(2, Command::Cancel { id: 1 });
    assert_eq!(failure(&mut hasty, 1).code, FailureCode::Cancelled);
    expect(&mut hasty, 2, Response::Done);
    assert!(matches!(patient.reply().unwrap().response, Response::Renewed(_)));
    assert_eq!(host.server.token_requests("app"), requests + 1);
    // Nothing more came for what was cancelled.
    hasty.ask(3, Command::Ping);
    expect(&mut hasty, 3, Response::Done);
}

#[test]
fn what_is_not_there_can_be_cancelled() {
    let host = Host::new();
    let mut wire = host.greeted();
    wire.ask(1, Command::Cancel { id: 99 });
    expect(&mut wire, 1, Response::Done);
}
