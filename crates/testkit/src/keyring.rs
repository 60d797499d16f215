//! A real gnome-keyring on a session bus of its own. The keyring of whoever runs the tests is never touched.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::suites::programs;

const PASSWORD: &[u8] = b"of the test keyring";

/// A session bus with an unlocked, empty keyring; dropping it ends both.
pub struct Keyring {
    session: Child,
    /// Closing it is what ends the session; `None` only while that happens.
    session_end: Option<ChildStdin>,
    bus_address: String,
    directory: TempDir,
}

impl Keyring {
    /// What is missing on this host to run it, if something is.
    ///
    /// # Errors
    ///
    /// Words for the one who can install it.
    pub fn available() -> Result<(), String> {
        programs(&["dbus-run-session", "dbus-send", "gnome-keyring-daemon", "secret-tool"])
    }

    /// Starts a session, and makes a keyring in it.
    ///
    /// # Panics
    ///
    /// If the host does not let it.
    pub fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("tkb-").tempdir().expect("a temporary directory");
        make_private(&directory.path().join("run"));
        write_prompter(directory.path());
        let mut session = in_directory(Command::new("dbus-run-session"), directory.path())
            .arg("--config-file")
            .arg(write_bus_configuration(directory.path()))
            .args(["--", "sh", "-c", "echo \"$DBUS_SESSION_BUS_ADDRESS\"; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("dbus-run-session can be started");
        let session_end = session.stdin.take();
        let mut bus_address = String::new();
        let mut stdout = BufReader::new(session.stdout.take().expect("stdout is a pipe"));
        stdout.read_line(&mut bus_address).expect("a pipe can be read");
        let bus_address = bus_address.trim_end().into();
        let keyring = Self { session, session_end, bus_address, directory };
        keyring.run_daemon(&["--unlock"]);
        keyring
    }

    /// The session bus, as `DBUS_SESSION_BUS_ADDRESS` has it.
    pub fn bus_address(&self) -> &str {
        &self.bus_address
    }

    /// Locks it, as a screen saver may.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub fn lock(&self) {
        let locked = self
            .command("dbus-send")
            .args([
                "--session",
                "--print-reply",
                "--dest=org.freedesktop.secrets",
                "/org/freedesktop/secrets",
            ])
            .arg("org.freedesktop.Secret.Service.Lock")
            .arg("array:objpath:/org/freedesktop/secrets/aliases/default")
            .output()
            .expect("dbus-send can be started");
        assert!(locked.status.success(), "{locked:?}");
    }

    /// Unlocks it, as somebody does who has no display: another gnome-keyring takes over, with the password.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub fn unlock(&self) {
        self.run_daemon(&["--replace", "--unlock"]);
    }

    /// The attributes of the broker's items, as any program of the user finds them.
    ///
    /// # Panics
    ///
    /// If they can't be looked for.
    pub fn items(&self) -> String {
        let found = self
            .command("secret-tool")
            .args(["search", "--all", "service", "tokenbroker"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .expect("secret-tool can be started");
        String::from_utf8_lossy(&[found.stdout, found.stderr].concat()).into_owned()
    }

    /// Removes the broker's items behind its back.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub fn clear(&self) {
        let mut clear = self.command("secret-tool");
        let status = clear.args(["clear", "service", "tokenbroker"]).status();
        assert!(status.expect("secret-tool can be started").success());
    }

    /// Whether a dialog was asked for since the start. Nobody ever answers it.
    pub fn has_prompted(&self) -> bool {
        prompted(self.directory.path()).exists()
    }

    /// Has another program look at locked items, which takes a dialog.
    ///
    /// # Panics
    ///
    /// If it can't be started.
    pub fn provoke_prompt(&self) {
        let arguments = ["search", "--unlock", "service", "tokenbroker"];
        let mut search =
            self.command("secret-tool").args(arguments).spawn().expect("secret-tool can be started");
        let shown = crate::wait_for(Duration::from_secs(30), || self.has_prompted().then_some(()));
        let _ = search.kill();
        let _ = search.wait();
        assert!(shown.is_some(), "no dialog is asked for though it takes one");
    }

    fn run_daemon(&self, arguments: &[&str]) {
        let mut daemon = self
            .command("gnome-keyring-daemon")
            .args(arguments)
            .arg("--components=secrets")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("gnome-keyring-daemon can be started");
        let mut stdin = daemon.stdin.take().expect("stdin is a pipe");
        stdin.write_all(PASSWORD).expect("it reads the password");
        drop(stdin);
        // It goes on in the background, and is on the bus a little later.
        assert!(daemon.wait().expect("a child can be waited for").success());
        crate::wait_until(Duration::from_secs(30), || self.is_unlocked());
    }

    fn is_unlocked(&self) -> bool {
        let asked = self
            .command("dbus-send")
            .args(["--session", "--print-reply", "--dest=org.freedesktop.secrets"])
            .args(["/org/freedesktop/secrets/aliases/default", "org.freedesktop.DBus.Properties.Get"])
            .args(["string:org.freedesktop.Secret.Collection", "string:Locked"])
            .stdout(Stdio::piped())
            .output()
            .expect("dbus-send can be started");
        String::from_utf8_lossy(&asked.stdout).contains("boolean false")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = in_directory(Command::new(program), self.directory.path());
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.bus_address);
        command
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        drop(self.session_end.take());
        // With the bus ends whoever needs it to live.
        let _ = self.session.wait();
    }
}

/// Nothing of the host's sessions.
fn in_directory(mut command: Command, directory: &Path) -> Command {
    command
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory)
        .env("XDG_DATA_HOME", directory.join("share"))
        .env("XDG_RUNTIME_DIR", directory.join("run"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// In the place of the program that shows gnome-keyring's dialogs: one that leaves a file behind.
fn write_prompter(directory: &Path) {
    const NAME: &str = "org.gnome.keyring.SystemPrompter";
    let services = services(directory);
    fs::create_dir_all(&services).expect("a directory can be made in a new one");
    let service =
        format!("[D-BUS Service]\nName={NAME}\nExec=/usr/bin/touch {}\n", prompted(directory).display());
    fs::write(services.join(format!("{NAME}.service")), service)
        .expect("a file can be written in a new directory");
}

/// A bus that starts nothing by itself but the prompter. The host's own would start another gnome-keyring, a locked one,
/// for whoever asks in the moment in which one takes over from the other.
fn write_bus_configuration(directory: &Path) -> PathBuf {
    let (listen, services) = (directory.join("run"), services(directory));
    let configuration = format!(
        "<busconfig>\n<type>session</type>\n<listen>unix:dir={}</listen>\n<servicedir>{}</servicedir>\n\
         <policy context=\"default\">\n<allow send_destination=\"*\" eavesdrop=\"true\"/>\n\
         <allow eavesdrop=\"true\"/>\n<allow own=\"*\"/>\n</policy>\n</busconfig>\n",
        listen.display(),
        services.display()
    );
    let file = directory.join("bus.conf");
    fs::write(&file, configuration).expect("a file can be written in a new directory");
    file
}

fn services(directory: &Path) -> PathBuf {
    directory.join("share/dbus-1/services")
}

fn prompted(directory: &Path) -> PathBuf {
    directory.join("prompted")
}

fn make_private(directory: &Path) {
    fs::create_dir(directory).expect("a directory can be made in a new one");
    fs::set_permissions(directory, Permissions::from_mode(0o700)).expect("it is ours");
}
