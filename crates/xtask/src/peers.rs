//! The programs that tests and benchmarks with real peers need: installed where that is possible, otherwise named.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Result, process};

/// A program, and Debian's package of it.
pub(crate) struct Peer {
    program: &'static str,
    package: &'static str,
    /// Arguments with which it succeeds if all that is needed of it is there; none if it is enough that it is.
    probe: &'static [&'static str],
}

/// Those of `test`.
pub(crate) const OF_TESTS: [Peer; 12] = [
    Peer { program: "gnome-keyring-daemon", package: "gnome-keyring", probe: &[] },
    Peer { program: "dbus-run-session", package: "dbus", probe: &[] },
    Peer { program: "dbus-send", package: "dbus-bin", probe: &[] },
    Peer { program: "secret-tool", package: "libsecret-tools", probe: &[] },
    Peer { program: "systemd-analyze", package: "systemd", probe: &[] },
    Peer { program: "curl", package: "curl", probe: &[] },
    Peer { program: "ip", package: "iproute2", probe: &[] },
    Peer { program: "openssl", package: "openssl", probe: &[] },
    Peer { program: "gdb", package: "gdb", probe: &[] },
    Peer { program: "node", package: "nodejs", probe: &[] },
    Peer { program: "npm", package: "npm", probe: &[] },
    // Debian has the modules in a package of their own.
    Peer { program: "python3", package: "python3-venv", probe: &["-c", "import venv, ensurepip"] },
];

/// Those of `bench`.
pub(crate) const OF_BENCH: [Peer; 3] = [
    Peer { program: "nginx", package: "nginx", probe: &[] },
    Peer { program: "ssh-agent", package: "openssh-client", probe: &[] },
    Peer { program: "strace", package: "strace", probe: &[] },
];

/// Installs what is missing on a Debian where we are root.
///
/// Who needs them finds out whether they are there, and says so; here, nothing fails.
pub(crate) fn provide(peers: &[Peer]) {
    if missing(peers).is_empty() {
        return;
    }
    if Path::new("/etc/debian_version").exists()
        && rustix::process::geteuid().is_root()
        && let Err(error) = install(&packages(&missing(peers)))
    {
        eprintln!("error: {error}");
    }
    let missing = missing(peers);
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|peer| peer.program).collect();
        eprintln!("missing: {}", names.join(", "));
        eprintln!("hint: on Debian, `apt-get install {}` as root", packages(&missing).join(" "));
    }
}

/// Where a program is, or an error that names it.
pub(crate) fn require(program: &str) -> Result<PathBuf> {
    Ok(process::find(program).ok_or_else(|| format!("{program} is not installed"))?)
}

impl Peer {
    fn is_here(&self) -> bool {
        process::find(self.program).is_some() && (self.probe.is_empty() || self.succeeds())
    }

    fn succeeds(&self) -> bool {
        let mut probe = Command::new(self.program);
        probe.args(self.probe).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    }
}

fn missing(peers: &[Peer]) -> Vec<&Peer> {
    peers.iter().filter(|peer| !peer.is_here()).collect()
}

fn packages(peers: &[&Peer]) -> Vec<&'static str> {
    peers.iter().map(|peer| peer.package).collect()
}

/// With the package lists of the host if these will do, otherwise with new ones.
pub(crate) fn install(packages: &[&str]) -> Result {
    let install = || process::run(apt_get(&["install", "--yes", "--no-install-recommends"]).args(packages));
    install().or_else(|_| process::run(&mut apt_get(&["update"])).and_then(|()| install()))
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).arg("--quiet").args(arguments);
    command
}
