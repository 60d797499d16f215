//! Renewals, refusals, removals and reloads, as a subscribed caller sees them.

use tokenbroker_client::Error;
use tokenbroker_client::protocol::FailureCode;
use tokenbroker_testkit::wait_until;

use crate::{DEADLINE, Host};

#[test]
fn a_renewal_is_seen_without_asking() {
    let host = Host::new();
    let callers = host.subscribed();
    let before = host.gets();
    for generation in 2..5 {
        host.cli(&["renew", "app"]);
        for caller in &callers {
            wait_until(DEADLINE, || caller.generation() == generation);
        }
    }
    assert_eq!(host.gets(), before);
}

#[test]
fn s55_the_removal_of_a_credential_empties_the_cache() {
    let host = Host::new();
    let callers = host.subscribed();
    host.cli(&["secret", "remove", "app"]);
    for caller in &callers {
        wait_until(DEADLINE, || caller.token().is_err());
        assert_eq!(caller.token().unwrap_err().code(), Some(FailureCode::Blocked));
    }
    let Host { daemon, .. } = host;
    daemon.kill();
    for caller in &callers {
        let gone = caller.token().unwrap_err();
        assert!(
            matches!(gone, Error::NoDaemon { .. }),
            "what was taken back is not fallen back on: {gone:?}"
        );
    }
}

#[test]
fn s55_a_new_credential_brings_a_new_token() {
    let host = Host::new();
    let callers = host.subscribed();
    host.cli(&["secret", "remove", "app"]);
    host.set_secret();
    for caller in &callers {
        wait_until(DEADLINE, || caller.token().is_ok_and(|token| token.generation() > 1));
        host.warm(caller);
    }
}

#[test]
fn s67_a_reload_that_denies_counts_for_tokens_in_memory() {
    let host = Host::new();
    let callers = host.subscribed();
    host.reload("allow = [{ user = 3999999999 }]");
    for caller in &callers {
        wait_until(DEADLINE, || caller.token().is_err());
        assert_eq!(caller.token().unwrap_err().code(), Some(FailureCode::Denied));
    }
    host.reload("");
    for caller in &callers {
        assert_eq!(caller.generation(), 1);
    }
}

#[test]
fn a_reload_that_makes_it_another_token_is_seen() {
    let host = Host::new();
    let callers = host.subscribed();
    host.reload("scope = \"read\"");
    for caller in &callers {
        wait_until(DEADLINE, || caller.token().unwrap().scope() == Some("read"));
        host.warm(caller);
        assert_eq!(caller.token().unwrap().scope(), Some("read"));
    }
}

#[test]
fn s46_a_token_that_the_resource_refuses_is_replaced_for_all() {
    for reported_by in 0..2 {
        let host = Host::new();
        let callers = host.subscribed();
        let (reporter, other) = (&callers[reported_by], &callers[1 - reported_by]);
        let refused = reporter.token().unwrap();
        host.server.revoke_tokens();
        assert_eq!(host.status_of_resource(&refused), 401);

        refused.rejected();
        let newer = reporter.token().unwrap();
        assert_eq!(host.status_of_resource(&newer), 200);
        assert_eq!(reporter.token().unwrap(), newer);
        wait_until(DEADLINE, || other.token().unwrap().value() == newer.value());
        // Who comes late with the old one gets the newer.
        assert_eq!(other.rejected(&refused).unwrap().value(), newer.value());
        assert_eq!(host.server.token_requests("app"), 2);
    }
}
