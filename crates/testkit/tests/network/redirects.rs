//! A redirect is an answer like any other: nothing goes to where it points.

use crate::raw::{Raw, response};
use crate::{Host, SECRET};

#[test]
fn s29_no_redirect_of_a_token_request_is_followed_and_the_secret_is_sent_once() {
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let elsewhere = Raw::saying(response("200 OK", &[], b"{}"));
        let location = format!("location: {}", elsewhere.url("/token"));
        let server = Raw::saying(response(status, &[&location], b""));
        let host = Host::asking(&server);
        let code = &status[..3];
        host.failed_with("http", &format!("a redirect (HTTP {code}), and redirects are not followed"));
        host.refused(6, &["error: the token endpoint answered with a redirect"]);

        let requests = server.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        assert!(requests[0].body.contains(SECRET));
        assert!(elsewhere.requests().is_empty(), "{:?}", elsewhere.requests());
    }
}

#[test]
fn s29_no_redirect_of_a_metadata_request_is_followed() {
    let elsewhere = Raw::saying(response("200 OK", &[], b"{}"));
    let location = format!("location: {}", elsewhere.url("/"));
    let server = Raw::saying(response("302 Found", &[&location], b""));
    let host =
        Host::with_issuer(&format!("[issuers.as]\nissuer = {:?}\nallow_plain_http = true\n", server.url("")));
    let words =
        "discovery of issuer as failed: there is a redirect (HTTP 302), and redirects are not followed";
    host.failed_with("http", words);
    assert!(elsewhere.requests().is_empty(), "{:?}", elsewhere.requests());
    let posted = server.requests().into_iter().find(|request| request.head.starts_with("POST"));
    assert!(posted.is_none(), "{posted:?}");
}
