//! The states of a client as they happen, in `status` and in the exit codes of `get`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokenbroker_testkit::{AuthServer, Client, Fault};

use crate::{SECRET, Site};

/// A server with a client `app` whose token requests meet this.
fn server(fault: Fault) -> AuthServer {
    let server = AuthServer::start();
    server.register(Client::secret_basic("app", SECRET));
    server.set_fault(fault);
    server
}

fn site(fault: Fault) -> Site {
    Site::start(server(fault), &[("app", "client_secret_basic", "")])
}

fn members(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn without_a_credential_a_client_is_blocked_and_nobody_is_asked() {
    let site = site(Fault::None);
    let status = site.status_once("app", "blocked");
    assert_eq!(status["last_error"]["code"], "no_credential");
    assert_eq!(status["credential"], Value::Null);
    assert_eq!((&status["generation"], &status["token_requests"]), (&0.into(), &0.into()));

    let refused = site.install.cli(["get", "app"]).run().expect(6);
    assert!(refused.stdout.is_empty(), "{refused:?}");
    assert!(refused.stderr.starts_with("error: there is no credential for client app"), "{refused:?}");
    assert!(
        refused.stderr.contains("hint: store the secret with `tokenbroker secret set app`"),
        "{refused:?}"
    );
    assert_eq!(site.server.all_token_requests(), 0);
}

#[test]
fn until_the_first_answer_comes_a_client_is_pending() {
    let site = site(Fault::Hang);
    site.set_secret("app", SECRET);
    let status = site.status_when("app", |status| status["token_requests"] == 1);
    assert_eq!(status["state"], "pending");
    assert_eq!(status["renewing"], true);
    for member in ["expires_in", "renew_in", "last_error"] {
        assert_eq!(status[member], Value::Null, "{member}");
    }
    let refused = site.install.cli(["get", "app", "--wait", "100ms"]).run().expect(5);
    assert!(refused.stderr.contains("has not been fetched yet"), "{refused:?}");
}

#[test]
fn a_warm_client_s_status_has_the_documented_members() {
    let site = site(Fault::None);
    site.set_secret("app", SECRET);
    for _ in 0..3 {
        site.get("app");
    }
    let status = site.install.status("app");
    let documented = [
        "client",
        "issuer",
        "state",
        "renewing",
        "expires_in",
        "renew_in",
        "generation",
        "token_requests",
        "gets",
        "last_error",
        "credential",
        "next_credential",
        "certificate_expires",
        "queued",
        "outcomes",
        "gets_from_cache",
        "waiting",
        "narrowed",
        "clock_offset",
        "explanation",
    ];
    assert_eq!(members(&status), BTreeSet::from(documented));
    assert_eq!((&status["client"], &status["issuer"]), (&"app".into(), &"test".into()));
    assert_eq!((&status["state"], &status["renewing"]), (&"warm".into(), &false.into()));
    assert_eq!((&status["generation"], &status["token_requests"]), (&1.into(), &1.into()));
    assert_eq!((&status["gets"], &status["last_error"]), (&3.into(), &Value::Null));
    let (expires_in, renew_in) = (&status["expires_in"], &status["renew_in"]);
    assert!((3500..3600).contains(&expires_in.as_u64().unwrap()), "{status}");
    assert!((2300..2700).contains(&renew_in.as_u64().unwrap()), "0.75 less 0 to 10 %: {status}");

    let credential = &status["credential"];
    assert_eq!(members(credential), BTreeSet::from(["store", "kind", "version", "expires"]));
    assert_eq!((&credential["store"], &credential["kind"]), (&"encrypted-file".into(), &"secret".into()));

    let table = site.cli(&["status"], "");
    assert!(table.contains("app") && table.contains("warm"), "{table}");
    let without_secrets = [table.as_str(), &status.to_string()].concat();
    assert!(!without_secrets.contains(SECRET) && !without_secrets.contains(&site.get("app")));
}

#[test]
fn s22_without_a_token_and_with_the_server_down_a_client_is_unavailable_until_it_is_back() {
    let site = site(Fault::None);
    site.server.stop();
    site.set_secret("app", SECRET);
    let status = site.status_once("app", "unavailable");
    assert_eq!(members(&status["last_error"]), BTreeSet::from(["code", "message", "next_try_in"]));
    assert_eq!(status["last_error"]["code"], "network");
    assert_eq!(status["credential"]["kind"], "secret");

    let refused = site.install.cli(["get", "app", "--wait", "0s"]).run().expect(5);
    assert!(refused.stdout.is_empty(), "{refused:?}");
    assert!(refused.stderr.contains("next try"), "{refused:?}");

    site.server.start_again();
    site.cli(&["get", "app", "--wait", "30s"], "");
    assert_eq!(site.install.status("app")["state"], "warm");
}

#[test]
fn s21_with_the_server_down_a_client_is_degraded_while_its_token_lives() {
    let site = site(Fault::None);
    site.set_secret("app", SECRET);
    let token = site.get("app");

    site.server.stop();
    let refused = site.install.cli(["renew", "app"]).run();
    assert_eq!(refused.code, 5, "{refused:?}");
    let status = site.install.status("app");
    assert_eq!((&status["state"], &status["generation"]), (&"degraded".into(), &1.into()));
    assert_eq!(status["last_error"]["code"], "network");
    assert_eq!(site.get("app"), token);

    site.server.start_again();
    site.status_once("app", "warm");
    site.assert_accepted(&site.get("app"));
}

#[test]
fn a_refused_client_is_degraded_while_its_token_lives_and_blocked_afterwards() {
    let server = server(Fault::None);
    server.set_lifetime(Duration::from_secs(6));
    let site = Site::start(server, &[("app", "client_secret_basic", "")]);
    site.set_secret("app", SECRET);
    site.get("app");

    site.server.set_fault(Fault::Refuse("invalid_client"));
    site.install.cli(["renew", "app"]).run().expect(5);
    let status = site.install.status("app");
    assert_eq!(
        (&status["state"], &status["last_error"]["code"]),
        (&"degraded".into(), &"invalid_client".into())
    );
    site.get("app");
    let requests = site.server.token_requests("app");

    let status = site.status_once("app", "blocked");
    assert_eq!(status["last_error"]["code"], "invalid_client");
    assert_eq!(status["expires_in"], Value::Null);
    let refused = site.install.cli(["get", "app"]).run().expect(6);
    assert!(refused.stderr.contains("invalid_client"), "{refused:?}");
    assert_eq!(site.server.token_requests("app"), requests, "s26: the next one is due in a minute");

    site.server.set_fault(Fault::None);
    site.cli(&["renew", "app"], "");
    site.assert_accepted(&site.get("app"));
}

#[test]
fn status_lists_all_clients_in_order() {
    let names = ["c", "a", "b"];
    let site = Site::start(AuthServer::start(), &names.map(|name| (name, "client_secret_post", "")));
    let clients: Vec<Value> = serde_json::from_str(&site.cli(&["status", "--json"], "")).unwrap();
    let listed: Vec<_> = clients.iter().map(|status| status["client"].as_str().unwrap()).collect();
    assert_eq!(listed, ["a", "b", "c"]);
}
