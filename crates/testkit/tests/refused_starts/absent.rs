//! Callers without a daemon.

use std::time::Duration;

use rustix::process::Signal;
use tokenbroker_testkit::{AuthServer, Install, Stopwatch};

use crate::start;

const COMMANDS: [&[&str]; 7] = [
    &["get", "app"],
    &["status"],
    &["renew", "app"],
    &["reload"],
    &["secret", "set", "app"],
    &["secret", "list"],
    &["key", "generate", "app"],
];

#[test]
fn without_a_daemon_every_command_says_so_at_once() {
    let install = Install::new();
    let socket = install.socket().display().to_string();
    for command in COMMANDS {
        let watch = Stopwatch::start();
        install.cli(command).stdin("secret").run().refused(
            3,
            &[
                "error: no tokenbroker daemon can be reached: ",
                &socket,
                ": no such socket",
                "\nhint: start tokenbrokerd, or name its socket in TOKENBROKER_SOCKET\n",
            ],
        );
        assert!(watch.elapsed() < Duration::from_secs(5), "{command:?} took {:?}", watch.elapsed());
    }
}

#[test]
fn a_socket_that_was_named_is_the_only_one_that_is_tried() {
    let server = AuthServer::start();
    let (install, _daemon) = start(&server);
    let elsewhere = install.path().join("elsewhere.sock");
    let run = install.cli(["--socket", elsewhere.to_str().unwrap(), "get", "app"]).run();
    let said = run.refused(3, &["elsewhere.sock: no such socket"]);
    assert!(!said.contains("broker.sock"), "{said}");
}

#[test]
fn a_socket_that_nobody_listens_on_is_said_to_be_one() {
    let server = AuthServer::start();
    let (install, daemon) = start(&server);
    daemon.kill();
    assert!(install.socket().exists());
    install.cli(["get", "app"]).run().refused(3, &["broker.sock: nobody is listening"]);
}

#[test]
fn an_explicit_wait_covers_a_daemon_that_is_not_there() {
    let install = Install::new();
    let watch = Stopwatch::start();
    install
        .cli(["get", "app", "--wait", "1s"])
        .run()
        .refused(3, &["error: no tokenbroker daemon can be reached: "]);
    let waited = watch.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(6)).contains(&waited), "{waited:?}");
}

#[test]
fn an_explicit_wait_ends_when_the_daemon_comes() {
    let server = AuthServer::start();
    let (install, daemon) = start(&server);
    daemon.kill();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| install.cli(["get", "app", "--wait", "30s"]).run());
        let _daemon = install.start();
        waiting.join().unwrap().success();
    });
}

#[test]
fn a_daemon_that_is_stopped_is_given_up_a_little_after_the_wait() {
    let server = AuthServer::start();
    let (install, daemon) = start(&server);
    daemon.signal(Signal::STOP);
    let watch = Stopwatch::start();
    let output = install.cli(["get", "app", "--wait", "1s"]).run();
    let waited = watch.elapsed();
    daemon.signal(Signal::CONT);
    output.refused(1, &["error: the daemon did not answer within ", "\nhint: see the daemon's log"]);
    assert!((Duration::from_secs(1)..Duration::from_secs(8)).contains(&waited), "{waited:?}");
    install.cli(["get", "app"]).run().success();
}
