//! Bytes on the HTTP socket that are no HTTP/1.1: closed, with a reply or without, and the daemon serves the others.

use tokenbroker_protocol::frame;
use tokenbroker_protocol::hello::CallerHello;

use crate::Site;

#[track_caller]
fn is_closed(site: &Site, bytes: &[u8]) {
    let mut caller = site.dial();
    let _ = caller.try_send(bytes);
    let said = String::from_utf8(caller.last_words()).unwrap();
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{said}");
}

#[test]
fn s13_http_2_tls_and_the_native_protocol_are_closed() {
    let site = Site::new(&[("app", "")]);
    is_closed(&site, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    is_closed(&site, &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
    is_closed(&site, frame(&CallerHello::OURS.to_bytes()).unwrap().expose());
    site.expect_well("app");
}

#[test]
fn s07_what_is_no_request_is_closed() {
    let site = Site::new(&[("app", "")]);
    for bytes in [
        &b"\0"[..],
        b"\xff\xfe\xfd\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v1/tokens/app\r\n\r\n",
        b"GET /v1/tokens/app HTTP/3.0\r\n\r\n",
        b"GET /v1/tokens/app HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /v1/tokens/app HTTP/1.1\r\nX: a\0b\r\n\r\n",
        b"GET /v1/tokens/app HTTP/1.1\r\n folded\r\n\r\n",
        b"GET /v1/tokens/\xff\xfe HTTP/1.1\r\n\r\n",
        b"POST /oauth2/token HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /oauth2/token HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /oauth2/token HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    ] {
        is_closed(&site, bytes);
    }
    site.expect_well("app");
}

#[test]
fn s07_chunks_that_are_none_are_refused() {
    let site = Site::new(&[("app", "")]);
    let mut caller = site.dial();
    caller.send("POST /oauth2/token HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n");
    caller.reply().refused(400, "invalid_request");
    assert!(caller.last_words().is_empty());
    site.expect_well("app");
}

#[test]
fn two_requests_are_never_taken_for_one_another() {
    let site = Site::new(&[("app", "")]);
    // What a proxy and a server would disagree on: the length does not count, and nothing follows.
    let mut caller = site.dial();
    caller.send(
        "POST /oauth2/token HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\nGET /v1/tokens/app HTTP/1.1\r\n\r\n",
    );
    caller.reply().refused(400, "invalid_request");
    assert!(caller.last_words().is_empty());
}

#[test]
fn a_caller_that_leaves_at_any_moment_is_not_missed() {
    let site = Site::new(&[("app", "")]);
    let whole = crate::caller::request("GET", "/v1/tokens/app", &[]);
    for length in 0..whole.len() {
        let mut caller = site.dial();
        caller.send(&whole[..length]);
    }
    let mut unread = site.dial();
    unread.send(&whole);
    drop(unread);
    site.expect_well("app");
}
