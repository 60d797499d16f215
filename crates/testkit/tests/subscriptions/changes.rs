//! What happens to subscriptions when credentials, rules and configurations change.

use tokenbroker_protocol::{FailureCode, Response};

use crate::{Host, expect, failure, subscribe, token};

#[test]
fn s55_a_removed_credential_withdraws_the_token_and_a_new_one_brings_the_next() {
    let host = Host::new();
    let (mut wire, first) = host.subscribed();
    host.install.cli(["secret", "remove", "app"]).run().success();
    expect(&mut wire, 1, Response::Withdrawn);
    host.set_secret();
    let next = token(&mut wire, 1);
    assert_eq!((next.generation, next.handle), (first.generation + 1, first.handle));
}

#[test]
fn a_reload_that_changes_nothing_for_the_caller_is_no_news() {
    let host = Host::new();
    let (mut wire, _) = host.subscribed();
    host.reload("scope = \"read write\"\nrenew_at = 0.5");
    host.renew();
    assert_eq!(token(&mut wire, 1).generation, 2);
}

#[test]
fn a_reload_after_which_the_caller_may_not_have_the_token_ends_it() {
    let host = Host::new();
    let (mut wire, _) = host.subscribed();
    host.reload("scope = \"read write\"\nallow = [{ user = 3999999999 }]");
    let ended = failure(&mut wire, 1);
    assert_eq!(ended.code, FailureCode::Denied);
    // It has ended for good, whatever the next reload permits.
    host.reload("scope = \"read write\"");
    wire.ask(1, subscribe("app", None));
    assert_eq!(token(&mut wire, 1).generation, 1);
}

#[test]
fn a_reload_that_makes_it_another_token_withdraws_the_old_and_brings_the_new() {
    let host = Host::new();
    let (mut wire, first) = host.subscribed();
    host.reload("scope = \"read\"");
    let mut next = wire.reply().unwrap();
    if next.response == Response::Withdrawn {
        next = wire.reply().unwrap();
    }
    let Response::Token(next) = next.response else { panic!("{next:?}") };
    assert_eq!(next.scope.as_deref(), Some("read"));
    assert_ne!(next.handle, first.handle);
    host.renew();
    assert_eq!(token(&mut wire, 1).handle, next.handle);
}

#[test]
fn a_client_that_leaves_the_configuration_ends_it() {
    let host = Host::new();
    let (mut wire, _) = host.subscribed();
    let without = Host::configuration(&host.server, "").replace("[clients.app]", "[clients.other]");
    host.install.config(&without);
    host.install.cli(["reload"]).run().success();
    assert_eq!(failure(&mut wire, 1).code, FailureCode::UnknownClient);
}

#[test]
fn a_narrower_token_that_is_not_permitted_any_more_ends_it() {
    let host = Host::new();
    let mut wire = host.greeted();
    wire.ask(1, subscribe("app", Some("write")));
    assert_eq!(token(&mut wire, 1).scope.as_deref(), Some("write"));
    host.reload("scope = \"read\"");
    assert_eq!(failure(&mut wire, 1).code, FailureCode::InvalidRequest);
}
