//! The units under a real systemd: PID 1 of namespaces of its own, on a file system that is laid over the host's.
//!
//! `boot.sh` says how it is started, `check.sh` what is done there.

#![expect(clippy::unwrap_used, reason = "what a test can't do without fails it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokenbroker_testkit::{binary, programs, require_or_skip, root, wait_until};

/// Ample: other tests use the same processors.
const DEADLINE: Duration = Duration::from_secs(120);

/// All but users: the users of the host are the ones that callers are.
const NAMESPACES: [&str; 9] =
    ["--mount", "--pid", "--fork", "--net", "--uts", "--ipc", "--cgroup", "--kill-child", "--"];

#[test]
fn enabling_its_socket_is_all_that_http_takes() {
    if !require_or_skip("units under a real systemd", available()) {
        return;
    }
    let place = TempDir::new().unwrap();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systemd_at_work");
    fs::create_dir(place.path().join("over")).unwrap();
    fs::copy(tests.join("check.sh"), place.path().join("check.sh")).unwrap();

    let mut unshare = Command::new("unshare");
    unshare.args(NAMESPACES).arg("bash").arg(tests.join("boot.sh")).arg(place.path());
    unshare.args([
        binary("tokenbrokerd"),
        binary("tokenbroker"),
        workspace("systemd"),
        workspace("packaging"),
    ]);
    let boot = fs::File::create(place.path().join("boot.log")).unwrap();
    unshare.stdin(Stdio::null()).stdout(boot.try_clone().unwrap()).stderr(boot);
    let mut systemd = Systemd(unshare.spawn().unwrap());
    let ended = || place.path().join("ended").exists();
    wait_until(DEADLINE, || ended() || systemd.0.try_wait().unwrap().is_some());

    let read = |log| fs::read_to_string(place.path().join(log)).unwrap_or_default();
    assert_eq!(read("ended"), "0\n", "{}\n{}", read("boot.log"), read("log"));
}

/// Everything in the namespaces ends with it.
struct Systemd(Child);

impl Drop for Systemd {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn available() -> Result<(), String> {
    root()?;
    programs(&[
        "unshare",
        "systemctl",
        "systemd-sysusers",
        "systemd-creds",
        "setpriv",
        "curl",
        "openssl",
        "bash",
    ])?;
    if !Path::new("/usr/lib/systemd/systemd").exists() {
        return Err("no systemd on this host".into());
    }
    // What a container may not do, and what the kernel may not have.
    let script = "set -e; cd \"$0\"; mount -t tmpfs tmpfs .; mkdir upper work root; \
                  mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root; \
                  mount -t proc proc root/proc; mount -t sysfs sysfs root/sys; \
                  mount -t cgroup2 cgroup2 root/sys/fs/cgroup";
    let place = TempDir::new().unwrap();
    let probe =
        Command::new("unshare").args(NAMESPACES).args(["sh", "-c", script]).arg(place.path()).output();
    match probe {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            Err(format!("namespaces with file systems of their own can't be had: {}", why.trim()))
        }
        Err(error) => Err(format!("unshare can't be started: {error}")),
    }
}

fn workspace(directory: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join(directory)
}
