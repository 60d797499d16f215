//! A resource refuses a token that has not expired, and its callers say so.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use tokenbroker_client::protocol::{Command, FailureCode, Rejected, Response};
use tokenbroker_client::{Token, TokenRequest};

use crate::{DEADLINE, FULL, Site, wire_failure, wire_token};

#[test]
fn s46_fifty_callers_whose_token_was_withdrawn_cause_one_token_request() {
    let site = Site::new("");
    let brokers: Vec<_> = (0..50).map(|_| site.broker()).collect();
    let barrier = Barrier::new(brokers.len());
    site.server.revoke_tokens();

    let newer: Vec<Token> = thread::scope(|scope| {
        let caller = |broker| {
            let barrier = &barrier;
            scope.spawn(move || {
                let broker: &tokenbroker_client::blocking::Broker = broker;
                let token = broker.token("app").unwrap();
                assert_eq!(token.generation(), 1);
                barrier.wait();
                broker.rejected(&token).unwrap()
            })
        };
        let callers: Vec<_> = brokers.iter().map(caller).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });

    assert_eq!(site.requests(), 2, "one when it started, one for all the reports");
    let is_the_second = |token: &Token| token.value() == newer[0].value() && token.generation() == 2;
    assert!(newer.iter().all(is_the_second), "{newer:?}");
    assert!(site.is_accepted(newer[0].value()));
    assert_eq!(site.get(&[])["access_token"], newer[0].value());
}

#[test]
fn s46_a_late_report_gets_the_newer_token_at_once_and_causes_nothing() {
    let site = Site::new("");
    let broker = site.broker();
    let old = broker.token("app").unwrap();
    site.cli(&["renew", "app"], "");
    let newer = broker.rejected(&old).unwrap();
    assert_eq!((newer.generation(), site.requests()), (2, 2));
    assert_ne!(newer.value(), old.value());

    // Nor does one about a token that there never was.
    let handle = wire_token(&broker, "app").handle;
    let invented = Rejected { handle, generation: 1_000_000, wait_ms: Some(0) };
    let Response::Token(token) = broker.request(Command::Rejected(invented), DEADLINE).unwrap() else {
        panic!("it is no token")
    };
    assert_eq!((token.generation, site.requests()), (2, 2));
    assert_eq!(site.get(&[])["generation"], 2);
}

#[test]
fn s46_a_resource_that_refuses_every_token_gets_new_ones_ever_more_rarely() {
    let site = Site::new("");
    let broker = site.broker();
    let second = broker.rejected(&broker.token("app").unwrap()).unwrap();
    assert_eq!((second.generation(), site.requests()), (2, 2));
    for _ in 0..20 {
        let error = broker.rejected(&second).unwrap_err();
        assert_eq!(error.code(), Some(FailureCode::NoToken), "{error}");
        let next = error.retry_after().unwrap();
        assert!((Duration::from_secs(30)..=Duration::from_secs(60)).contains(&next), "{next:?}");
    }
    assert_eq!(site.requests(), 2);
    assert_eq!(broker.token("app").unwrap().value(), second.value(), "others may take it");
}

#[test]
fn s46_a_part_is_replaced_without_the_rest() {
    let site = Site::new(FULL);
    let broker = site.broker();
    let (whole, request) = (broker.token("app").unwrap(), TokenRequest::new("app").scope("read"));
    let read = broker.token_with(&request).unwrap();
    let newer = broker.rejected(&read).unwrap();
    assert_eq!((newer.generation(), newer.scope()), (2, Some("read")));
    assert_eq!(broker.token_with(&request).unwrap().value(), newer.value());
    assert_eq!(broker.token("app").unwrap().value(), whole.value());
    let asked: Vec<_> = site.server.asked("app").into_iter().map(|asked| asked.scope.unwrap()).collect();
    assert_eq!(asked, ["read sign write", "read", "read"]);
}

#[test]
fn s46_a_token_of_an_earlier_daemon_or_configuration_is_replaced_too() {
    let site = Site::new(FULL);
    let broker = site.broker();
    let first = broker.token("app").unwrap();
    site.reload("scope = \"read\"\n");
    let second = broker.rejected(&first).unwrap();
    assert_eq!(second.scope(), Some("read"));
    assert_ne!(second.value(), first.value());

    let Site { server, daemon, install } = site;
    daemon.terminate();
    let site = Site { daemon: install.start(), install, server };
    let third = broker.rejected(&second).unwrap();
    assert_ne!(third.value(), second.value());
    assert!(site.is_accepted(third.value()));
}

#[test]
fn s01_s46_who_may_not_have_a_token_can_not_tell_whether_its_handle_exists() {
    let site = Site::new("");
    let broker = site.broker();
    let token = wire_token(&broker, "app");
    let report = |handle| Command::Rejected(Rejected { handle, generation: token.generation, wait_ms: None });
    // The same token key, which is another user's from now on.
    site.reload("allow = [{ user = 2001 }]\n");
    let requests = site.requests();
    let forbidden = wire_failure(&broker, report(token.handle));
    assert_eq!(forbidden.code, FailureCode::UnknownHandle);
    for unknown in [0, 1, token.handle + 1, token.handle + (1 << 32), u64::MAX] {
        assert_eq!(wire_failure(&broker, report(unknown)), forbidden, "{unknown}");
    }
    assert_eq!(site.requests(), requests);

    site.reload("");
    let Response::Token(newer) = broker.request(report(token.handle), DEADLINE).unwrap() else {
        panic!("it is no token")
    };
    assert_eq!((newer.handle, newer.generation), (token.handle, token.generation + 1));
}
