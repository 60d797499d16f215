//! A daemon to test against: a directory of its own with a configuration, the daemon, and the command line.
//!
//! Nothing of the host's configuration, key stores or environment reaches the programs, and they write nowhere else.

mod daemon;
mod run;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tempfile::TempDir;

pub use self::daemon::Daemon;
pub use self::run::{Output, Run};
use crate::binary;

/// A directory in which daemons run, one at a time or one after the other; removed when dropped.
pub struct Install {
    directory: TempDir,
    environment: Vec<(OsString, OsString)>,
    daemons: AtomicU32,
}

impl Default for Install {
    fn default() -> Self {
        Self::new()
    }
}

impl Install {
    /// An empty one, for the current user only, in the system's directory for temporary files.
    ///
    /// # Panics
    ///
    /// If it can't be made.
    pub fn new() -> Self {
        // Short: a socket's path has 107 bytes at most.
        let directory = tempfile::Builder::new().prefix("tkb-").tempdir().expect("a temporary directory");
        let install = Self { directory, environment: Vec::new(), daemons: AtomicU32::new(0) };
        for part in ["home", "run", "state"] {
            let part = install.path().join(part);
            fs::create_dir(&part).expect("a directory can be made in a new one");
            fs::set_permissions(&part, Permissions::from_mode(0o700)).expect("it is ours");
        }
        install
    }

    /// Where everything is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.path().join("run").join("broker.sock")
    }

    /// Where the daemon listens for HTTP, if the configuration says so: `http_socket` is the test's to set.
    pub fn http_socket(&self) -> PathBuf {
        self.path().join("run").join("http.sock")
    }

    /// The daemon's state directory.
    pub fn state_dir(&self) -> PathBuf {
        self.path().join("state")
    }

    /// Where the audit log is, unless the configuration says otherwise.
    pub fn audit_log(&self) -> PathBuf {
        self.path().join("run").join("audit.jsonl")
    }

    /// The configuration.
    pub fn config_file(&self) -> PathBuf {
        self.path().join("config.toml")
    }

    /// Writes the configuration, with the directory's socket, state directory and audit log added under `[daemon]`, and the
    /// encrypted file as the key store unless the text has a table `[keystore]`.
    ///
    /// What is added comes last, so that the lines of the text keep their numbers, except below a `[daemon]` of its own.
    pub fn config(&self, text: &str) {
        self.raw_config(&self.complete(text));
    }

    /// Writes exactly this configuration.
    ///
    /// # Panics
    ///
    /// If it can't be written.
    pub fn raw_config(&self, text: &str) {
        fs::write(self.config_file(), text).expect("the configuration can be written");
    }

    /// Adds a variable to the environment of all programs started from now on.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        self.environment.push((name.as_ref().into(), value.as_ref().into()));
    }

    /// Lets other users reach the socket's directory, for [`Run::as_user`]. The socket's own mode is the daemon's.
    ///
    /// # Panics
    ///
    /// If the directories are gone.
    pub fn open_to_other_users(&self) {
        for directory in [self.path(), &self.path().join("run")] {
            fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("the directory is ours");
        }
    }

    /// Starts the daemon and waits until its socket answers.
    ///
    /// # Panics
    ///
    /// With the daemon's log, if it exits or does not answer in time.
    #[track_caller]
    pub fn start(&self) -> Daemon {
        let mut command = self.command("tokenbrokerd");
        command.arg("--config").arg(self.config_file());
        self.start_with(command)
    }

    /// Starts the daemon by a program that becomes it, such as a shell that sets limits first. The daemon and its arguments
    /// follow those given here.
    ///
    /// # Panics
    ///
    /// With the daemon's log, if it exits or does not answer in time.
    #[track_caller]
    pub fn start_under(&self, wrapper: &[&str]) -> Daemon {
        self.start_with(self.command_under(wrapper))
    }

    /// Starts the daemon on a socket that is open already, passed to it as systemd does. The listener stays the
    /// caller's: what connects while no daemon runs is answered by the next.
    ///
    /// # Panics
    ///
    /// With the daemon's log, if it exits or does not answer in time.
    #[track_caller]
    pub fn start_on(&self, listener: &UnixListener) -> Daemon {
        // Only the process itself knows in time what LISTEN_PID has to be.
        let script = r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@""#;
        let mut command = self.command_under(&["sh", "-c", script, "sh"]);
        let listener = listener.try_clone().expect("a descriptor can be duplicated");
        command.stdin(OwnedFd::from(listener));
        self.start_with(command)
    }

    /// Has `systemd-socket-activate` listen, which becomes the daemon when the first caller comes: the one that sees
    /// whether it answers.
    ///
    /// # Panics
    ///
    /// With the daemon's log, if it exits or does not answer in time.
    #[track_caller]
    pub fn start_by_socket_activation(&self) -> Daemon {
        let socket = self.socket();
        let socket = socket.to_str().expect("a temporary path is text");
        let wrapper = ["systemd-socket-activate", "--setenv=XDG_RUNTIME_DIR", "--listen", socket];
        self.start_with(self.command_under(&wrapper))
    }

    /// The same with the socket for HTTP besides; both are named, the native one first.
    ///
    /// # Panics
    ///
    /// With the daemon's log, if it exits or does not answer in time.
    #[track_caller]
    pub fn start_by_socket_activation_with_http(&self, names: [&str; 2]) -> Daemon {
        let sockets = [self.socket(), self.http_socket()];
        let [native, http] = sockets.each_ref().map(|path| path.to_str().expect("a temporary path is text"));
        let names = format!("--fdname={}", names.join(":"));
        let wrapper = [
            "systemd-socket-activate",
            "--setenv=XDG_RUNTIME_DIR",
            &names,
            "--listen",
            native,
            "--listen",
            http,
        ];
        self.start_with(self.command_under(&wrapper))
    }

    #[track_caller]
    fn start_with(&self, mut command: Command) -> Daemon {
        let number = self.daemons.fetch_add(1, Ordering::Relaxed);
        let log = self.path().join(format!("daemon-{number}.log"));
        command.stdout(Stdio::null()).stderr(File::create(&log).expect("the log can be made"));
        Daemon::start(command, self.socket(), log)
    }

    /// A run of the daemon that is expected to end by itself, as with a configuration it refuses.
    pub fn tokenbrokerd<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        let mut command = self.command("tokenbrokerd");
        command.arg("--config").arg(self.config_file()).args(arguments);
        Run::new(command)
    }

    /// A run of the daemon that looks for its configuration where the user who runs it has it, below `HOME`, `home` here.
    pub fn tokenbrokerd_of_user<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        let mut command = self.command("tokenbrokerd");
        command.args(arguments);
        Run::new(command)
    }

    /// A run of the command line, against this directory's socket.
    pub fn cli<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        let mut command = self.command("tokenbroker");
        command.args(arguments);
        Run::new(command)
    }

    /// A run of another program, in this directory and with its environment.
    pub fn program(&self, program: impl AsRef<OsStr>) -> Run {
        Run::new(self.prepared(Command::new(program)))
    }

    /// What `status --json` says of a client.
    ///
    /// # Panics
    ///
    /// If it does not say something of exactly this client.
    #[track_caller]
    pub fn status(&self, client: &str) -> Value {
        let stdout = self.cli(["status", client, "--json"]).run().success();
        let mut clients: Vec<Value> = serde_json::from_str(&stdout).expect("status --json is an array");
        match clients.pop() {
            Some(status) if clients.is_empty() && status["client"] == client => status,
            _ => panic!("{stdout} is not the status of {client}"),
        }
    }

    fn command(&self, program: &str) -> Command {
        self.prepared(Command::new(binary(program)))
    }

    /// The daemon as the last arguments of something that becomes it.
    fn command_under(&self, wrapper: &[&str]) -> Command {
        let mut command = self.prepared(Command::new(wrapper[0]));
        command.args(&wrapper[1..]).arg(binary("tokenbrokerd")).arg("--config").arg(self.config_file());
        command
    }

    fn prepared(&self, mut command: Command) -> Command {
        command
            .stdin(Stdio::null())
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path().join("home"))
            .env("XDG_RUNTIME_DIR", self.path().join("run"))
            .env("TOKENBROKER_SOCKET", self.socket())
            .env("RUST_BACKTRACE", "1");
        for inherited in ["PATH", "TMPDIR", "TOKENBROKER_LOG"] {
            if let Some(value) = std::env::var_os(inherited) {
                command.env(inherited, value);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn complete(&self, text: &str) -> String {
        let mut keys = format!("socket = {:?}\nstate_dir = {:?}\n", self.socket(), self.state_dir());
        // Or it would go to the host's journal.
        if !text.lines().any(|line| line.trim_start().starts_with("audit =")) {
            keys.push_str(&format!("audit = {:?}\n", self.audit_log()));
        }
        let has = |header: &str| text.lines().any(|line| line.trim() == header);
        let mut complete = if has("[daemon]") {
            text.replacen("[daemon]", &format!("[daemon]\n{keys}"), 1)
        } else {
            format!("{text}\n[daemon]\n{keys}")
        };
        if !has("[keystore]") {
            complete.push_str("\n[keystore]\nstore = \"encrypted-file\"\n");
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_leave_the_numbers_of_the_lines_alone() {
        let install = Install::new();
        let text = "[issuers.one]\nissuer = \"https://issuer.example\"";
        let complete = install.complete(text);
        assert!(complete.starts_with(text));
        assert_eq!(complete.matches("[daemon]").count(), 1);
        assert!(complete.contains(&format!("socket = {:?}", install.socket())));
        assert!(complete.contains("encrypted-file"));
    }

    #[test]
    fn tables_of_the_text_are_kept() {
        let install = Install::new();
        let complete = install.complete("[daemon]\nadmin = []\n[keystore]\nstore = \"auto\"\n");
        assert_eq!(complete.matches("[daemon]").count(), 1);
        assert!(complete.contains(&format!("state_dir = {:?}\n", install.state_dir())));
        assert!(!complete.contains("encrypted-file"));
    }
}
