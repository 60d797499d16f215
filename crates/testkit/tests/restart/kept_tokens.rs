//! Tokens that outlive the daemon in a file, and files that it takes nothing from.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokenbroker_testkit::{AuthServer, Daemon, Install, configuration, wait_until};

use crate::{get, install, server, set_secret};

const DEADLINE: Duration = Duration::from_secs(30);

/// Said of a file that is not used.
const MISS: &str = "is not used, tokens are fetched anew: ";

/// What the state directory may hold.
const STATE: [&str; 6] = ["keystore", "keystore.choice", "keystore.key", "lock", "tokens-1", "tokens-1.tmp"];

fn file(install: &Install) -> PathBuf {
    install.state_dir().join("tokens-1")
}

/// A directory whose daemon has ended and kept a token, and that token.
fn kept(server: &AuthServer) -> (Install, String) {
    let install = install(server);
    let daemon = install.start();
    set_secret(&install);
    let token = get(&install, server);
    end(daemon);
    assert!(file(&install).is_file());
    (install, token)
}

fn end(daemon: Daemon) {
    assert!(daemon.terminate().success());
}

/// The client's token, whether a server is there or not.
fn token(install: &Install) -> String {
    install.cli(["get", "app"]).run().success().trim_end().into()
}

/// There is no token now, and no server to get one from.
fn no_token(install: &Install) {
    install.cli(["get", "app", "--wait", "1s"]).run().refused(5, &["error: "]);
}

/// Starts a daemon that takes nothing from the file: it fetches anew, and is fine.
#[track_caller]
fn misses(install: &Install, server: &AuthServer, old: &str, why: &str) {
    let requests = server.token_requests("app");
    let daemon = install.start();
    let token = get(install, server);
    assert_ne!(token, old);
    assert_eq!(server.token_requests("app"), requests + 1);
    logged(&daemon, &format!("{} {MISS}{why}", file(install).display()));
    end(daemon);

    // What it has kept itself is good again.
    let _daemon = install.start();
    assert_eq!(self::token(install), token);
    assert_eq!(server.token_requests("app"), requests + 1);
}

/// Waits for words in the log, which is written beside everything else.
#[track_caller]
fn logged(daemon: &Daemon, words: &str) {
    wait_until(DEADLINE, || daemon.log().contains(words));
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn s70_tokens_survive_a_restart_while_the_server_is_unreachable() {
    let server = server();
    let (install, token) = kept(&server);
    server.stop();
    for _ in 0..2 {
        let daemon = install.start();
        assert_eq!(self::token(&install), token);
        logged(&daemon, "tokens that outlived the restart are served");
        assert_eq!(install.status("app")["token_requests"], 0);
        end(daemon);
    }
    server.start_again();
    let _daemon = install.start();
    assert_eq!(get(&install, &server), token);
    assert_eq!(server.all_token_requests(), 1);
}

#[test]
fn s60_s70_tokens_survive_the_sudden_death_of_the_daemon() {
    let server = server();
    let install = install(&server);
    let daemon = install.start();
    set_secret(&install);
    let token = get(&install, &server);
    wait_until(DEADLINE, || file(&install).is_file());
    daemon.kill();
    server.stop();

    let daemon = install.start();
    assert_eq!(self::token(&install), token);
    daemon.kill();
    let _daemon = install.start();
    assert_eq!(self::token(&install), token);
    assert_eq!(server.all_token_requests(), 1);
}

#[test]
fn s60_killed_at_any_moment_of_a_write_it_starts_again_and_leaves_nothing_behind() {
    let server = server();
    let install = install(&server);
    let mut daemon = install.start();
    set_secret(&install);
    get(&install, &server);
    wait_until(DEADLINE, || file(&install).is_file());
    for _ in 0..6 {
        let before = fs::metadata(file(&install)).unwrap().ino();
        install.cli(["renew", "app"]).run().success();
        // Not wait_until, whose pauses are longer than a write.
        let temporary = install.state_dir().join("tokens-1.tmp");
        let changed = || temporary.exists() || fs::metadata(file(&install)).unwrap().ino() != before;
        let spun = tokenbroker_testkit::Stopwatch::start();
        while !changed() {
            assert!(spun.elapsed() < DEADLINE, "the new token is not written");
            std::hint::spin_loop();
        }
        daemon.kill();

        let requests = server.token_requests("app");
        daemon = install.start();
        get(&install, &server);
        assert_eq!(server.token_requests("app"), requests, "the old file or the new, but a whole one");
        for name in names(&install.state_dir()) {
            assert!(STATE.contains(&name.as_str()), "{name}");
        }
    }
    end(daemon);
    assert!(!install.state_dir().join("tokens-1.tmp").exists());
}

#[test]
fn s63_a_damaged_file_is_fetched_anew() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(Damage, &str); 5] = [
        (|bytes| *bytes.last_mut().unwrap() ^= 1, "it was damaged"),
        (|bytes| bytes.truncate(bytes.len() / 2), "it was damaged"),
        (Vec::clear, "it is no file of tokens"),
        (|bytes| *bytes = b"not at all".repeat(100), "it is no file of tokens"),
        (|bytes| bytes[12] ^= 1, "it was encrypted with another key"),
    ];
    for (damage, why) in damages {
        let server = server();
        let (install, token) = kept(&server);
        // In the very same file.
        let mut bytes = fs::read(file(&install)).unwrap();
        damage(&mut bytes);
        let mut same = OpenOptions::new().write(true).truncate(true).open(file(&install)).unwrap();
        same.write_all(&bytes).unwrap();
        misses(&install, &server, &token, why);
    }
}

#[test]
fn s63_an_older_file_that_is_put_back_brings_no_older_token_back() {
    let server = server();
    let (install, old) = kept(&server);
    let backup = install.path().join("backup");
    fs::copy(file(&install), &backup).unwrap();

    let daemon = install.start();
    install.cli(["renew", "app"]).run().success();
    assert_ne!(token(&install), old);
    end(daemon);
    fs::rename(&backup, file(&install)).unwrap();
    misses(&install, &server, &old, "it was damaged, or is a copy that was put back");
}

#[test]
fn s63_the_file_of_another_broker_is_not_used() {
    let server = server();
    let ((install, token), (other, foreign)) = (kept(&server), kept(&server));
    fs::rename(file(&other), file(&install)).unwrap();
    misses(&install, &server, &token, "it was encrypted with another key");
    let _daemon = install.start();
    assert_ne!(self::token(&install), foreign);
}

#[test]
fn s63_a_link_or_a_file_that_others_can_read_is_not_used() {
    let server = server();
    let (install, token) = kept(&server);
    fs::set_permissions(file(&install), Permissions::from_mode(0o644)).unwrap();
    misses(&install, &server, &token, "others may read or write it (mode 0644)");

    let (install, token) = kept(&server);
    let elsewhere = install.path().join("elsewhere");
    fs::rename(file(&install), &elsewhere).unwrap();
    symlink(&elsewhere, file(&install)).unwrap();
    let content = fs::read(&elsewhere).unwrap();
    misses(&install, &server, &token, "it is a symbolic link");
    assert_eq!(fs::read(&elsewhere).unwrap(), content, "nothing is written through the link");
}

#[test]
fn s71_a_newer_version_s_file_is_ignored_and_not_destroyed() {
    let server = server();
    let (install, token) = kept(&server);
    let beside = install.state_dir().join("tokens-7");
    fs::write(&beside, "of a version to come").unwrap();
    let mut newer = fs::read(file(&install)).unwrap();
    newer[8] = 2;
    fs::write(file(&install), &newer).unwrap();

    misses(&install, &server, &token, "it was written by a newer tokenbroker (format 2)");
    assert_eq!(fs::read(install.state_dir().join("tokens-2")).unwrap(), newer);
    assert_eq!(fs::read(&beside).unwrap(), b"of a version to come");
}

#[test]
fn s55_a_token_of_a_replaced_credential_is_not_served_after_a_restart() {
    let server = server();
    let install = install(&server);
    let daemon = install.start();
    set_secret(&install);
    get(&install, &server);
    wait_until(DEADLINE, || file(&install).is_file());
    server.stop();
    set_secret(&install);
    daemon.kill();

    let _daemon = install.start();
    no_token(&install);
    server.start_again();
    install.cli(["renew", "app"]).run().success();
    get(&install, &server);
}

#[test]
fn a_token_that_was_asked_for_otherwise_is_not_served_after_a_restart() {
    for added in ["scope = \"read\"\n", "audience = \"another\"\n", "params = { tenant = \"another\" }\n"] {
        let server = server();
        let (install, _) = kept(&server);
        server.stop();
        let config = configuration::issuer("test", &server)
            + &configuration::client("app", "test", "client_secret_basic")
            + added;
        install.config(&config);
        let _daemon = install.start();
        no_token(&install);
    }
}

#[test]
fn a_credential_that_is_removed_takes_the_file_and_its_key_with_it() {
    let server = server();
    let install = install(&server);
    let daemon = install.start();
    set_secret(&install);
    get(&install, &server);
    wait_until(DEADLINE, || file(&install).is_file());
    let copy = fs::read(file(&install)).unwrap();

    install.cli(["secret", "remove", "app"]).run().success();
    wait_until(DEADLINE, || !file(&install).exists());
    end(daemon);
    assert!(!file(&install).exists());

    // The same content in a file of the broker's own: the key it was encrypted with is gone.
    fs::write(file(&install), copy).unwrap();
    fs::set_permissions(file(&install), Permissions::from_mode(0o600)).unwrap();
    let daemon = install.start();
    logged(&daemon, &format!("{MISS}its key is not in the key store"));
}

#[test]
fn without_keep_tokens_there_is_no_file_and_one_from_before_goes() {
    let server = server();
    let (install, token) = kept(&server);
    let config =
        configuration::issuer("test", &server) + &configuration::client("app", "test", "client_secret_basic");
    let configure = |keep: bool| install.config(&format!("[daemon]\nkeep_tokens = {keep}\n{config}"));

    configure(false);
    let daemon = install.start();
    assert_ne!(get(&install, &server), token);
    wait_until(DEADLINE, || !file(&install).exists());
    end(daemon);
    assert!(!file(&install).exists());

    let daemon = install.start();
    let token = get(&install, &server);
    configure(true);
    daemon.reload();
    wait_until(DEADLINE, || file(&install).is_file());
    configure(false);
    daemon.reload();
    wait_until(DEADLINE, || !file(&install).exists());
    configure(true);
    daemon.reload();
    wait_until(DEADLINE, || file(&install).is_file());
    end(daemon);
    let _daemon = install.start();
    assert_eq!(self::token(&install), token);
}

#[test]
fn s57_no_token_is_readable_in_the_state_directory() {
    let server = server();
    let (install, token) = kept(&server);
    for name in names(&install.state_dir()) {
        let bytes = fs::read(install.state_dir().join(&name)).unwrap();
        assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()), "{name}");
        // base64url of random bytes: the bytes themselves would be as good.
        assert!(!bytes.windows(16).any(|window| token.as_bytes().starts_with(window)), "{name}");
        let mode = fs::metadata(install.state_dir().join(&name)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
}

#[test]
fn s62_a_file_that_can_not_be_written_costs_the_restart_and_nothing_else() {
    let server = server();
    let install = install(&server);
    // In the way of the temporary file, for root too.
    let obstacle = install.state_dir().join("tokens-1.tmp");
    fs::create_dir(&obstacle).unwrap();
    let daemon = install.start();
    set_secret(&install);
    let token = get(&install, &server);
    logged(&daemon, "will not survive a restart");
    assert_eq!(self::token(&install), token);
    assert!(!file(&install).exists());

    fs::remove_dir(&obstacle).unwrap();
    install.cli(["renew", "app"]).run().success();
    logged(&daemon, "tokens are kept in ");
    end(daemon);
    assert!(file(&install).is_file());
}

#[test]
fn s62_a_disk_that_is_full_costs_the_restart_and_nothing_else() {
    let server = server();
    server.set_fault(tokenbroker_testkit::Fault::Edited(|reply| {
        let long = format!("{}-{}", reply["access_token"].as_str().unwrap_or_default(), "x".repeat(20_000));
        reply.insert("access_token".into(), long.into());
    }));
    let install = install(&server);
    // No file gets longer than 8 KiB: more than everything but the tokens needs.
    let limited = r#"trap "" XFSZ; ulimit -f 16; exec "$@""#;
    let daemon = install.start_under(&["sh", "-c", limited, "sh"]);
    set_secret(&install);
    let token = self::token(&install);
    logged(&daemon, "will not survive a restart");
    assert_eq!(self::token(&install), token);
    end(daemon);
    assert!(!file(&install).exists() && !install.state_dir().join("tokens-1.tmp").exists());

    let _daemon = install.start();
    assert_ne!(self::token(&install), token);
}
