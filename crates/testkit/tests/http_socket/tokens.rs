//! `GET /v1/tokens/{client}`.

use serde_json::{Value, json};
use tokenbroker_testkit::{Fault, wait_until};

use crate::{DEADLINE, Site};

const CLIENT: (&str, &str) = ("app", "scope = \"api:read api:write\"\nresource = [\"urn:a\", \"urn:b\"]");

#[test]
fn a_token_is_told_in_the_words_of_the_command_line() {
    let site = Site::new(&[CLIENT]);
    let reply = site.get("/v1/tokens/app");
    assert_eq!((reply.status, reply.headers["cache-control"].as_str()), (200, "no-store"));
    let (ours, mut theirs) = (reply.json(), site.get_json("app"));
    assert_eq!(ours["access_token"], site.token("app"));
    assert_eq!(
        tokenbroker_testkit::data(site.server.address(), ours["access_token"].as_str().unwrap()).0,
        200
    );
    // A second may have passed in between.
    for passing in ["expires_in", "expires_at"] {
        assert_eq!(kind(&ours[passing]), kind(&theirs[passing]), "{passing}");
        theirs[passing] = ours[passing].clone();
    }
    assert_eq!(ours, theirs);
    let order =
        |text: &str| text.split('"').filter(|word| theirs.get(word).is_some()).collect::<Vec<_>>().join(" ");
    assert_eq!(
        order(&reply.body),
        "client access_token token_type expires_in expires_at scope generation min_ttl_met"
    );
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Number(_) => "number",
        Value::String(text) if text.ends_with('Z') && text.len() == 20 => "time",
        _ => "something else",
    }
}

#[test]
fn a_part_of_what_is_configured_can_be_asked_for() {
    let site = Site::new(&[CLIENT]);
    let whole = site.get("/v1/tokens/app").json();
    let part = site.get("/v1/tokens/app?scope=api%3Aread&resource=urn:b").json();
    assert_ne!(part["access_token"], whole["access_token"]);
    assert_eq!(part["scope"], "api:read");
    assert_eq!(site.get("/v1/tokens/app?resource=urn:b&scope=api:read").json(), part);
    let all = site.get("/v1/tokens/app?resource=urn:b&resource=urn:a&scope=api:write+api:read").json();
    assert_eq!(all["access_token"], whole["access_token"], "all of it is what is configured");

    let refused = |query: &str, error| site.get(&format!("/v1/tokens/app?{query}")).refused(400, error);
    let words = refused("scope=api:read%20admin", "invalid_scope");
    assert!(words.starts_with("scope 'admin' is not configured, only 'api:read api:write'; "), "{words}");
    refused("resource=urn:c", "invalid_target");
    refused("audience=urn:c", "invalid_target");
    refused("scope=%22", "invalid_scope");
    refused("scope=api:read&scope=api:write", "invalid_request");
    let words = refused("ttl=60s", "invalid_request");
    assert!(words.starts_with("the parameter ttl is not known here"), "{words}");
    for duration in ["min_ttl=soon", "wait=1.5s", "wait=-1"] {
        refused(duration, "invalid_request");
    }
}

#[test]
fn a_lifetime_can_be_asked_for_and_whether_it_is_met_is_told() {
    let site = Site::new(&[("app", "")]);
    let first = site.get("/v1/tokens/app?min_ttl=60").json();
    assert_eq!((&first["generation"], &first["min_ttl_met"]), (&json!(1), &json!(true)));
    assert_eq!(site.get("/v1/tokens/app?min_ttl=24h").json()["min_ttl_met"], false);
}

#[test]
fn many_requests_go_over_one_connection_and_each_token_is_counted_once() {
    let site = Site::new(&[("app", "")]);
    let before = site.install.status("app");
    let mut caller = site.dial();
    let token = site.token("app");
    for _ in 0..100 {
        assert_eq!(caller.get("/v1/tokens/app").json()["access_token"], token);
        assert_eq!(
            caller.post(&[], "grant_type=client_credentials&client_id=app").json()["access_token"],
            token
        );
        assert_eq!(caller.get("/v1/tokens/other").status, 401);
    }
    let after = site.install.status("app");
    let difference = |of: &str| after[of].as_u64().unwrap() - before[of].as_u64().unwrap();
    assert_eq!(
        (difference("gets"), difference("gets_from_cache"), difference("token_requests")),
        (201, 201, 0)
    );
}

#[test]
fn a_caller_waits_for_as_long_as_it_says_and_shares_a_token_request_with_the_others() {
    let site = Site::cold(&[("app", "")]);
    site.server.set_fault(Fault::Hang);
    site.set_secret("app");
    wait_until(DEADLINE, || site.server.token_requests("app") == 1);
    let impatient = site.get("/v1/tokens/app?wait=50ms");
    impatient.refused(503, "temporarily_unavailable");
    assert!(impatient.headers["retry-after"].parse::<u64>().unwrap() >= 1);

    site.server.set_fault(Fault::None);
    std::thread::scope(|scope| {
        let waiting = [(); 8].map(|()| scope.spawn(|| site.get("/v1/tokens/app?wait=30s")));
        for reply in waiting {
            assert_eq!(reply.join().unwrap().json()["generation"], 1);
        }
    });
    assert!(site.server.token_requests("app") <= 2, "the one that hung, and one for everybody");
}

#[test]
fn the_head_of_a_reply_can_be_asked_for() {
    let site = Site::new(&[("app", "")]);
    let mut caller = site.dial();
    let head = caller.ask("HEAD", "/v1/tokens/app", &[]);
    assert_eq!((head.status, head.headers["content-type"].as_str()), (200, "application/json"));
    assert_eq!(caller.get("/v1/tokens/app").status, 200, "nothing of a body was left on the connection");
}

#[test]
fn an_older_and_an_odd_caller_are_answered_too() {
    let site = Site::new(&[("app", "")]);
    let mut old = site.dial();
    old.send("GET /v1/tokens/app HTTP/1.0\r\n\r\n");
    let reply = String::from_utf8(old.last_words()).unwrap();
    assert!(reply.starts_with("HTTP/1.0 200 OK\r\n") && reply.ends_with('}'), "{reply}");
    // What a proxy is sent, and a body that nobody asked for.
    let mut odd = site.dial();
    odd.send(
        "GET http://anything.example/v1/tokens/app HTTP/1.1\r\nHost: other\r\nContent-Length: 3\r\n\r\nabc",
    );
    assert_eq!(odd.reply().status, 200);
    let mut last = site.dial();
    assert_eq!(last.ask("GET", "/v1/tokens/app", &["Connection: close"]).headers["connection"], "close");
    assert!(last.last_words().is_empty());
}

#[test]
fn s57_neither_tokens_nor_what_callers_send_as_secrets_are_in_the_log_or_in_metrics() {
    let site = Site::tracing(&[CLIENT]);
    let mut caller = site.dial();
    let tokens = [
        caller.get("/v1/tokens/app").json(),
        caller.get("/v1/tokens/app?scope=api:read").json(),
        caller.post(&[], "grant_type=client_credentials&client_id=app&client_secret=canary-1").json(),
    ];
    // `app:canary-2`, and `wrong:canary-3`.
    for (basic, status) in [("YXBwOmNhbmFyeS0y", 200), ("d3Jvbmc6Y2FuYXJ5LTM=", 401)] {
        let header = format!("Authorization: Basic {basic}");
        assert_eq!(caller.post(&[&header], "grant_type=client_credentials").status, status);
    }
    let told = [caller.get("/metrics").body, caller.get("/v1/status").body, site.daemon.log()].concat();
    assert!(told.contains("TRACE") && told.contains("a connection"), "the log has everything: {told}");
    for token in &tokens {
        assert!(!told.contains(token["access_token"].as_str().unwrap()), "a token is in {told}");
    }
    for canary in ["canary", "YXBwOmNhbmFyeS0y", "d3Jvbmc6Y2FuYXJ5LTM="] {
        assert!(!told.contains(canary), "{canary} is in {told}");
    }
}
