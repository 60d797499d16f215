//! Callers that take their time, and callers that don't read.

use std::io::ErrorKind;
use std::ops::Range;
use std::time::Duration;

use tokenbroker_protocol::hello::CallerHello;
use tokenbroker_protocol::{Command, frame};
use tokenbroker_testkit::wire::request;
use tokenbroker_testkit::{Stopwatch, Wire};

use crate::Host;

/// Hello and frames have five seconds each; the rest is for a host that is busy.
const FRAME_DEADLINE: Range<Duration> = Duration::from_millis(4500)..Duration::from_secs(15);

#[track_caller]
fn is_closed_at_the_deadline(wire: Wire) {
    let watch = Stopwatch::start();
    wire.expect_closed();
    let elapsed = watch.elapsed();
    assert!(FRAME_DEADLINE.contains(&elapsed), "{elapsed:?}");
}

#[test]
fn s08_silence_half_a_hello_and_half_a_request_are_closed_at_the_deadline_and_an_idle_caller_is_not() {
    let host = Host::new();
    let mut idle = host.greeted();
    let silent = host.dial();
    let mut half_said = host.dial();
    half_said.send(&frame(&CallerHello::OURS.to_bytes()).unwrap().expose()[..7]);
    let mut half_asked = host.greeted();
    half_asked.send(&request(1, Command::Ping)[..3]);

    std::thread::scope(|scope| {
        for wire in [silent, half_said, half_asked] {
            scope.spawn(|| is_closed_at_the_deadline(wire));
        }
        host.install.cli(["get", "app"]).run().success();
    });
    idle.ask(1, Command::Ping);
    assert_eq!(idle.reply().unwrap().id, 1);
    host.expect_well();
}

#[test]
fn s09_a_caller_that_does_not_read_is_dropped_and_no_other_notices() {
    let host = Host::new();
    let mut wire = host.greeted();
    let requests = request(1, Command::Status { client: None, after: None }).repeat(100);
    let (taken, refused) = std::thread::scope(|scope| {
        let deaf = scope.spawn(|| wire.send_for_as_long_as_it_takes(&requests));
        for _ in 0..20 {
            host.install.cli(["get", "app"]).run().success();
        }
        deaf.join().unwrap()
    });
    // The kernel's buffers and the daemon's own.
    assert!(taken < 4 * 1024 * 1024, "{taken} bytes were taken");
    assert!(
        matches!(refused.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
        "it takes no more, but is not closed: {refused}"
    );
    host.expect_well();
}
