//! Every failure that a response can be, in one table: what came, which class it is of, and how it is told.
//!
//! What each class calls for is `tokenbroker-core`'s; so are the failures that come without a response (network, timeout,
//! TLS), all of them transient.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic, too")]

use tokenbroker_oauth::Class::{self, Credential, Demand, Request, Transient};
use tokenbroker_oauth::{HttpResponse, Scope, TokenError, TokenResponse};

/// Status, body, class, code for programs, and a part of the words for people.
type Row = (u16, &'static str, Class, &'static str, &'static str);

const PAGE: &str = "<html>Sorry</html>";

#[rustfmt::skip]
const FAILURES: &[Row] = &[
    // transient: the server is in trouble, whatever its body says
    (408, "", Transient, "http", "HTTP 408"),
    (425, "", Transient, "http", "HTTP 425"),
    (429, "", Transient, "http", "wants fewer requests (HTTP 429)"),
    (429, r#"{"error":"slow_down"}"#, Transient, "http", "wants fewer requests (HTTP 429)"),
    (500, "", Transient, "http", "a problem of its own (HTTP 500)"),
    (502, PAGE, Transient, "http", "a problem of its own (HTTP 502)"),
    (503, r#"{"error":"invalid_client"}"#, Transient, "http", "a problem of its own (HTTP 503)"),
    (504, r#"{"access_token":"t","token_type":"Bearer"}"#, Transient, "http", "a problem of its own (HTTP 504)"),
    (599, "", Transient, "http", "a problem of its own (HTTP 599)"),
    // transient: it says so
    (400, r#"{"error":"server_error"}"#, Transient, "server_error", "failed (server_error)"),
    (401, r#"{"error":"server_error"}"#, Transient, "server_error", "failed (server_error)"),
    (400, r#"{"error":"temporarily_unavailable"}"#, Transient, "temporarily_unavailable", "overloaded or in maintenance"),
    (503, r#"{"error":"temporarily_unavailable"}"#, Transient, "temporarily_unavailable", "overloaded or in maintenance"),
    (200, r#"{"error":"server_error"}"#, Transient, "server_error", "failed (server_error)"),
    // transient: a success that makes no sense
    (200, "", Transient, "malformed", "it is not a JSON object"),
    (204, "", Transient, "malformed", "it is not a JSON object"),
    (200, PAGE, Transient, "malformed", "it is not a JSON object"),
    (200, r#"["t"]"#, Transient, "malformed", "it is not a JSON object"),
    (200, "{}", Transient, "malformed", "it has no access_token"),
    (200, r#"{"access_token":"","token_type":"Bearer"}"#, Transient, "malformed", "it has no access_token"),
    (200, r#"{"access_token":7,"token_type":"Bearer"}"#, Transient, "malformed", "the wrong JSON type"),
    (200, r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#, Transient, "malformed", "a JSON key twice"),
    (200, r#"{"access_token":"t\r\nX-Evil: 1","token_type":"Bearer"}"#, Transient, "malformed", "a header can't carry"),
    (200, r#"{"access_token":"t"}"#, Transient, "malformed", "it has no token_type"),
    (200, r#"{"access_token":"t","token_type":"DPoP"}"#, Transient, "malformed", "the token_type is not Bearer"),
    (200, r#"{"access_token":"t","token_type":"Bearer "}"#, Transient, "malformed", "the token_type is not Bearer"),
    (200, r#"{"access_token":"t","token_type":"Bearer","expires_in":0}"#, Transient, "malformed", "expires_in is not a positive number"),
    (200, r#"{"access_token":"t","token_type":"Bearer","scope":7}"#, Transient, "malformed", "the scope is malformed"),
    (200, r#"{"access_token":"t","token_type":"Bearer","scope":"read admin"}"#, Transient, "malformed", "the scope is wider than what was asked for"),
    // credential: the authorization server refuses it
    (401, r#"{"error":"invalid_client"}"#, Credential, "invalid_client", "the authorization server refused the client ID or its credential"),
    (400, r#"{"error":"invalid_client"}"#, Credential, "invalid_client", "the authorization server refused the client ID or its credential"),
    (200, r#"{"error":"invalid_client"}"#, Credential, "invalid_client", "the authorization server refused the client ID or its credential"),
    // credential: somebody refuses, who may be a gateway
    (401, "", Credential, "http", "refused without an OAuth error (HTTP 401)"),
    (403, "", Credential, "http", "refused without an OAuth error (HTTP 403)"),
    (403, PAGE, Credential, "http", "a gateway in front of the authorization server"),
    (401, r#"{"error":"Unauthorized","status":401}"#, Credential, "http", "refused without an OAuth error (HTTP 401)"),
    // request: the authorization server refuses it
    (400, r#"{"error":"invalid_scope"}"#, Request, "invalid_scope", "refused the scope"),
    (400, r#"{"error":"invalid_target"}"#, Request, "invalid_target", "refused the resource or audience"),
    (400, r#"{"error":"invalid_request"}"#, Request, "invalid_request", "found the token request malformed"),
    (400, r#"{"error":"invalid_grant"}"#, Request, "invalid_grant", "refused the grant"),
    (400, r#"{"error":"unauthorized_client"}"#, Request, "unauthorized_client", "does not let this client ask"),
    (400, r#"{"error":"unsupported_grant_type"}"#, Request, "unsupported_grant_type", "does not know the client credentials grant"),
    (400, r#"{"error":"access_denied"}"#, Request, "access_denied", "denied the request"),
    (401, r#"{"error":"invalid_scope"}"#, Request, "invalid_scope", "refused the scope"),
    (403, r#"{"error":"access_denied"}"#, Request, "access_denied", "denied the request"),
    (200, r#"{"error":"invalid_scope"}"#, Request, "invalid_scope", "refused the scope"),
    // request: anything unknown
    (400, r#"{"error":"mystery"}"#, Request, "http", "an error code that no RFC knows"),
    (400, r#"{"error":" "}"#, Request, "http", "an error code that no RFC knows"),
    (200, r#"{"error":{"code":7}}"#, Request, "http", "an error code that no RFC knows"),
    (400, "", Request, "http", "HTTP 400 without an OAuth error"),
    (400, PAGE, Request, "http", "HTTP 400 without an OAuth error"),
    (400, r#"{"error":"invalid_client","error":"invalid_scope"}"#, Request, "http", "HTTP 400 without an OAuth error"),
    (404, PAGE, Request, "http", "there seems to be no token endpoint at this URL (HTTP 404)"),
    (405, "", Request, "http", "there seems to be no token endpoint at this URL (HTTP 405)"),
    (418, "", Request, "http", "HTTP 418 without an OAuth error"),
    (999, "", Request, "http", "HTTP 999 without an OAuth error"),
    // request: a redirect, which would carry the credential elsewhere
    (302, "", Request, "http", "redirects are not followed"),
    (307, r#"{"access_token":"t","token_type":"Bearer"}"#, Request, "http", "redirects are not followed"),
    // demand
    (400, r#"{"error":"use_dpop_nonce"}"#, Demand, "use_dpop_nonce", "wants a DPoP proof"),
    (401, r#"{"error":"use_dpop_nonce"}"#, Demand, "use_dpop_nonce", "wants a DPoP proof"),
];

fn failure(status: u16, body: &str, retry_after: Option<&str>) -> TokenError {
    let response = HttpResponse {
        status,
        content_type: None,
        retry_after: retry_after.map(str::to_owned),
        date: None,
        body: body.as_bytes().into(),
    };
    TokenResponse::parse(&response, Some(&Scope::parse("read").unwrap())).unwrap_err()
}

#[test]
fn s24_s25_s26_s27_s28_s29_s41_every_failure_has_its_class_its_code_and_its_words() {
    for (status, body, class, code, words) in FAILURES {
        let error = failure(*status, body, None);
        assert_eq!((error.class(), error.code()), (*class, *code), "HTTP {status} {body}");
        assert!(error.to_string().contains(words), "HTTP {status} {body}: {error}");
    }
}

/// Servers send it with 429 and 503; one that sends it with something else means it, too.
#[test]
fn s24_every_failure_hands_retry_after_on_and_is_not_changed_by_it() {
    for (status, body, ..) in FAILURES {
        let (with, without) = (failure(*status, body, Some("120")), failure(*status, body, None));
        assert_eq!(with.kind, without.kind, "HTTP {status} {body}");
        assert_eq!(with.retry_after.unwrap().delay(0).as_secs(), 120, "HTTP {status} {body}");
        assert_eq!(without.retry_after, None);
    }
}
