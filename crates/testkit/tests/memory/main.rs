//! The daemon's memory: locked where it can be had, and what is said and done where it can't.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::Value;
use tokenbroker_testkit::{
    AuthServer, Client, Daemon, Fault, Install, Run, configuration, require_or_skip, root, wait_until,
};

const SECRET: &str = "memory-test-secret-8f3b1c";

/// Ample: other tests use the same processors.
const SOON: Duration = Duration::from_secs(30);

/// Somebody without an account, whose own broker is tried.
const UID: u32 = 54321;

/// The daemon follows as further arguments: it gets no privilege to lock more memory than it may, and may lock so many KiB.
fn limited(kib: u32) -> Vec<String> {
    let mut wrapper = Vec::new();
    if root().is_ok() {
        wrapper.extend(["setpriv".into(), "--bounding-set=-ipc_lock".into()]);
    }
    wrapper.extend(["sh".into(), "-c".into(), format!("ulimit -l {kib}; exec \"$@\""), "sh".into()]);
    wrapper
}

fn configured(memory: &str) -> (AuthServer, Install) {
    let server = AuthServer::start();
    server.register(Client::secret_basic("app", SECRET));
    let install = Install::new();
    let issuer = configuration::issuer("as", &server);
    let client = configuration::client("app", "as", "client_secret_basic");
    install.config(&format!("{issuer}{client}[daemon]\n{memory}"));
    (server, install)
}

fn start_limited(install: &Install, kib: u32) -> Daemon {
    let wrapper = limited(kib);
    install.start_under(&wrapper.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What `doctor` says of the memory: the verdict and the finding.
fn doctor(install: &Install) -> (String, String) {
    memory_of(install.cli(["doctor", "--json"]))
}

fn memory_of(doctor: Run) -> (String, String) {
    let output = doctor.run();
    let checks: Value = serde_json::from_str(&output.stdout).unwrap();
    let memory = checks.as_array().unwrap().iter().find(|check| check["subject"] == "memory").unwrap();
    let text = |member: &str| memory[member].as_str().unwrap_or_default().to_owned();
    (text("verdict"), format!("{}\n{}", text("finding"), text("remedy")))
}

fn get(install: &Install) -> String {
    install.cli(["secret", "set", "app"]).stdin(SECRET).run().success();
    install.cli(["get", "app"]).run().success()
}

#[test]
fn s59_what_is_required_and_can_not_be_had_is_a_refusal_with_what_to_do() {
    let (_server, install) = configured("memory = \"require\"\n");
    let wrapper = limited(0);
    let daemon = tokenbroker_testkit::binary("tokenbrokerd");
    let (program, arguments) = wrapper.split_first().unwrap();
    let run = install.program(program).args(arguments).args([daemon.as_os_str()]);
    run.args(["--config".as_ref(), install.config_file().as_os_str()]).run().refused(
        1,
        &[
            "error: secrets can't be kept in locked memory: not even 256 KiB of memory can be locked: ",
            "\nhint: ",
            "LimitMEMLOCK=",
            "memory = \"prefer\"",
        ],
    );
}

#[test]
fn s59_what_is_preferred_and_can_not_be_had_is_a_warning_with_what_to_do() {
    let (_server, install) = configured("");
    let daemon = start_limited(&install, 0);
    get(&install);
    let log = daemon.log();
    assert_eq!(log.matches("secrets are in memory that may be swapped").count(), 1, "{log}");
    assert!(log.contains("LimitMEMLOCK="), "{log}");
    let (verdict, words) = doctor(&install);
    assert_eq!(verdict, "warning", "{words}");
    assert!(words.contains("none can be locked") && words.contains("LimitMEMLOCK="), "{words}");
}

#[test]
fn s59_a_small_limit_gives_little_memory_and_no_failure() {
    for memory in ["memory = \"require\"\n", "memory = \"prefer\"\n"] {
        let (_server, install) = configured(memory);
        let daemon = start_limited(&install, 700);
        get(&install);
        let (verdict, words) = doctor(&install);
        assert_eq!(verdict, "good", "{words}");
        assert!(words.starts_with("512 KiB locked by "), "{words}");
        assert!(locked(&daemon) == 512, "{}", locked(&daemon));
        assert!(!daemon.log().contains("swapped"), "{}", daemon.log());
    }
}

/// Four runs, of which tokens get three; each of these is too long for less than one.
#[test]
fn s59_tokens_that_find_no_room_are_served_all_the_same_and_said_to_be_elsewhere() {
    let server = AuthServer::start();
    server.set_fault(Fault::Edited(|reply| {
        let token = reply.get("access_token").and_then(Value::as_str).map(|token| token.repeat(700));
        reply.insert("access_token".into(), token.unwrap_or_default().into());
    }));
    let install = Install::new();
    let names: Vec<String> = (0..8).map(|number| format!("c{number}")).collect();
    let mut text = configuration::issuer("as", &server);
    for name in &names {
        server.register(Client::secret_basic(name, SECRET));
        text += &configuration::client(name, "as", "client_secret_basic");
    }
    install.config(&format!("{text}[daemon]\n"));
    let _daemon = start_limited(&install, 300);
    for name in &names {
        install.cli(["secret", "set", name]).stdin(SECRET).run().success();
        assert!(install.cli(["get", name]).run().success().len() > 16 * 1024);
    }
    let (verdict, words) = doctor(&install);
    assert_eq!(verdict, "warning", "{words}");
    assert!(words.starts_with("256 KiB locked by ") && words.contains("found no room"), "{words}");
    assert!(words.contains("LimitMEMLOCK="), "{words}");

    for name in &names {
        install.cli(["secret", "remove", name]).run().success();
    }
    assert_eq!(doctor(&install).0, "good", "they are gone");
}

#[test]
fn memory_that_is_off_is_not_locked_and_not_complained_of() {
    let (_server, install) = configured("memory = \"off\"\n");
    let daemon = install.start();
    get(&install);
    assert_eq!(locked(&daemon), 0);
    assert!(!daemon.log().contains("swapped"), "{}", daemon.log());
    assert_eq!(doctor(&install).0, "good");
}

/// Memory that the kernel leaves out of its own map blocks hibernation: no user's broker does that unasked.
#[test]
fn a_users_own_broker_locks_its_memory_and_lets_the_host_hibernate() {
    if !require_or_skip("memory of a user's own broker", root()) {
        return;
    }
    for (memory, is_secret) in [("", false), ("memory = \"require\"\n", true)] {
        let (_server, install) = configured(memory);
        for part in [".", "home", "run", "state", "config.toml"] {
            std::os::unix::fs::chown(install.path().join(part), Some(UID), Some(UID)).unwrap();
        }
        let id = UID.to_string();
        let daemon = install.start_under(&["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"]);
        let maps = fs::read_to_string(format!("/proc/{}/maps", daemon.pid())).unwrap();
        assert!(locked(&daemon) >= 256);
        // A kernel without it falls back, which `doctor` says.
        let said = memory_of(install.cli(["doctor", "--json"]).as_user(UID, UID)).1.contains("memfd_secret");
        assert_eq!(maps.contains("secretmem"), said);
        assert!(is_secret || !said);
        // What the kernel lets nobody trace or dump is root's there (proc(5)).
        let owner = fs::metadata(format!("/proc/{}/environ", daemon.pid())).unwrap().uid();
        assert_eq!(owner, 0, "its own user can look into its memory");
    }
}

/// How much it has locked, in KiB.
fn locked(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The limit is one guard, and root can raise it from outside; that the process can't be dumped at all is the other.
#[test]
fn s57_a_crash_leaves_no_core_file_even_if_the_limit_is_raised() {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let here = match pattern.starts_with(['/', '|']) {
        true => Err(format!("core files go elsewhere on this host: {}", pattern.trim())),
        false => root(),
    };
    if !require_or_skip("core files", here) {
        return;
    }
    let unlimited = Rlimit { current: None, maximum: None };
    for signal in [Signal::SEGV, Signal::ABORT] {
        let (_server, install) = configured("");
        let mut daemon = install.start();
        get(&install);
        let pid = Pid::from_raw(i32::try_from(daemon.pid()).unwrap());
        // Where root lacks the capability the limit alone is shown.
        match prlimit(pid, Resource::Core, unlimited) {
            Ok(before) => assert_eq!(before, Rlimit { current: Some(0), maximum: Some(0) }),
            Err(error) => assert_eq!(error, Errno::PERM),
        }
        // The first SIGSEGV only ends what the standard library does about stack overflows.
        wait_until(SOON, || {
            daemon.signal(signal);
            !daemon.is_running()
        });
        assert_eq!(cores(&install), [""; 0]);
    }

    // The same with a process that can be dumped: the test would notice.
    let install = Install::new();
    let dumped = install.program("sh").args(["-c", "ulimit -c unlimited; kill -SEGV $$"]).run();
    assert_eq!(dumped.code, 139);
    wait_until(SOON, || !cores(&install).is_empty());
}

fn cores(install: &Install) -> Vec<String> {
    let entries = fs::read_dir(install.path()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("core")).collect()
}
