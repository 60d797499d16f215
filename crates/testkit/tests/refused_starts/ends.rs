//! How a daemon ends.

use std::io::Read;
use std::time::Duration;

use rustix::process::Signal;
use tokenbroker_testkit::{AuthServer, Fault, Stopwatch, wait_until};

use crate::{SOON, start};

#[test]
fn s66_sigterm_exits_0_and_removes_the_socket() {
    let server = AuthServer::start();
    let (install, daemon) = start(&server);
    assert_eq!(daemon.terminate().code(), Some(0));
    assert!(!install.socket().exists());
    install.cli(["get", "app"]).run().refused(3, &["no such socket"]);
}

#[test]
fn s66_sigterm_answers_those_who_wait_and_does_not_wait_for_the_server() {
    let server = AuthServer::start();
    let (install, daemon) = start(&server);
    server.set_fault(Fault::Hang);
    let before = server.token_requests("app");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| install.cli(["renew", "app"]).run());
        wait_until(SOON, || server.token_requests("app") > before);
        assert_eq!(daemon.terminate().code(), Some(0));
        let output = waiting.join().unwrap();
        output.refused(3, &["error: "]);
    });
    assert!(!install.socket().exists());
}

#[test]
fn s66_another_socket_in_its_place_is_not_removed() {
    let server = AuthServer::start();
    let (install, daemon) = start(&server);
    std::fs::remove_file(install.socket()).unwrap();
    std::fs::write(install.socket(), "somebody else's").unwrap();
    assert_eq!(daemon.terminate().code(), Some(0));
    assert_eq!(std::fs::read_to_string(install.socket()).unwrap(), "somebody else's");
}

#[test]
fn interrupts_from_the_terminal_end_it_in_the_same_way() {
    for signal in [Signal::INT, Signal::QUIT] {
        let server = AuthServer::start();
        let (install, mut daemon) = start(&server);
        daemon.signal(signal);
        wait_until(SOON, || !daemon.is_running());
        assert!(!install.socket().exists());
    }
}

#[test]
fn s66_a_connection_that_says_nothing_does_not_hold_the_end_up() {
    let server = AuthServer::start();
    let (install, daemon) = start(&server);
    let mut silent = std::os::unix::net::UnixStream::connect(install.socket()).unwrap();
    // Accepted, since one that came later is served.
    install.cli(["get", "app"]).run().success();
    let stopwatch = Stopwatch::start();
    assert_eq!(daemon.terminate().code(), Some(0));
    // Its time for a hello is 5 s.
    assert!(stopwatch.elapsed() < Duration::from_secs(4), "{:?}", stopwatch.elapsed());
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
}
