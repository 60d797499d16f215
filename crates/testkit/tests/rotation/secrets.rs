//! Secrets: `secret set --next`.

use std::time::Duration;

use serde_json::Value;
use tokenbroker_testkit::{Client, wait_until};

use crate::{DEADLINE, Site};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn s54_a_next_secret_is_tried_first_and_takes_the_place_of_the_old_one() {
    let site = Site::with_secret(HOUR);
    let token = site.cli(&["get", "app"]);
    let said = site.install.cli(["secret", "set", "app", "--next"]).stdin("new").run();
    assert!(said.stderr.contains("tokenbroker renew app"), "{said:?}");
    said.success();
    assert_eq!(site.standings("app"), ["next", "current"]);
    assert_eq!(site.cli(&["get", "app"]), token, "cached tokens live on");
    assert_eq!(site.server.token_requests("app"), 1, "nothing is asked before a token is due");

    site.server.set_secret("app", "new");
    let old = site.status("app")["credential"]["version"].clone();
    site.cli(&["renew", "app"]);
    let status = site.status("app");
    assert_eq!((&status["state"], &status["next_credential"]), (&"warm".into(), &Value::Null));
    assert_ne!(status["credential"]["version"], old);
    assert_eq!(site.standings("app"), ["current"]);
    assert_eq!(site.server.counts("app").rejected, 0, "the old one was not used again");
    assert!(site.daemon.log().contains("the next credential got a token"), "{}", site.daemon.log());
}

#[test]
fn s54_a_next_secret_that_is_refused_is_reported_and_costs_nobody_a_token() {
    let site = Site::with_secret(HOUR);
    site.set(&["app", "--next"], "wrong");
    site.cli(&["renew", "app"]);
    let status = site.status("app");
    assert_eq!((&status["state"], &status["last_error"]), (&"warm".into(), &Value::Null));
    let refused = &status["next_credential"]["refused"];
    assert_eq!(refused["code"], "invalid_client");
    assert!(refused["next_try_in"].as_u64().unwrap() > 0, "{status}");
    let counts = site.server.counts("app");
    assert_eq!((counts.accepted, counts.rejected), (2, 1), "once with each");

    let explained = site.cli(&["status", "app"]);
    for words in ["next credential", "was refused (invalid_client)", "tokenbroker secret remove app --next"] {
        assert!(explained.contains(words), "{words:?} is not in {explained}");
    }
    assert!(site.daemon.log().contains("the next credential was refused"), "{}", site.daemon.log());

    site.cli(&["secret", "remove", "app", "--next"]);
    assert_eq!(site.status("app")["next_credential"], Value::Null);
    assert_eq!(site.standings("app"), ["current"]);
    site.cli(&["renew", "app"]);
    assert_eq!(site.server.counts("app").rejected, 1);
    let nothing = site.install.cli(["secret", "remove", "app", "--next"]).run();
    nothing.refused(1, &["app has no next credential", "hint: "]);
}

#[test]
fn s54_a_next_secret_outlives_the_daemon() {
    let mut site = Site::with_secret(HOUR);
    site.set(&["app", "--next"], "new");
    site.server.set_secret("app", "new");
    site.daemon.kill();
    site.daemon = site.install.start();
    wait_until(DEADLINE, || site.standings("app") == ["current"]);
    site.cli(&["get", "app"]);
    assert_eq!(site.server.counts("app").rejected, 0);
}

#[test]
fn the_first_secret_is_in_use_at_once_and_one_without_next_replaces_both() {
    let site = Site::start(HOUR);
    site.server.register(Client::secret_basic("app", "third"));
    let said = site.install.cli(["secret", "set", "app", "--next"]).stdin("first").run();
    assert!(said.stderr.contains("in use"), "there was nothing to succeed: {said:?}");
    said.success();
    assert_eq!(site.standings("app"), ["current"]);
    site.set(&["app", "--next"], "second");
    site.set(&["app"], "third");
    assert_eq!(site.standings("app"), ["current"]);
    wait_until(DEADLINE, || site.status("app")["state"] == "warm");
}

#[test]
fn a_secret_is_refused_for_a_client_with_a_key_and_a_key_for_one_with_a_secret() {
    let site = Site::start(HOUR);
    for arguments in [&["secret", "set", "key"][..], &["secret", "set", "key", "--next"]] {
        let refused = site.install.cli(arguments).stdin("s3cret").run();
        refused.refused(1, &["client key authenticates with a private key", "tokenbroker key generate key"]);
    }
    let refused = site.install.cli(["key", "generate", "app", "--next"]).run();
    refused.refused(1, &["client app authenticates with a secret", "tokenbroker secret set app"]);
    assert!(site.listed("key").is_empty() && site.listed("app").is_empty());
}
