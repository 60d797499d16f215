//! Answers of the token endpoint that are no token: each is a failure with a class of its own, and none of its body
//! comes out anywhere.

use tokenbroker_testkit::{AuthServer, Fault};

use crate::Host;

const CANARY: &str = "c4n4ry-b0dy";

fn garbage(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Fault {
    Fault::Garbage { status, content_type, body: body.into() }
}

/// A client that never had a token meets this, and is told so.
#[track_caller]
fn fails(fault: Fault, exit_code: i32, code: &str, words: &str) -> AuthServer {
    let server = AuthServer::start();
    server.set_fault(fault);
    let host = Host::of(&server);
    let state = if exit_code == 5 { "unavailable" } else { "blocked" };
    let status = host.failed_with(state, code);
    let said = host.refused(exit_code, "0s", &["error: ", words, "; next try "]);
    for place in
        [&said, &status.to_string(), &host.daemon.log(), &host.install.cli(["status"]).run().success()]
    {
        assert!(!place.contains(CANARY), "the body is repeated: {place}");
    }
    server
}

#[test]
fn s25_a_server_that_fails_is_tried_again() {
    for status in [500, 502, 503] {
        fails(Fault::Status(status), 5, "http", &format!("HTTP {status}"));
    }
    fails(Fault::Refuse("server_error"), 5, "server_error", "the authorization server failed (server_error)");
    fails(Fault::Disconnect, 5, "network", "the exchange broke off with 127.0.0.1: ");
}

#[test]
fn s24_retry_after_is_obeyed() {
    let server = AuthServer::start();
    server.set_fault(Fault::RetryAfter { status: 429, value: "300".into() });
    let host = Host::of(&server);
    let status = host.failed_with("unavailable", "http");
    let next_try = status["last_error"]["next_try_in"].as_u64().unwrap();
    assert!((270..=330).contains(&next_try), "{status}");
    host.refused(5, "0s", &["HTTP 429", "; next try in "]);
    assert_eq!(server.token_requests("app"), 1);
}

#[test]
fn s27_a_request_that_the_server_refuses_is_not_repeated() {
    for code in ["invalid_scope", "invalid_target", "unauthorized_client"] {
        let server = fails(Fault::Refuse(code), 6, code, &format!("({code})"));
        assert_eq!(server.token_requests("app"), 1, "{code}");
    }
}

#[test]
fn s28_html_with_status_400_or_200_is_a_failure_and_not_repeated() {
    let page = format!("<html>{CANARY}</html>");
    fails(garbage(400, "text/html", page.clone()), 6, "http", "HTTP 400 without an OAuth error");
    fails(garbage(200, "text/html", page), 5, "malformed", "answered without a usable token: ");
}

#[test]
fn s28_an_empty_403_counts_as_a_refused_credential() {
    fails(
        Fault::Status(403),
        6,
        "http",
        "refused without an OAuth error (HTTP 403): the client ID or its credential may be wrong, or a gateway",
    );
}

#[test]
fn s28_an_error_with_status_200_is_the_error_that_it_says() {
    let body = format!(r#"{{"error":"invalid_client","error_description":"{CANARY}"}}"#);
    fails(garbage(200, "application/json", body), 6, "invalid_client", "(invalid_client)");
}

#[test]
fn s29_a_redirect_is_not_followed() {
    let elsewhere = AuthServer::start();
    fails(Fault::Redirect(elsewhere.token_endpoint()), 6, "http", "redirects are not followed");
    assert_eq!(elsewhere.all_token_requests(), 0, "the secret went elsewhere");
}

#[test]
fn s30_a_body_of_more_than_a_mebibyte_is_not_read_to_its_end() {
    let body = CANARY.repeat(1024 * 1024 / CANARY.len() + 1);
    fails(garbage(200, "application/json", body), 5, "malformed", "is longer than 1048576 bytes");
}

/// As a JSON body with status 200.
#[track_caller]
fn is_malformed(body: impl Into<Vec<u8>>, words: &str) {
    fails(garbage(200, "application/json", body), 5, "malformed", words);
}

#[test]
fn a_reply_that_is_no_json_or_has_no_token_is_a_failure() {
    is_malformed("", "answered without a usable token: ");
    is_malformed("\u{0}\u{1}", "answered without a usable token: ");
    is_malformed(r#"{"token_type":"Bearer"}"#, "it has no access_token");
}

#[test]
fn s32_a_lifetime_of_zero_is_refused() {
    let body = r#"{"access_token":"abc","token_type":"Bearer","expires_in":0}"#;
    is_malformed(body, "expires_in is not a positive number");
}

#[test]
fn s35_a_token_type_that_is_missing_or_unknown_is_refused() {
    is_malformed(r#"{"access_token":"abc"}"#, "it has no token_type");
    is_malformed(r#"{"access_token":"abc","token_type":"DPoP"}"#, "the token_type is not Bearer");
}

#[test]
fn s36_a_token_that_a_header_can_not_carry_is_refused() {
    let body = r#"{"access_token":"a\r\nX: y","token_type":"Bearer"}"#;
    is_malformed(body, "characters that a header can't carry");
}

#[test]
fn s37_a_key_that_stands_twice_is_refused() {
    let body = r#"{"access_token":"abc","access_token":"abd","token_type":"Bearer"}"#;
    is_malformed(body, "without a usable token: ");
}

#[test]
fn a_token_of_more_than_32_kib_is_refused() {
    let body = format!(r#"{{"access_token":"{}","token_type":"Bearer"}}"#, "x".repeat(33 * 1024));
    is_malformed(body, "the access token is longer than 32 KiB");
}
