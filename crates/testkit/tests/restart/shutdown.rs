//! SIGTERM.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use tokenbroker_client::blocking::Broker;
use tokenbroker_client::{Error, TokenRequest};
use tokenbroker_testkit::{Fault, wait_until};

use crate::{get, install, server, set_secret};

const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn s66_a_caller_that_waits_is_told_and_the_daemon_exits_with_0() {
    let server = server();
    server.set_fault(Fault::Hang);
    let install = install(&server);
    let daemon = install.start();
    set_secret(&install);
    let broker = Broker::builder().socket(install.socket()).connect().unwrap();
    let waiting = thread::spawn(move || broker.token("app"));
    wait_until(DEADLINE, || server.token_requests("app") == 1);
    assert!(!waiting.is_finished());

    assert!(daemon.terminate().success());
    assert!(!install.socket().exists(), "the daemon removes the socket that it made");
    let error = waiting.join().unwrap().unwrap_err();
    assert!(matches!(error, Error::NoDaemon { .. }), "{error:?}");
}

#[test]
fn s66_s69_a_caller_that_waits_gets_its_token_from_the_next_daemon() {
    let server = server();
    server.set_fault(Fault::Hang);
    let install = install(&server);
    let daemon = install.start();
    set_secret(&install);
    let broker = Broker::builder().socket(install.socket()).connect().unwrap();
    let request = TokenRequest::new("app").wait(DEADLINE);
    let waiting = thread::spawn(move || broker.token_with(&request));
    wait_until(DEADLINE, || server.token_requests("app") == 1);

    assert!(daemon.terminate().success());
    server.set_fault(Fault::None);
    let _daemon = install.start();
    assert_eq!(waiting.join().unwrap().unwrap().generation(), 1);
}

#[test]
fn interrupt_and_quit_end_it_as_well() {
    let server = server();
    for signal in [Signal::INT, Signal::QUIT] {
        let install = install(&server);
        let daemon = install.start();
        set_secret(&install);
        get(&install, &server);
        assert!(daemon.end_by(signal).success(), "{signal:?}");
    }
}
