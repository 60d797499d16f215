//! Tokens for a part of what a client is configured for.

use std::collections::HashSet;

use tokenbroker_client::TokenRequest;
use tokenbroker_client::protocol::FailureCode;
use tokenbroker_testkit::{Asked, Fault};

use crate::{FULL, Site};

/// What a request for all of it asks the server for.
fn full() -> Asked {
    Asked {
        scope: Some("read sign write".into()),
        resource: vec!["urn:one".into(), "urn:two".into()],
        audience: Some("api".into()),
    }
}

#[test]
fn a_part_has_a_token_of_its_own_and_the_whole_has_one() {
    let site = Site::new(FULL);
    let whole = site.get(&[]);
    let read = site.get(&["--scope", "read"]);
    let one = site.get(&["--scope", "read", "--resource", "urn:one"]);
    assert_eq!(read["scope"], "read");
    for token in [&whole, &read, &one] {
        assert_eq!(token["generation"], 1, "each counts for itself");
        assert!(site.is_accepted(token["access_token"].as_str().unwrap()));
    }
    let different: HashSet<_> = [&whole, &read, &one].map(|token| token["access_token"].to_string()).into();
    assert_eq!(different.len(), 3);

    for (arguments, token) in [
        (&["--scope", "write read sign"][..], &whole),
        (&["--resource", "urn:two", "--resource", "urn:one", "--audience", "api"], &whole),
        (&["--scope", "read read"], &read),
        (&["--scope", "read", "--resource", "urn:one", "--resource", "urn:two"], &read),
        (&["--resource", "urn:one", "--scope", "read"], &one),
    ] {
        assert_eq!(site.get(arguments)["access_token"], token["access_token"], "{arguments:?}");
    }

    let read = Asked { scope: Some("read".into()), ..full() };
    let one = Asked { resource: vec!["urn:one".into()], ..read.clone() };
    assert_eq!(site.server.asked("app"), [full(), read, one], "each was asked for once");
    assert_eq!(site.install.status("app")["narrowed"], 2);
}

#[test]
fn the_client_crate_asks_for_parts_too() {
    let site = Site::new(FULL);
    let broker = site.broker();
    let read = broker.token_with(&TokenRequest::new("app").scope("read")).unwrap();
    assert_eq!((read.scope(), read.client()), (Some("read"), "app"));
    let again = broker.token_with(&TokenRequest::new("app").scope("read")).unwrap();
    assert_eq!((read.value(), read.generation()), (again.value(), again.generation()));
    assert_ne!(broker.token("app").unwrap().value(), read.value());
}

#[test]
fn more_than_is_configured_is_refused_in_words_and_nobody_is_asked() {
    let site = Site::new(FULL);
    let hint = "to get what is configured, or have it added to";
    site.refused(
        &["--scope", "read admin"],
        1,
        &[
            "error: scope \"admin\" is not configured, only \"read sign write\"\n",
            "hint: leave the scope out ",
            hint,
        ],
    );
    site.refused(
        &["--resource", "urn:three"],
        1,
        &["error: resource \"urn:three\" is not configured, only \"urn:one\", \"urn:two\"\n", hint],
    );
    site.refused(
        &["--audience", "other"],
        1,
        &["error: audience \"other\" is not configured, only \"api\"\n", hint],
    );
    site.refused(
        &["--scope", ""],
        1,
        &["error: what was asked for is no scope\n", "hint: a scope has at least one"],
    );
    assert_eq!(site.requests(), 1);
}

#[test]
fn without_a_configured_scope_there_is_no_part_to_ask_for() {
    let site = Site::new("");
    site.refused(
        &["--scope", "read"],
        1,
        &["error: client app has no configured scope to ask for a part of\n", "have it added to `scope`"],
    );
    site.refused(
        &["--resource", "urn:one"],
        1,
        &["error: resource \"urn:one\" is not configured, none is\n"],
    );
    assert_eq!(site.requests(), 1);
}

#[test]
fn s01_who_may_not_have_the_client_can_not_tell_what_is_configured() {
    let site = Site::new(FULL);
    site.reload(&format!("{FULL}allow = [{{ user = 2001 }}]\n"));
    let denied = site.refused(&[], 4, &[]);
    for arguments in [
        &["--scope", "read"][..],
        &["--scope", "admin"],
        &["--scope", "\u{e9}"],
        &["--resource", "urn:three"],
    ] {
        assert_eq!(site.refused(arguments, 4, &[]), denied, "{arguments:?}");
    }
    assert_eq!(site.requests(), 1);
}

#[test]
fn as_many_parts_as_callers_like_are_bounded_in_number() {
    let site = Site::new("scope = \"a b c d e f g\"\n");
    let words: Vec<&str> = "a b c d e f g".split(' ').collect();
    let broker = site.broker();
    let mut values = HashSet::new();
    for number in 1..=80_usize {
        let chosen = words.iter().enumerate().filter(|(place, _)| number >> place & 1 == 1);
        let scope: Vec<&str> = chosen.map(|(_, word)| *word).collect();
        let token = broker.token_with(&TokenRequest::new("app").scope(scope.join(" "))).unwrap();
        assert_eq!(token.scope(), Some(scope.join(" ").as_str()));
        values.insert(token.value().to_owned());
    }
    assert_eq!(values.len(), 80);
    assert_eq!(site.install.status("app")["narrowed"], 64);

    // The first is gone and is fetched again; the last is still there.
    let requests = site.requests();
    broker.token_with(&TokenRequest::new("app").scope("e g")).unwrap();
    assert_eq!(site.requests(), requests);
    broker.token_with(&TokenRequest::new("app").scope("a")).unwrap();
    assert_eq!(site.requests(), requests + 1);
}

#[test]
fn s27_a_part_that_the_server_refuses_is_remembered_and_the_rest_is_served() {
    let site = Site::new(FULL);
    site.server.set_fault(Fault::Refuse("invalid_scope"));
    for _ in 0..3 {
        site.refused(&["--scope", "sign"], 6, &["error: ", "invalid_scope"]);
    }
    assert_eq!(site.requests(), 2, "it was asked for once");
    site.get(&[]);
    assert_eq!(site.install.status("app")["state"], "warm");
    assert_eq!(site.install.status("app")["outcomes"]["request"], 1);

    site.server.set_fault(Fault::None);
    site.get(&["--scope", "read"]);
    site.refused(&["--scope", "sign"], 6, &["invalid_scope"]);
}

#[test]
fn a_new_configuration_ends_what_it_does_not_permit() {
    let site = Site::new(FULL);
    let broker = site.broker();
    let write = TokenRequest::new("app").scope("write");
    broker.token_with(&write).unwrap();
    site.reload("scope = \"read sign\"\n");
    let refused = broker.token_with(&write).unwrap_err();
    assert_eq!(refused.code(), Some(FailureCode::InvalidRequest));
    assert_eq!(refused.to_string(), "scope \"write\" is not configured, only \"read sign\"");
    assert_eq!(site.install.status("app")["narrowed"], 0);
    site.get(&["--scope", "sign"]);
}
