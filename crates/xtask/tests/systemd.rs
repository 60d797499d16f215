//! The unit files, as systemd itself sees them, in a root of their own with the programs installed.

#![expect(clippy::unwrap_used, reason = "what a test can't do without fails it")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use tokenbroker_testkit::{binary, require_or_skip};

const UNITS: [&str; 3] = ["tokenbrokerd.service", "tokenbrokerd.socket", "tokenbrokerd-http.socket"];

/// Where `systemd-analyze security` sees trouble, in tenths; what is left is mostly the network that a broker needs.
const EXPOSURE_LIMIT: &str = "12";

#[test]
fn systemd_has_nothing_to_say_about_the_units() {
    if !systemd_is_here("systemd-analyze") {
        return;
    }
    let root = InstalledRoot::new();
    let output = root.run("systemd-analyze", &["verify"], &UNITS);
    // An unknown key is a warning to systemd, and the exit status says nothing of it.
    let complaints = complaints(&output);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
}

/// The manager of a user takes no other root: these are seen with programs in place of ours.
#[test]
fn systemd_has_nothing_to_say_about_the_units_of_a_user() {
    if !systemd_is_here("systemd-analyze") {
        return;
    }
    let units = TempDir::new().unwrap();
    let verify = |change: fn(String) -> String| {
        for unit in ["tokenbrokerd.service", "tokenbrokerd.socket"] {
            let text = source(&format!("user/{unit}")).replace("/usr/bin/tokenbroker", "/bin/true #");
            fs::write(units.path().join(unit), change(text)).unwrap();
        }
        let mut command = Command::new("systemd-analyze");
        command.args(["--user", "verify", "tokenbrokerd.service"]).current_dir(units.path());
        complaints(&command.env("XDG_RUNTIME_DIR", units.path()).output().unwrap())
    };
    assert_eq!(verify(|text| text), "");
    assert!(verify(|text| text.replace("UMask=", "UMusk=")).contains("UMusk"));
}

#[test]
fn a_mistake_in_a_unit_would_be_noticed() {
    if !systemd_is_here("systemd-analyze") {
        return;
    }
    let root = InstalledRoot::new();
    let unit = root.units().join("tokenbrokerd.service");
    let text = fs::read_to_string(&unit).unwrap();
    fs::write(&unit, text.replace("NoNewPrivileges=", "NoNewPriviledges=")).unwrap();
    assert!(complaints(&root.run("systemd-analyze", &["verify"], &UNITS)).contains("NoNewPriviledges"));

    fs::write(&unit, text).unwrap();
    fs::remove_file(root.path().join("usr/bin/tokenbrokerd")).unwrap();
    assert!(!root.run("systemd-analyze", &["verify"], &UNITS).status.success());
}

#[test]
fn the_service_is_shut_in() {
    if !systemd_is_here("systemd-analyze") {
        return;
    }
    let root = InstalledRoot::new();
    let options = ["security", "--offline=true", "--threshold", EXPOSURE_LIMIT];
    let output = root.run("systemd-analyze", &options, &["tokenbrokerd.service"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_user_of_the_service_is_made() {
    if !systemd_is_here("systemd-sysusers") {
        return;
    }
    let root = InstalledRoot::new();
    let output = root.run("systemd-sysusers", &[], &[]);
    assert!(output.status.success(), "{}", complaints(&output));
    let users = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    let user = users.lines().find(|line| line.starts_with("tokenbroker:")).unwrap();
    assert!(user.contains(":/var/lib/tokenbroker:") && user.ends_with("/nologin"), "{user}");
    assert!(source("tokenbrokerd.service").contains("\nUser=tokenbroker\n"));
}

/// What was tried with systemd and found to break: each of these lines looks like an improvement.
#[test]
fn the_units_leave_out_what_breaks_callers() {
    let service = source("tokenbrokerd.service");
    let settings: Vec<_> = service.lines().filter(|line| !line.starts_with('#')).collect();
    for broken in ["RuntimeDirectory=", "DynamicUser=", "PrivateUsers="] {
        assert!(!settings.iter().any(|line| line.starts_with(broken)), "{broken}");
    }
    // A user's manager has file systems of a service's own in a user namespace alone.
    let of_user = source("user/tokenbrokerd.service");
    for broken in ["Private", "Protect", "NoExecPaths=", "BindReadOnlyPaths=", "StateDirectory="] {
        assert!(!of_user.lines().any(|line| line.starts_with(broken)), "{broken} of a user's service");
    }
    for (unit, path, name) in
        [("tokenbrokerd.socket", "broker.sock", "broker"), ("tokenbrokerd-http.socket", "http.sock", "http")]
    {
        let socket = source(unit);
        for setting in [
            &format!("ListenStream=/run/tokenbroker/{path}"),
            &format!("FileDescriptorName={name}"),
            "SocketMode=0666",
            "DirectoryMode=0755",
        ] {
            assert!(socket.lines().any(|line| line == setting), "{setting} of {unit}");
        }
    }
    // `Sockets=` would have the service start a socket that nobody has enabled.
    assert!(source("tokenbrokerd-http.socket").contains("\nService=tokenbrokerd.service\n"));
    assert!(!settings.iter().any(|line| line.starts_with("Sockets=")));
}

#[test]
fn the_socket_for_http_is_off_until_it_is_enabled_and_then_comes_with_the_service() {
    if !systemd_is_here("systemctl") {
        return;
    }
    let root = InstalledRoot::new();
    let enabled = |unit: &str| {
        let output = root.run("systemctl", &["enable"], &[unit]);
        assert!(output.status.success(), "{}", complaints(&output));
        let wanted = ["sockets.target.wants", "tokenbrokerd.service.wants"];
        wanted.map(|by| {
            root.path().join("etc/systemd/system").join(by).join("tokenbrokerd-http.socket").is_symlink()
        })
    };
    assert_eq!(enabled("tokenbrokerd.service"), [false, false]);
    assert_eq!(enabled("tokenbrokerd-http.socket"), [true, true]);
}

/// A file system root with systemd's own units, ours, and the programs.
struct InstalledRoot(TempDir);

impl InstalledRoot {
    fn new() -> Self {
        let root = Self(TempDir::new().unwrap());
        for directory in ["etc", "usr/bin", "usr/lib/sysusers.d"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        copy_directory(Path::new("/usr/lib/systemd/system"), &root.units());
        for unit in UNITS {
            fs::write(root.units().join(unit), source(unit)).unwrap();
        }
        let sysusers = root.path().join("usr/lib/sysusers.d/tokenbroker.conf");
        fs::write(sysusers, source("tokenbroker.sysusers")).unwrap();
        for program in ["tokenbrokerd", "tokenbroker"] {
            fs::copy(binary(program), root.path().join("usr/bin").join(program)).unwrap();
        }
        root
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn units(&self) -> PathBuf {
        self.path().join("usr/lib/systemd/system")
    }

    fn run(&self, program: &str, options: &[&str], units: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(options).arg(format!("--root={}", self.path().display())).args(units);
        command.output().unwrap()
    }
}

/// What systemd says of our units; its own may have troubles of theirs.
fn complaints(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    stderr.lines().filter(|line| line.contains("tokenbroker")).collect::<Vec<_>>().join("\n")
}

fn systemd_is_here(program: &str) -> bool {
    let answer = Command::new(program).arg("--version").output();
    let available = answer.map(|_| ()).map_err(|error| format!("{program} can't be started: {error}"));
    require_or_skip("systemd units", available)
}

fn source(name: &str) -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("systemd");
    fs::read_to_string(directory.join(name)).unwrap()
}

/// Units are files, links, and directories of both.
fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy_directory(&from, &to);
        } else if kind.is_symlink() {
            symlink(fs::read_link(&from).unwrap(), to).unwrap();
        } else {
            fs::copy(&from, to).unwrap();
        }
    }
}
