//! What is in the socket's place before a daemon starts.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, lchown, symlink};
use std::os::unix::net::UnixListener;

use tokenbroker_testkit::{AuthServer, Install, require_or_skip, root};

use crate::{does_not_start, set_mode, start, tables};

fn install() -> Install {
    let install = Install::new();
    install.config("");
    install
}

#[test]
fn s14_a_stale_socket_file_is_removed() {
    let server = AuthServer::start();
    let (install, daemon) = start(&server);
    daemon.kill();
    let stale = fs::symlink_metadata(install.socket()).unwrap();
    assert!(stale.file_type().is_socket());
    let _daemon = install.start();
    // The inode's number may well be the old one's.
    assert_ne!(
        fs::symlink_metadata(install.socket()).unwrap().modified().unwrap(),
        stale.modified().unwrap()
    );
    install.cli(["get", "app"]).run().success();
}

#[test]
fn s14_what_is_no_socket_is_refused_and_left_alone() {
    let install = install();
    fs::write(install.socket(), "precious").unwrap();
    let socket = install.socket().display().to_string();
    does_not_start(
        &install,
        &[&format!("error: {socket} exists and is not a socket\n"), &format!("hint: move {socket} away")],
    );
    assert_eq!(fs::read_to_string(install.socket()).unwrap(), "precious");
}

#[test]
fn s14_a_link_to_a_socket_is_refused_and_left_alone() {
    let install = install();
    let elsewhere = install.path().join("run").join("elsewhere.sock");
    drop(UnixListener::bind(&elsewhere).unwrap());
    symlink(&elsewhere, install.socket()).unwrap();
    does_not_start(&install, &["exists and is not a socket\n"]);
    assert!(install.socket().is_symlink() && elsewhere.exists());
}

#[test]
fn s14_somebody_elses_socket_is_refused_and_left_alone() {
    if !require_or_skip("sockets of another user", root()) {
        return;
    }
    let install = install();
    drop(UnixListener::bind(install.socket()).unwrap());
    lchown(install.socket(), Some(2001), Some(2001)).unwrap();
    does_not_start(&install, &["broker.sock exists and belongs to uid 2001\n", "hint: move "]);
    assert!(install.socket().exists());
}

#[test]
fn s14_a_socket_that_somebody_answers_on_is_refused_and_left_alone() {
    let install = install();
    let listener = UnixListener::bind(install.socket()).unwrap();
    does_not_start(&install, &["error: another process is listening on ", "\nhint: stop the other one"]);
    assert!(install.socket().exists());
    drop(listener);
}

#[test]
fn s16_a_directory_of_the_socket_that_others_can_write_is_refused() {
    let install = install();
    let directory = install.path().join("run");
    set_mode(&directory, 0o777);
    does_not_start(
        &install,
        &[
            &format!("error: {} can be written by others (mode 0777)\n", directory.display()),
            &format!("hint: run: chmod go-w {}\n", directory.display()),
        ],
    );
    assert!(!install.socket().exists());
}

#[test]
fn the_socket_has_exactly_the_mode_of_its_kind() {
    let server = AuthServer::start();
    let install = Install::new();
    install.config(&tables(&server, &["app"]));
    let _daemon = install.start();
    let mode = fs::symlink_metadata(install.socket()).unwrap().permissions().mode() & 0o777;
    let personal = rustix::process::geteuid().as_raw() >= 1000;
    assert_eq!(mode, if personal { 0o600 } else { 0o666 });
}
