//! State directories and key stores that others can write or read.

use std::fs;
use std::os::unix::fs::symlink;

use tokenbroker_testkit::{AuthServer, Install};

use crate::{does_not_start, set_mode, start};

#[test]
fn s16_a_state_directory_that_others_can_write_is_refused() {
    for mode in [0o777, 0o770] {
        let install = Install::new();
        install.config("");
        set_mode(&install.state_dir(), mode);
        let path = install.state_dir().display().to_string();
        does_not_start(
            &install,
            &[
                &format!("error: {path} can be written by others (mode {mode:04o})\n"),
                &format!("hint: run: chmod go-w {path}\n"),
            ],
        );
        assert!(!install.socket().exists());
        assert_eq!(fs::read_dir(install.state_dir()).unwrap().count(), 0);
    }
}

#[test]
fn s16_a_state_directory_below_one_that_others_can_write_is_refused() {
    let install = Install::new();
    install.config("");
    set_mode(install.path(), 0o777);
    let words = [format!("{} can be written by others (mode 0777)", install.path().display())];
    // The configuration is in the same place, and comes first.
    install.tokenbrokerd([""; 0]).run().refused(78, &[&words[0]]);
}

#[test]
fn a_state_directory_that_is_a_file_is_refused() {
    let install = Install::new();
    install.config("");
    fs::remove_dir(install.state_dir()).unwrap();
    fs::write(install.state_dir(), "precious").unwrap();
    does_not_start(&install, &["error: ", "state"]);
    assert_eq!(fs::read_to_string(install.state_dir()).unwrap(), "precious");
}

#[test]
fn s16_a_link_in_the_place_of_the_lock_is_not_followed() {
    let install = Install::new();
    install.config("");
    let elsewhere = install.path().join("elsewhere");
    symlink(&elsewhere, install.state_dir().join("lock")).unwrap();
    does_not_start(&install, &["error: the lock file ", "can't be opened: "]);
    assert!(!elsewhere.exists());
}

#[test]
fn s56_a_key_store_that_others_can_read_is_refused() {
    for file in ["keystore.key", "keystore"] {
        for mode in [0o640, 0o604, 0o622] {
            let server = AuthServer::start();
            let (install, daemon) = start(&server);
            assert!(daemon.terminate().success());
            let path = install.state_dir().join(file);
            let before = fs::read(&path).unwrap();
            set_mode(&path, mode);
            let path_text = path.display().to_string();
            does_not_start(
                &install,
                &[
                    &format!("error: {path_text} can be read or written by others (mode {mode:04o})\n"),
                    &format!("hint: chmod 0600 {path_text}"),
                ],
            );
            assert_eq!(fs::read(&path).unwrap(), before);

            set_mode(&path, 0o600);
            let _daemon = install.start();
            install.cli(["get", "app"]).run().success();
        }
    }
}

#[test]
fn s77_a_lost_key_is_told_with_the_clients_that_need_their_credential_again_and_nothing_is_overwritten() {
    let server = AuthServer::start();
    let (install, daemon) = start(&server);
    assert!(daemon.terminate().success());
    fs::remove_file(install.state_dir().join("keystore.key")).unwrap();
    let store = install.state_dir().join("keystore");
    let before = fs::read(&store).unwrap();

    let _daemon = install.start();
    let said = install.cli(["get", "app", "--wait", "1s"]).run().refused(5, &["error: "]);
    assert!(said.contains("key"), "{said}");
    install.cli(["secret", "set", "app"]).stdin("secret").run().refused(1, &["error: ", "hint: ", "app"]);
    assert_eq!(fs::read(&store).unwrap(), before);
}
