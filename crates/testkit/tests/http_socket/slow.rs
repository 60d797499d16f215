//! Callers that take their time, and callers that don't read.

use std::io::ErrorKind;
use std::ops::Range;
use std::time::Duration;

use tokenbroker_testkit::Stopwatch;

use crate::Site;
use crate::caller::{Caller, request};

/// A request has five seconds; the rest is for a host that is busy.
const REQUEST_DEADLINE: Range<Duration> = Duration::from_millis(4500)..Duration::from_secs(15);

#[track_caller]
fn is_closed_at_the_deadline(caller: Caller) {
    let watch = Stopwatch::start();
    let said = caller.last_words();
    let elapsed = watch.elapsed();
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&said));
    assert!(REQUEST_DEADLINE.contains(&elapsed), "{elapsed:?}");
}

#[test]
fn s08_silence_half_a_head_and_half_a_body_are_closed_at_the_deadline_and_an_idle_caller_is_not() {
    let site = Site::new(&[("app", "")]);
    let mut idle = site.dial();
    assert_eq!(idle.get("/v1/tokens/app").status, 200);
    let silent = site.dial();
    let mut half_a_head = site.dial();
    half_a_head.send("GET /v1/tok");
    let mut half_a_second = site.dial();
    assert_eq!(half_a_second.get("/v1/tokens/app").status, 200);
    half_a_second.send("GET /v1/tokens/app HTTP/1.1\r\n");
    let mut half_a_body = site.dial();
    let headers = ["Content-Type: application/x-www-form-urlencoded", "Content-Length: 100"];
    half_a_body.send(request("POST", "/oauth2/token", &headers) + "grant_type=");

    std::thread::scope(|scope| {
        for caller in [silent, half_a_head, half_a_second, half_a_body] {
            scope.spawn(|| is_closed_at_the_deadline(caller));
        }
        assert_eq!(site.get("/v1/tokens/app").status, 200);
    });
    assert_eq!(idle.get("/v1/tokens/app").status, 200);
    site.expect_well("app");
}

#[test]
fn s09_a_caller_that_does_not_read_is_dropped_and_no_other_notices() {
    let site = Site::new(&[("app", "")]);
    let mut deaf = site.dial();
    let requests = request("GET", "/metrics", &[]).repeat(100);
    let (taken, refused) = std::thread::scope(|scope| {
        let sending = scope.spawn(|| deaf.send_for_as_long_as_it_takes(requests.as_bytes()));
        let mut other = site.dial();
        for _ in 0..1000 {
            assert_eq!(other.get("/v1/tokens/app").status, 200);
        }
        sending.join().unwrap()
    });
    // The kernel's buffers and the daemon's own.
    assert!(taken < 4 * 1024 * 1024, "{taken} bytes were taken");
    assert!(
        matches!(refused.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
        "it takes no more, but is not closed: {refused}"
    );
    site.expect_well("app");
}

#[test]
fn requests_that_are_sent_at_once_are_answered_one_after_the_other() {
    let site = Site::new(&[("app", "")]);
    let mut caller = site.dial();
    let form = "grant_type=client_credentials&client_id=app";
    let length = format!("Content-Length: {}", form.len());
    let post =
        request("POST", "/oauth2/token", &["Content-Type: application/x-www-form-urlencoded", &length])
            + form;
    let round = [request("GET", "/v1/tokens/app", &[]), post, request("GET", "/elsewhere", &[])].concat();
    caller.send(round.repeat(50));
    for _ in 0..50 {
        assert_eq!([(); 3].map(|()| caller.reply().status), [200, 200, 404]);
    }
    site.expect_well("app");
}
