//! How a daemon ends.

use rustix::process::Signal;
use tokenbroker_testkit::{AuthServer, Fault, wait_until};

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
