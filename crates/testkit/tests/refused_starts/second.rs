//! One daemon for each state directory, and one for each socket.

use tokenbroker_testkit::{AuthServer, Install};

use crate::{does_not_start, start};

const WORDS: [&str; 2] = [
    "error: another tokenbrokerd is running with this state directory",
    "\nhint: stop the other one, or give this one a state_dir and socket of its own\n",
];

#[test]
fn s15_a_second_daemon_exits_and_the_first_does_not_notice() {
    let server = AuthServer::start();
    let (install, mut first) = start(&server);
    let token = install.cli(["get", "app"]).run().success();
    let log = first.log();

    does_not_start(&install, &WORDS);
    assert!(first.is_running() && first.answers());
    assert_eq!(install.cli(["get", "app"]).run().success(), token);
    assert_eq!(first.log(), log);
}

#[test]
fn s15_a_daemon_with_the_same_socket_and_another_state_directory_exits_too() {
    let server = AuthServer::start();
    let (install, mut first) = start(&server);
    let other = Install::new();
    other.raw_config(&format!(
        "[daemon]\nsocket = {:?}\nstate_dir = {:?}\n",
        install.socket(),
        other.state_dir()
    ));
    let words = [
        &format!("error: another process is listening on {}\n", install.socket().display()),
        "hint: stop the other one, or name another socket in [daemon]\n",
    ];
    does_not_start(&other, &words);
    assert!(first.is_running() && first.answers());
    install.cli(["get", "app"]).run().success();
}

#[test]
fn once_the_first_is_gone_however_it_went_the_second_starts() {
    let server = AuthServer::start();
    let (install, first) = start(&server);
    first.kill();
    let second = install.start();
    install.cli(["get", "app"]).run().success();
    drop(second);
}
