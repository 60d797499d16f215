//! The programs that tests with real peers need: installed where that is possible, otherwise named.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Result, process};

/// A program, and Debian's package of it.
struct Peer {
    program: &'static str,
    package: &'static str,
}

const PEERS: [Peer; 9] = [
    Peer { program: "gnome-keyring-daemon", package: "gnome-keyring" },
    Peer { program: "dbus-run-session", package: "dbus" },
    Peer { program: "dbus-send", package: "dbus-bin" },
    Peer { program: "secret-tool", package: "libsecret-tools" },
    Peer { program: "systemd-analyze", package: "systemd" },
    Peer { program: "curl", package: "curl" },
    Peer { program: "openssl", package: "openssl" },
    Peer { program: "node", package: "nodejs" },
    Peer { program: "npm", package: "npm" },
];

/// Installs what is missing on a Debian where we are root.
///
/// The suites themselves find out whether they can run, and say so; here, nothing fails.
pub(crate) fn provide() {
    if missing().is_empty() {
        return;
    }
    if Path::new("/etc/debian_version").exists()
        && rustix::process::geteuid().is_root()
        && let Err(error) = install(&packages(&missing()))
    {
        eprintln!("error: {error}");
    }
    let missing = missing();
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|peer| peer.program).collect();
        eprintln!("missing: {}", names.join(", "));
        eprintln!("hint: on Debian, `apt-get install {}` as root", packages(&missing).join(" "));
    }
}

fn missing() -> Vec<&'static Peer> {
    PEERS.iter().filter(|peer| !process::on_path(peer.program)).collect()
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
