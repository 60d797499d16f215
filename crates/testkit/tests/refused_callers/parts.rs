//! Rules that permit a part of a client's token, and what is said about the rest: nothing.

use tokenbroker_testkit::{require_or_skip, root};

use crate::{ANN, BEN, Host};

/// A client with two scope tokens, of which ann may have one and ben both, each alone.
fn host() -> Option<Host> {
    let rules = format!(
        "{{ user = {ANN}, scope = \"read\" }}, {{ user = {BEN}, scope = \"read\" }}, {{ user = {BEN}, scope = [\"write\"] }}"
    );
    let with_scope = format!("{rules}]\nscope = \"read write\"\nresource = [\"urn:a\"");
    require_or_skip("callers of other users", root()).then(|| {
        let host = Host::new("", &[("signtext", &with_scope)]);
        host.install.open_to_other_users();
        host
    })
}

const DENIED: &str = "error: the client \"signtext\" is not for this caller, or does not exist\n";

#[test]
fn who_may_have_a_part_gets_that_and_no_more() {
    let Some(host) = host() else { return };
    let read = host.by(ANN, &["get", "signtext", "--scope", "read", "--json"]).run().success();
    assert!(read.contains("\"scope\":\"read\""), "{read}");
    host.by(BEN, &["get", "signtext", "--scope", "read"]).run().success();
    host.by(BEN, &["get", "signtext", "--scope", "write"]).run().success();
    for more in [&[][..], &["--scope", "write"], &["--scope", "read write"], &["--resource", "urn:a"]] {
        host.by(ANN, &[&["get", "signtext"], more].concat()).run().refused(4, &[DENIED]);
    }
    // One rule has to hold for all that is asked for.
    host.by(BEN, &["get", "signtext", "--scope", "read write"]).run().refused(4, &[DENIED]);
}

#[test]
fn s01_what_a_caller_may_not_have_reads_like_an_unknown_client() {
    let Some(host) = host() else { return };
    let requests = host.server.all_token_requests();
    // What is not configured either, what is no scope, and what another rule permits: the configuration is not told.
    for asked in
        [&["--scope", "admin"][..], &["--scope", "\u{e9}"], &["--audience", "a"], &["--scope", "write"]]
    {
        let forbidden = host.by(ANN, &[&["get", "signtext"], asked].concat()).run().refused(4, &[DENIED]);
        let unknown = host.by(ANN, &[&["get", "sigtexts"], asked].concat()).run().refused(4, &[]);
        assert_eq!(forbidden.replace("signtext", "sigtexts"), unknown);
    }
    assert_eq!(host.server.all_token_requests(), requests, "and causes no token request");
}

#[test]
fn the_status_shows_clients_of_which_a_caller_may_have_a_part() {
    let Some(host) = host() else { return };
    assert!(host.by(ANN, &["status"]).run().success().contains("signtext"));
    assert!(!host.by(ANN + 100, &["status"]).run().success().contains("signtext"));
}
