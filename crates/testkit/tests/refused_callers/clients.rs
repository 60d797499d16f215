//! Clients that are not there, and clients that are not for this caller.

use crate::{ANN, Host};

#[test]
fn an_administrator_is_told_that_there_is_no_such_client_and_which_is_nearest() {
    let host = Host::new("", &[("signtext", "")]);
    for command in ["get", "status", "renew"] {
        host.install.cli([command, "sigtext"]).run().refused(
            4,
            &[
                "error: there is no client \"sigtext\" in the configuration\n",
                "hint: did you mean signtext?\n",
            ],
        );
    }
    host.install
        .cli(["get", "elsewhere"])
        .run()
        .refused(4, &["hint: `tokenbroker status` lists the clients\n"]);
    host.install
        .cli(["secret", "set", "sigtext"])
        .stdin("secret")
        .run()
        .refused(4, &["did you mean signtext?"]);
    host.install.cli(["key", "generate", "sigtext"]).run().refused(4, &["did you mean signtext?"]);
}

#[test]
fn among_very_many_clients_nobody_looks_for_the_nearest() {
    let host = Host::new("", &[("signtext", "")]);
    let others: Vec<String> = (0..1000).map(|number| format!("client-{number}")).collect();
    let clients: Vec<_> = others.iter().map(|name| (&**name, "")).chain([("signtext", "")]).collect();
    host.install.config(&Host::configuration(&host.server, "", &clients));
    host.install.cli(["reload"]).run().success();
    let hint = "hint: `tokenbroker status` lists the clients\n";
    host.install.cli(["get", "sigtext"]).run().refused(4, &[hint]);
}

#[test]
fn a_name_that_no_client_can_have_is_refused_like_any_other() {
    let host = Host::new("", &[("signtext", "")]);
    for name in ["", "../signtext", "sign text", "signtext\n", &"x".repeat(1000)] {
        host.install.cli(["get", "--", name]).run().refused(4, &["error: there is no client "]);
    }
}

#[test]
fn s01_a_forbidden_client_and_an_unknown_one_look_the_same() {
    let Some(host) = Host::for_other_users(&[("signtext", "")]) else { return };
    let requests = host.server.all_token_requests();
    for command in ["get", "status"] {
        let forbidden = host.by(ANN, &[command, "signtext"]).run();
        let unknown = host.by(ANN, &[command, "sigtexts"]).run();
        let said = forbidden
            .refused(4, &["error: the client \"signtext\" is not for this caller, or does not exist\n"]);
        assert_eq!(said.replace("signtext", "sigtexts"), unknown.refused(4, &[]));
    }
    assert_eq!(host.server.all_token_requests(), requests, "a forbidden caller causes no token request");
    assert_eq!(host.install.status("signtext")["gets"], 0);
}

#[test]
fn s01_a_forbidden_caller_causes_no_token_request_for_a_cold_client_either() {
    let Some(host) = Host::for_other_users(&[("cold", "")]) else { return };
    host.install.cli(["secret", "remove", "cold"]).run().success();
    let requests = host.server.all_token_requests();
    host.by(ANN, &["get", "cold", "--wait", "0s"])
        .run()
        .refused(4, &["is not for this caller, or does not exist"]);
    host.by(ANN, &["get", "cold", "--min-ttl", "10h"]).run().refused(4, &["is not for this caller"]);
    assert_eq!(host.server.all_token_requests(), requests);
}

#[test]
fn the_status_shows_a_caller_its_own_clients_only() {
    let rule = format!("{{ user = {ANN} }}");
    let Some(host) = Host::for_other_users(&[("hers", &rule), ("other", "")]) else { return };
    let seen = host.by(ANN, &["status"]).run().success();
    assert!(seen.contains("hers") && !seen.contains("other"), "{seen}");
    let everything = host.install.cli(["status"]).run().success();
    assert!(everything.contains("hers") && everything.contains("other"), "{everything}");
    let nothing = host.by(crate::BEN, &["status", "--json"]).run().success();
    assert_eq!(nothing.trim(), "[]");
}
