//! What is said first.

use tokenbroker_protocol::MAX_FRAME;
use tokenbroker_protocol::hello::{CallerHello, HIGHEST};

use crate::Host;

#[test]
fn s13_http_and_tls_are_closed_without_a_reply() {
    let host = Host::new();
    for foreign in [
        &b"GET /v1/tokens/app HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"POST /oauth2/token HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
    ] {
        let mut wire = host.dial();
        wire.send(foreign);
        wire.expect_closed();
    }
    host.expect_well();
}

#[test]
fn s07_what_is_no_hello_is_closed_without_a_reply() {
    let host = Host::new();
    let mut longer = CallerHello::OURS.to_bytes().to_vec();
    longer.push(0);
    for payload in [&b""[..], b"TKBR", b"SSHA\x01\x00\x01\x00", &longer, &[0; 1000]] {
        let mut wire = host.dial();
        wire.send(tokenbroker_protocol::frame(payload).unwrap().expose());
        wire.expect_closed();
    }
    host.expect_well();
}

#[test]
fn s06_an_oversize_hello_is_closed_at_its_length() {
    let host = Host::new();
    for length in [u32::MAX, u32::try_from(MAX_FRAME + 1).unwrap()] {
        let mut wire = host.dial();
        // Nothing follows: the length alone is enough.
        wire.send(&length.to_le_bytes());
        wire.expect_closed();
    }
    host.expect_well();
}

#[test]
fn s68_without_a_common_version_the_caller_is_told_so_and_closed() {
    let host = Host::new();
    for (lowest, highest) in [(HIGHEST + 1, HIGHEST + 9), (0, 0), (HIGHEST + 1, HIGHEST)] {
        let mut wire = host.dial();
        wire.say_hello(CallerHello { lowest, highest });
        assert_eq!(wire.daemon_hello().version, None);
        wire.expect_closed();
    }
    let mut newer = host.dial();
    newer.say_hello(CallerHello { lowest: 0, highest: u16::MAX });
    assert_eq!(newer.daemon_hello().version, Some(HIGHEST));
    host.expect_well();
}

#[test]
fn a_caller_that_leaves_at_any_moment_is_not_missed() {
    let host = Host::new();
    drop(host.dial());
    let mut half = host.dial();
    half.send(&[8, 0]);
    drop(half);
    drop(host.greeted());
    host.expect_well();
}
