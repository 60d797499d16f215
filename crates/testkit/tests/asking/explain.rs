//! What `status` says of one client: what happened, what happens next, and when.

use serde_json::Value;
use tokenbroker_testkit::Fault;

use crate::Site;

fn lines(status: &Value) -> Vec<&str> {
    status["explanation"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect()
}

#[track_caller]
fn assert_says(status: &Value, words: &[&str]) {
    for words in words {
        assert!(
            lines(status).iter().any(|line| line.contains(words)),
            "no {words:?} in {:#?}",
            lines(status)
        );
    }
}

#[test]
fn a_warm_client_says_what_it_has_and_when_it_is_renewed() {
    let site = Site::new("");
    for _ in 0..9 {
        site.get(&[]);
    }
    let status = site.install.status("app");
    assert_says(&status, &["It has a token, generation 1, for another 59 min"]);
    // At three quarters of the hour, less up to a tenth of it.
    let minutes = status["renew_in"].as_u64().unwrap() / 60;
    assert!((38..45).contains(&minutes), "{status}");
    assert!(
        [minutes, minutes + 1].iter().any(|at| {
            lines(&status).iter().any(|line| line.starts_with(&format!("It is renewed in {at} min")))
        }),
        "{status}"
    );
    let outcomes = serde_json::json!({ "issued": 1, "transient": 0, "credential": 0, "request": 0 });
    assert_eq!(status["outcomes"], outcomes);
    // The first may have come before the token.
    let (gets, cached) = (&status["gets"], status["gets_from_cache"].as_u64().unwrap());
    assert_eq!(*gets, 10);
    assert!((9..=10).contains(&cached), "{status}");
    assert_says(&status, &["1 token request, of which 1 got a token; 10 tokens given to callers"]);
    assert_says(&status, &[&format!("{cached} of them from the cache: {cached} token requests avoided.")]);

    let table = site.cli(&["status", "app"], "");
    assert!(table.starts_with("CLIENT"), "{table}");
    assert!(table.contains("\n\nIt has a token, generation 1, for another 59 min"), "{table}");
}

#[test]
fn only_one_client_alone_is_explained() {
    let site = Site::new("");
    let all: Value = serde_json::from_str(&site.cli(&["status", "--json"], "")).unwrap();
    assert_eq!(all[0]["explanation"], serde_json::json!([]));
    assert!(!site.cli(&["status"], "").contains("It has a token"));
}

#[test]
fn s21_a_failed_renewal_says_what_failed_what_is_served_and_when_it_is_tried_again() {
    let site = Site::new("");
    site.server.stop();
    site.install.cli(["renew", "app"]).run().expect(5);
    let status = site.install.status("app");
    assert_says(
        &status,
        &[
            "It has a token, generation 1",
            "The last attempt failed (network): ",
            "The token there is goes on being served.",
        ],
    );
    assert!(status["outcomes"]["transient"].as_u64().unwrap() >= 1, "{status}");
    let status = site.status_when(|status| !status["renewing"].as_bool().unwrap());
    assert_says(&status, &["It is tried again "]);
}

#[test]
fn s46_a_token_that_a_resource_refused_is_said_to_be_that() {
    let site = Site::new("");
    let broker = site.broker();
    let second = broker.rejected(&broker.token("app").unwrap()).unwrap();
    broker.rejected(&second).unwrap_err();
    let status = site.install.status("app");
    assert_says(&status, &["A caller said that a resource refused this token", "It is renewed in 5"]);
    assert!(site.daemon.log().contains("a caller says that a resource refused the token"));
}

#[test]
fn a_part_that_can_not_be_had_is_named_in_the_explanation_and_in_the_log() {
    let site = Site::new(crate::FULL);
    site.server.set_fault(Fault::Refuse("invalid_scope"));
    site.refused(&["--scope", "sign"], 6, &[]);
    let status = site.install.status("app");
    assert_says(
        &status,
        &["It has a token, ", "There is no token for scope \"sign\" (invalid_scope); it is tried"],
    );
    let log = site.daemon.log();
    let named =
        |line: &str| line.contains("ERROR no token: ") && line.contains("narrowing=\"scope \\\"sign\\\"\"");
    assert!(log.lines().any(named), "{log}");
}

#[test]
fn s26_a_refused_credential_says_whose_turn_it_is() {
    let site = Site::new("");
    site.cli(&["secret", "remove", "app"], "");
    let status = site.status_when(|status| status["state"] == "blocked");
    assert_says(
        &status,
        &["(no_credential)", "What to do: store the secret with `tokenbroker secret set app`"],
    );

    site.server.set_fault(Fault::Refuse("invalid_client"));
    site.cli(&["secret", "set", "app"], "another");
    let status = site.status_when(|status| status["last_error"]["code"] == "invalid_client");
    assert_says(&status, &["(invalid_client)", "was never accepted", "`tokenbroker renew`"]);
    assert_eq!(status["outcomes"]["credential"], 1);
}

#[test]
fn no_explanation_holds_a_secret_or_a_token() {
    let site = Site::new("");
    let token = site.get(&[])["access_token"].as_str().unwrap().to_owned();
    let said = site.cli(&["status", "app"], "") + &site.cli(&["status", "app", "--json"], "");
    assert!(!said.contains(crate::SECRET) && !said.contains(&token), "{said}");
}
