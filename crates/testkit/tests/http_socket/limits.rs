//! How much a caller may send.

use tokenbroker_testkit::{Wire, wait_until};

use crate::caller::request;
use crate::{DEADLINE, Site};

const FORM: &str = "grant_type=client_credentials&client_id=app";
const KIND: &str = "Content-Type: application/x-www-form-urlencoded";

/// The status that the caller is told before it is closed.
#[track_caller]
fn is_told_and_closed(site: &Site, bytes: &str, status: u16) {
    let mut caller = site.dial();
    // It may be closed before it took everything.
    let _ = caller.try_send(bytes.as_bytes());
    let said = String::from_utf8(caller.last_words()).unwrap();
    // Nothing at all, if the reply was lost with the rest of what it had sent.
    assert!(said.is_empty() || said.starts_with(&format!("HTTP/1.1 {status} ")), "{said}");
}

#[test]
fn a_head_has_16_kib_and_a_hundred_headers() {
    let site = Site::new(&[("app", "")]);
    let long =
        |length: usize| request("GET", "/v1/tokens/app", &[&format!("X-Long: {}", "x".repeat(length))]);
    let many = |count: usize| request("GET", "/v1/tokens/app", &vec!["X-Many: x"; count]);
    for fits in [long(15 * 1024), many(99)] {
        let mut caller = site.dial();
        caller.send(fits);
        assert_eq!(caller.reply().status, 200);
    }
    is_told_and_closed(&site, &long(17 * 1024), 431);
    is_told_and_closed(&site, &long(1024 * 1024), 431);
    is_told_and_closed(&site, &many(101), 431);
    is_told_and_closed(&site, &request("GET", &format!("/{}", "x".repeat(20_000)), &[]), 431);
    site.expect_well("app");
}

#[test]
fn a_body_has_64_kib() {
    let site = Site::new(&[("app", "")]);
    let padded = |length: usize| format!("{FORM}&x={}", "x".repeat(length - FORM.len() - 3));
    assert_eq!(site.post(&padded(64 * 1024)).status, 200);

    // The length alone is enough: nothing of the body is waited for.
    let mut announces = site.dial();
    announces.send(request("POST", "/oauth2/token", &[KIND, "Content-Length: 65537"]));
    announces.reply().refused(413, "invalid_request");
    let mut announces = site.dial();
    announces.send(request("POST", "/oauth2/token", &[KIND, "Content-Length: 18446744073709551615"]));
    assert!(!String::from_utf8_lossy(&announces.last_words()).contains(" 200 "));

    let mut chunked = site.dial();
    chunked.send(request("POST", "/oauth2/token", &[KIND, "Transfer-Encoding: chunked"]));
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000)).repeat(17);
    let _ = chunked.try_send(chunk.as_bytes());
    chunked.reply().refused(413, "invalid_request");
    site.expect_well("app");
}

#[test]
fn a_form_has_200_parameters() {
    let site = Site::new(&[("app", "resource = \"urn:a\"")]);
    assert_eq!(site.post(&format!("{FORM}{}", "&resource=urn:a".repeat(198))).status, 200);
    site.post(&format!("{FORM}{}", "&resource=urn:a".repeat(199))).refused(400, "invalid_request");
    let many: String = (0..10_000).map(|number| format!("&p{number}=x")).collect();
    site.post(&format!("{FORM}{}", &many[..60_000])).refused(400, "invalid_request");
    site.expect_well("app");
}

/// Connections of both sockets count together.
#[test]
fn s10_connections_beyond_the_quota_are_told_so_and_closed() {
    let site = Site::new(&[("app", "")]);
    site.reconfigure("max_connections_per_uid = 4", &[("app", "")]);
    let mut held: Vec<_> = (0..3).map(|_| site.dial()).collect();
    held.iter_mut().for_each(|caller| assert_eq!(caller.get("/readyz").status, 200));
    let mut native = Wire::connect(&site.install.socket());
    native.shake_hands();

    for _ in 0..20 {
        let mut refused = site.dial();
        // It may be closed before it asks.
        let _ = refused.try_send(request("GET", "/v1/tokens/app", &[]).as_bytes());
        let reply = refused.reply();
        assert!(reply.refused(503, "temporarily_unavailable").contains("has 4 connections"));
        assert_eq!(reply.headers["retry-after"], "1");
    }
    assert_eq!(held[0].get("/v1/tokens/app").status, 200, "those that are there are served on");
    drop(native);
    // That it is gone takes a moment to be noticed.
    wait_until(DEADLINE, || {
        let mut caller = site.dial();
        let _ = caller.try_send(request("GET", "/v1/tokens/app", &[]).as_bytes());
        caller.reply().status == 200
    });
    assert!(site.daemon.log().lines().count() < 10, "{}", site.daemon.log());
}
