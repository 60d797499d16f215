//! Boots a systemd, has it run one script, and ends it.

#![expect(clippy::unwrap_used, reason = "what a test can't do without fails it")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;
use tokenbroker_testkit::{binary, programs, require_or_skip, root, wait_until};

/// Ample: other tests use the same processors.
const DEADLINE: Duration = Duration::from_secs(120);

/// What `cage.sh`, `boot.sh` and the scripts call.
const PROGRAMS: [&str; 11] = [
    "bash",
    "cc",
    "curl",
    "ip",
    "openssl",
    "python3",
    "setpriv",
    "systemctl",
    "systemd-creds",
    "systemd-sysusers",
    "unshare",
];

/// What a container may not do, and what the kernel may not have.
const POSSIBLE: &str = "set -e; cd \"$0\"; mount -t tmpfs tmpfs .; mkdir upper work root; \
                        mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root; \
                        mount -t proc proc root/proc; mount -t sysfs sysfs root/sys; \
                        mount -t cgroup2 cgroup2 root/sys/fs/cgroup";

/// Runs a script of this directory under a systemd of its own. Everything that it starts or writes ends with it.
///
/// # Panics
///
/// If one of its commands fails: with its log, of which that command is the last.
pub(crate) fn passes(script: &str) {
    static AVAILABLE: OnceLock<Result<(), String>> = OnceLock::new();
    if !require_or_skip("units under a real systemd", AVAILABLE.get_or_init(available).clone()) {
        return;
    }
    let place = TempDir::new().unwrap();
    let log = File::create(place.path().join("boot.log")).unwrap();
    let programs = [binary("tokenbrokerd"), binary("tokenbroker")];
    let mut command = cage(place.path(), "bash");
    command.arg(tests().join("boot.sh")).arg(place.path()).arg(script).args(programs).arg(workspace());
    command.stdout(log.try_clone().unwrap()).stderr(log);

    let mut systemd = Systemd(command.spawn().unwrap());
    let ended = || place.path().join("ended").exists();
    wait_until(DEADLINE, || ended() || systemd.0.try_wait().unwrap().is_some());

    let read = |log| fs::read_to_string(place.path().join(log)).unwrap_or_default();
    assert_eq!(
        read("ended"),
        "0\n",
        "{script}:\n{}\n{}\n{}",
        read("boot.log"),
        read("daemon.log"),
        read("log")
    );
}

/// Ends everything in the namespaces, and waits until nothing of it is left.
struct Systemd(Child);

impl Drop for Systemd {
    fn drop(&mut self) {
        // Waiting closes standard input, which is what ends it; it may have ended by itself.
        let _ = self.0.wait();
    }
}

/// A program in namespaces and a control group of its own, as long as somebody holds its standard input.
fn cage(place: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--", "bash"]).arg(tests().join("cage.sh")).arg(place).arg(program);
    command.stdin(Stdio::piped());
    command
}

fn available() -> Result<(), String> {
    root()?;
    programs(&PROGRAMS)?;
    if !Path::new("/usr/lib/systemd/systemd").exists() {
        return Err("no systemd on this host".into());
    }
    let place = TempDir::new().unwrap();
    fs::create_dir(place.path().join("file systems")).unwrap();
    let mut command = cage(place.path(), "sh");
    command.args(["-c", POSSIBLE]).arg(place.path().join("file systems"));
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("unshare can't be started: {error}"))?;
    let held = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(held);
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(format!("namespaces with file systems of their own can't be had: {}", why.trim()))
}

fn tests() -> PathBuf {
    workspace().join("crates/xtask/tests/systemd_at_work")
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}
