//! Where the daemon listens for HTTP: by the configuration, or on what systemd passes.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use tokenbroker_testkit::{AuthServer, Install, programs, require_or_skip, root};

use crate::caller::Caller;
use crate::{Site, config};

#[test]
fn without_the_key_nobody_listens() {
    let server = AuthServer::start();
    let install = Install::new();
    install.config(&tokenbroker_testkit::configuration::issuer("as", &server));
    let _daemon = install.start();
    assert!(!install.http_socket().exists());
}

#[test]
fn the_socket_has_the_mode_of_the_native_one_and_is_removed_with_it() {
    let site = Site::cold(&[]);
    let mode = |path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(site.install.http_socket()), mode(site.install.socket()));
    let Site { daemon, install, .. } = site;
    assert!(daemon.terminate().success());
    assert!(!install.http_socket().exists());
}

#[test]
fn s14_a_stale_socket_file_is_removed_and_nothing_else() {
    let site = Site::cold(&[]);
    let Site { daemon, install, server: _server } = site;
    daemon.kill();
    assert!(fs::symlink_metadata(install.http_socket()).unwrap().file_type().is_socket());
    drop(install.start());
    let words = |words: &str| {
        let http = install.http_socket();
        install
            .tokenbrokerd([""; 0])
            .run()
            .refused(1, &[&format!("error: {words}").replace("SOCKET", http.to_str().unwrap())]);
    };

    fs::remove_file(install.http_socket()).unwrap();
    fs::write(install.http_socket(), "precious").unwrap();
    words("SOCKET exists and is not a socket\n");
    assert_eq!(fs::read_to_string(install.http_socket()).unwrap(), "precious");

    fs::remove_file(install.http_socket()).unwrap();
    let listener = UnixListener::bind(install.http_socket()).unwrap();
    words("another process is listening on SOCKET\n");
    assert!(install.http_socket().exists());
    drop(listener);

    if require_or_skip("sockets of another user", root()) {
        std::os::unix::fs::lchown(install.http_socket(), Some(2001), Some(2001)).unwrap();
        words("SOCKET exists and belongs to uid 2001\n");
    }
}

#[test]
fn s16_a_directory_of_the_socket_that_others_can_write_is_refused() {
    let server = AuthServer::start();
    let install = Install::new();
    let open = install.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let elsewhere = config(&install, &server, &[]).replace("/run/http.sock", "/open/http.sock");
    install.config(&elsewhere);
    let words = format!("error: {} can be written by others (mode 0777)\n", open.display());
    install.tokenbrokerd([""; 0]).run().refused(1, &[&words]);
}

#[test]
fn another_socket_takes_a_restart() {
    let site = Site::cold(&[]);
    let changed = config(&site.install, &site.server, &[]).replace("http.sock", "other.sock");
    site.install.config(&changed);
    let words = "error: changing daemon.http_socket takes a restart\n";
    site.install.cli(["reload"]).run().refused(1, &[words]);
    assert_eq!(site.get("/readyz").status, 200);
}

#[test]
fn systemd_s_own_socket_activation_passes_both_sockets_by_name() {
    if !require_or_skip("socket activation", programs(&["systemd-socket-activate"])) {
        return;
    }
    // As the units name them, and as systemd does where a unit says nothing.
    for names in [["broker", "http"], ["tokenbrokerd.socket", "tokenbrokerd-http.socket"]] {
        let server = AuthServer::start();
        let install = Install::new();
        // What is passed is served without the key.
        install.config(&tokenbroker_testkit::configuration::issuer("as", &server));
        let daemon = install.start_by_socket_activation_with_http(names);
        assert_eq!(Caller::connect(&install.http_socket()).get("/readyz").status, 200);
        assert!(!daemon.log().contains("WARN"), "{}", daemon.log());
        assert!(daemon.terminate().success());
        assert!(install.http_socket().exists(), "the socket is not the daemon's to remove");
    }
}
