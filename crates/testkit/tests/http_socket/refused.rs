//! What is not for the caller, not there, or not to be had now.

use std::time::Duration;

use tokenbroker_testkit::{Fault, programs, require_or_skip, root, wait_until};

use crate::{ANN, DEADLINE, Site};

/// A group that no host has a name for.
const SIGNERS: u32 = 3001;

/// Whether there can be callers of other users here.
fn others() -> bool {
    require_or_skip("HTTP callers of other users", root().and_then(|()| programs(&["curl"])))
}

impl Site {
    /// Body and status of what a user gets who is in the group of the same number and no other.
    #[track_caller]
    fn curl_by(&self, user: u32, arguments: &[&str]) -> (String, String) {
        let printed = self.curl(arguments).as_user(user, user).run().success();
        let (body, status) = printed.rsplit_once('\n').unwrap();
        (body.into(), status.into())
    }
}

#[test]
fn s01_a_forbidden_client_and_an_unknown_one_look_the_same() {
    if !others() {
        return;
    }
    let site = Site::new(&[("signtext", "scope = \"read\"")]);
    site.install.open_to_other_users();
    let requests = site.server.all_token_requests();
    for query in ["", "?min_ttl=10h", "?scope=read", "?scope=more", "?resource=urn:a&wait=0"] {
        let path = |client: &str| format!("http://tokenbroker/v1/tokens/{client}{query}");
        let (forbidden, status) = site.curl_by(ANN, &["--include", &path("signtext")]);
        assert_eq!(status, "401");
        let unknown = site.curl_by(ANN, &["--include", &path("sigtexts")]);
        // Only the second in which it was asked is another, at most.
        let words = |reply: &str| {
            reply.lines().filter(|line| !line.starts_with("date: ")).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(
            (words(&forbidden).replace("signtext", "sigtexts"), "401".into()),
            (words(&unknown.0), unknown.1)
        );
        assert!(forbidden.contains("\"error\":\"invalid_client\""), "{forbidden}");
    }
    for form in ["", "&scope=read", "&scope=more", "&resource=urn:a"] {
        let ask = |client: &str| {
            let form = format!("grant_type=client_credentials&client_id={client}{form}");
            site.curl_by(ANN, &["--data", &form, "http://tokenbroker/oauth2/token"])
        };
        let (forbidden, status) = ask("signtext");
        assert_eq!((forbidden.replace("signtext", "sigtexts"), status), ask("sigtexts"));
    }
    assert_eq!(site.server.all_token_requests(), requests, "a forbidden caller causes no token request");
    assert_eq!(site.install.status("signtext")["gets"], 0);
    site.expect_well("signtext");
}

#[test]
fn the_rules_that_count_are_those_of_the_native_socket() {
    if !others() {
        return;
    }
    let hers = format!("allow = [{{ user = {ANN} }}]");
    let theirs = format!("allow = [{{ group = {SIGNERS} }}]");
    let site = Site::new(&[("hers", &hers), ("theirs", &theirs), ("ours", "")]);
    site.install.open_to_other_users();
    let status = |user: u32, group: u32, client: &str| {
        let curl = site.curl(&["--output", "/dev/null", &format!("http://tokenbroker/v1/tokens/{client}")]);
        curl.as_user(user, group).run().success().trim().to_owned()
    };
    assert_eq!(status(ANN, ANN, "hers"), "200");
    assert_eq!((status(ANN, ANN, "ours"), status(ANN + 1, ANN, "hers")), ("401".into(), "401".into()));
    assert_eq!((status(ANN, SIGNERS, "theirs"), status(ANN, ANN, "theirs")), ("200".into(), "401".into()));
    // What the kernel shows for whoever has no ID here.
    assert_eq!(
        (status(65534, SIGNERS, "theirs"), status(65534, 65534, "ours")),
        ("401".into(), "401".into())
    );

    // Root administers, and may have no more for it than the rules say.
    let words = site.get("/v1/tokens/hers").refused(401, "invalid_client");
    assert!(
        words.starts_with("no rule of client hers permits this caller, administrator or not; "),
        "{words}"
    );
}

#[test]
fn an_administrator_is_told_which_client_is_nearest() {
    let site = Site::new(&[("signtext", "")]);
    let words = site.get("/v1/tokens/sigtext").refused(401, "invalid_client");
    assert_eq!(words, "there is no client 'sigtext' in the configuration; did you mean signtext?");
}

#[test]
fn a_name_that_no_client_can_have_is_refused_like_any_other_and_not_repeated_at_length() {
    let site = Site::new(&[("signtext", "")]);
    for name in ["%2e%2e", "sign%20text", "signtext%00", "sign+text", &"x".repeat(8000)] {
        let reply = site.get(&format!("/v1/tokens/{name}"));
        reply.refused(401, "invalid_client");
        assert!(reply.body.len() < 800, "{}", reply.body.len());
    }
    let reply = site.get(&format!("/v1/tokens/signtext?scope={}", "x".repeat(8000)));
    reply.refused(400, "invalid_scope");
    assert!(reply.body.len() < 800, "{}", reply.body.len());
}

#[test]
fn s22_while_there_is_no_token_the_caller_is_told_when_to_ask_again() {
    let site = Site::cold(&[("app", "")]);
    site.server.set_fault(Fault::Status(503));
    site.set_secret("app");
    wait_until(DEADLINE, || site.install.status("app")["state"] == "unavailable");
    for reply in [
        site.get("/v1/tokens/app?wait=0s"),
        // The first attempts come soon after each other, so this does not wait for long.
        site.get("/v1/tokens/app?wait=100ms"),
    ] {
        reply.refused(503, "temporarily_unavailable");
        let seconds: u64 = reply.headers["retry-after"].parse().unwrap();
        assert!((1..=60).contains(&seconds), "{reply:?}");
    }
}

#[test]
fn s24_a_wait_that_the_server_asks_for_is_passed_on() {
    let site = Site::cold(&[("app", "")]);
    site.server.set_fault(Fault::RetryAfter { status: 429, value: "1800".into() });
    site.set_secret("app");
    wait_until(DEADLINE, || site.install.status("app")["state"] == "unavailable");
    let reply = site.get("/v1/tokens/app?wait=0s");
    reply.refused(503, "temporarily_unavailable");
    let seconds: u64 = reply.headers["retry-after"].parse().unwrap();
    assert!((1700..=1800).contains(&seconds), "{reply:?}");
}

#[test]
fn s26_where_somebody_has_to_act_nobody_is_told_to_ask_again() {
    let site = Site::cold(&[("app", "")]);
    for reply in [site.get("/v1/tokens/app"), site.post("grant_type=client_credentials&client_id=app")] {
        let words = reply.refused(503, "server_error");
        assert!(words.contains("tokenbroker secret set app"), "{words}");
        assert!(!reply.headers.contains_key("retry-after"), "{reply:?}");
    }
}

#[test]
fn s12_a_caller_that_leaves_does_not_wait_any_more_and_the_token_request_goes_on() {
    let site = Site::cold(&[("app", "")]);
    site.server.set_fault(Fault::Delay(Duration::from_secs(2)));
    site.set_secret("app");
    let mut leaves = site.dial();
    leaves.send(crate::caller::request("GET", "/v1/tokens/app?wait=1h", &[]));
    wait_until(DEADLINE, || site.install.status("app")["waiting"] == 1);
    drop(leaves);
    wait_until(DEADLINE, || site.install.status("app")["waiting"] == 0);
    wait_until(DEADLINE, || site.install.status("app")["state"] == "warm");
    assert_eq!(
        (site.server.token_requests("app"), site.install.status("app")["gets"].as_u64()),
        (1, Some(0))
    );
}

#[test]
fn other_paths_and_methods_are_refused_and_the_connection_goes_on() {
    let site = Site::new(&[("app", "")]);
    let mut caller = site.dial();
    for path in [
        "/",
        "/v1/tokens",
        "/v1/tokens/",
        "/v1/tokens/app/",
        "/v1/tokens//app",
        "/V1/tokens/app",
        "/oauth2",
        "//livez",
    ] {
        caller.get(path).refused(404, "not_found");
    }
    for (path, method, allow) in [
        ("/v1/tokens/app", "POST", "GET, HEAD"),
        ("/v1/tokens/app", "DELETE", "GET, HEAD"),
        ("/v1/status", "PUT", "GET, HEAD"),
        ("/livez", "OPTIONS", "GET, HEAD"),
        ("/readyz", "PATCH", "GET, HEAD"),
        ("/metrics", "TRACE", "GET, HEAD"),
        ("/metrics", "BREW", "GET, HEAD"),
        ("/oauth2/token", "GET", "POST"),
        ("/oauth2/token", "OPTIONS", "POST"),
    ] {
        let reply = caller.ask(method, path, &[]);
        reply.refused(405, "method_not_allowed");
        assert_eq!(reply.headers["allow"], allow, "{method} {path}");
    }
    assert_eq!(caller.get("/v1/tokens/app").status, 200);
}

#[test]
fn a_web_page_that_gets_here_through_something_that_forwards_is_refused() {
    let site = Site::new(&[("app", "")]);
    let mut caller = site.dial();
    for header in [
        "Origin: http://evil.example",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Site: same-origin",
    ] {
        caller.ask("GET", "/v1/tokens/app", &[header]).refused(403, "access_denied");
        caller.ask("GET", "/metrics", &[header]).refused(403, "access_denied");
    }
    site.dial()
        .post(&["Origin: http://evil.example"], "grant_type=client_credentials&client_id=app")
        .refused(403, "access_denied");
    assert_eq!(
        caller.ask("GET", "/v1/tokens/app", &["Sec-Fetch-Mode: cors"]).status,
        200,
        "as Node's fetch has it"
    );
}
