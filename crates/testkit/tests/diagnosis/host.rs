//! `doctor`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tokenbroker_testkit::{Install, wait_until};

use crate::{Checks, Site};

/// Ample: other tests use the same processors.
const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn a_host_in_order_has_nothing_bad() {
    let site = Site::start();
    site.install.cli(["get", "app"]).run().success();
    let checks = site.doctor();
    for subject in ["daemon", "configuration", "socket", "state", "key store", "app"] {
        assert_eq!(checks.verdict(subject), Some("good"), "{subject}: {:#?}", checks.checks);
    }
    assert_eq!(checks.code, 0);
    checks.assert_finds("warning", "service", "no service manager", "systemctl enable");
}

#[test]
fn s68_a_configuration_that_changed_or_would_be_refused_is_found() {
    let site = Site::start();
    let text = fs::read_to_string(site.install.config_file()).unwrap();
    fs::write(site.install.config_file(), text.replace("client_id = \"app\"", "client_id = \"other\""))
        .unwrap();
    site.doctor().assert_finds(
        "warning",
        "configuration",
        "changed since they were read",
        "tokenbroker reload",
    );
    fs::write(site.install.config_file(), "nonsense").unwrap();
    site.doctor().assert_finds("bad", "configuration", "would be refused", "correct it");
    fs::write(site.install.config_file(), text.replace("[daemon]", "[daemon]\nkeep_tokens = true")).unwrap();
    assert_eq!(site.doctor().verdict("configuration"), Some("good"), "what means the same is the same");
}

#[test]
fn a_client_in_trouble_is_named_with_what_to_do() {
    let site = Site::start();
    site.set("wrong");
    wait_until(DEADLINE, || site.install.status("app")["last_error"]["code"] == "invalid_client");
    site.doctor().assert_finds("warning", "app", "degraded, for ", "tokenbroker secret set app");
    site.install.cli(["secret", "remove", "app"]).run().success();
    site.doctor().assert_finds("bad", "app", "blocked; there is no credential", "tokenbroker secret set app");
}

#[test]
fn a_state_directory_that_others_can_read_is_found() {
    let site = Site::start();
    fs::set_permissions(site.install.state_dir(), fs::Permissions::from_mode(0o755)).unwrap();
    site.doctor().assert_finds("bad", "state", "open to others", "chmod 0700");
}

#[test]
fn without_a_daemon_the_doctor_says_what_is_missing() {
    let install = Install::new();
    let checks = Checks::of(&install, &["doctor", "--json"]);
    assert_eq!(checks.code, 1);
    assert_eq!(checks.verdict("daemon"), Some("bad"), "{:#?}", checks.checks);

    let site = Site::start();
    let Site { daemon, install, .. } = site;
    daemon.kill();
    let checks = Checks::of(&install, &["doctor", "--json"]);
    assert_eq!(
        checks.verdict("daemon"),
        Some("bad"),
        "a socket that nobody listens on: {:#?}",
        checks.checks
    );
}
