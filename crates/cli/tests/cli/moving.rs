//! `secret move`.

use tokenbroker_client::protocol::{Command, Moved, Response, Store};

use crate::fake::FakeDaemon;

fn moved(from: Store, left_behind: &[&str]) -> Response {
    let left_behind = left_behind.iter().map(|copy| (*copy).to_owned()).collect();
    Response::Moved(Moved { from, to: Store::OsKeyring, credentials: 3, left_behind, configured: None })
}

#[test]
fn what_was_moved_is_said() {
    let daemon = FakeDaemon::with(moved(Store::EncryptedFile, &[]));
    let outcome = daemon.cli(&["secret", "move", "--to", "os-keyring"]).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(outcome.stdout, "moved 3 credentials from encrypted-file to os-keyring\n");
    for store in ["encrypted-file", "systemd-credentials"] {
        daemon.cli(&["secret", "move", "--to", store]).run();
    }
    let asked = [Store::OsKeyring, Store::EncryptedFile, Store::SystemdCredentials];
    assert_eq!(daemon.asked(), asked.map(|to| Command::CredentialsMove { to }));
}

#[test]
fn a_second_move_finds_everything_in_its_place() {
    let daemon = FakeDaemon::with(moved(Store::OsKeyring, &[]));
    let outcome = daemon.cli(&["secret", "move", "--to", "os-keyring"]).run();
    assert_eq!(outcome.code, Some(0));
    assert_eq!(outcome.stdout, "nothing to move, os-keyring has them already: 3 credentials\n");
}

#[test]
fn copies_that_were_left_behind_are_a_failure_with_a_remedy() {
    let left = ["mail, version 5f0c: the keyring is locked", "signtext, version 77aa: the keyring is locked"];
    let daemon = FakeDaemon::with(moved(Store::EncryptedFile, &left));
    let outcome = daemon.cli(&["secret", "move", "--to", "os-keyring"]).run();
    assert_eq!(outcome.code, Some(1));
    assert_eq!(outcome.stdout, "moved 3 credentials from encrypted-file to os-keyring\n");
    assert_eq!(
        outcome.stderr,
        "\
warning: an old copy was left behind: mail, version 5f0c: the keyring is locked
warning: an old copy was left behind: signtext, version 77aa: the keyring is locked
hint: run it again, `tokenbroker secret move --to os-keyring`: that removes old copies
"
    );
}
