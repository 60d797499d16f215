//! A session bus of its own for each test, with or without a gnome-keyring on it.
//!
//! A test runs itself again below `dbus-run-session`, with its own home and runtime directory, so that no
//! keyring of whoever runs the tests is ever touched.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use zbus::blocking::{Connection, MessageIterator};
use zbus::zvariant::OwnedObjectPath;

/// Set in the inner run, to the directory that outlives it.
const INNER: &str = "TOKENBROKER_TEST_SESSION";

const PASSWORD: &[u8] = b"of the test keyring";

/// What the inner run finds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bus {
    /// A session bus that starts gnome-keyring when it is asked for, without a keyring in it.
    Fresh,
    /// A session bus that can start nothing.
    Bare,
    /// No session bus.
    None,
}

/// Runs `test` in a session. `name` is the test function's.
pub(crate) fn in_session(name: &str, bus: Bus, test: impl FnOnce(&Path)) {
    if let Some(directory) = std::env::var_os(INNER) {
        return test(Path::new(&directory));
    }
    if let Some(missing) = missing_program() {
        assert!(std::env::var_os("CI").is_none(), "{missing} is not installed, and CI must run this test");
        // Past the harness, which swallows what a test that passes prints.
        let loud =
            format!("\nNOT RUN: {name}: {missing} is not installed (apt-get install gnome-keyring dbus)\n\n");
        std::io::stderr().write_all(loud.as_bytes()).unwrap();
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let output = run(&mut inner_command(name, bus, directory.path()));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "inner run of {name}: {}\n{stdout}\n{stderr}", output.status);
    assert!(stdout.contains("1 passed"), "inner run of {name} ran nothing:\n{stdout}\n{stderr}");
}

fn missing_program() -> Option<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed =
        |program: &str| std::env::split_paths(&path).any(|directory| directory.join(program).is_file());
    ["dbus-run-session", "gnome-keyring-daemon"].into_iter().find(|program| !installed(program))
}

fn inner_command(name: &str, bus: Bus, directory: &Path) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match bus {
        Bus::None => Command::new(&program),
        Bus::Fresh | Bus::Bare => {
            let mut command = Command::new("dbus-run-session");
            if let Bus::Bare = bus {
                let configuration = directory.join("bus.conf");
                std::fs::write(&configuration, BARE_BUS).unwrap();
                command.arg("--config-file").arg(configuration);
            }
            command.arg("--").arg(&program);
            command
        }
    };
    let runtime = directory.join("run");
    std::fs::create_dir(&runtime).unwrap();
    std::fs::set_permissions(&runtime, std::fs::Permissions::from_mode(0o700)).unwrap();
    command
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory)
        .env("XDG_RUNTIME_DIR", runtime)
        .env(INNER, directory)
        .stdin(Stdio::null());
    command
}

const BARE_BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// With a deadline: a prompt that nobody answers would keep it for ever.
fn run(command: &mut Command) -> Output {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.process_group(0).spawn().unwrap();
    let (stdout, stderr) = (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
    let ended = within(Duration::from_secs(60), || child.try_wait().unwrap());
    let status = ended.unwrap_or_else(|| kill(&mut child));
    Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

/// The bus and the inner run with it, which hold the other ends of the pipes.
fn kill(child: &mut Child) -> std::process::ExitStatus {
    kill_process_group(Pid::from_child(child), Signal::KILL).unwrap();
    child.wait().unwrap()
}

fn collect(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Asks again and again until there is an answer or the time is over.
pub(crate) fn within<T>(time: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let pause = Duration::from_millis(20);
    let mut left = time;
    loop {
        match ask() {
            None if left.is_zero() => return None,
            None => {
                std::thread::sleep(pause);
                left = left.saturating_sub(pause);
            }
            answer => return answer,
        }
    }
}

/// Starts gnome-keyring and unlocks its keyring. One is made if there is none.
pub(crate) fn unlock_keyring() {
    keyring_daemon(&["--unlock"]);
}

/// Ends the gnome-keyring that runs, and starts another that is unlocked, on the same keyring. (One that runs
/// does not unlock a keyring that was locked, whatever it is told.)
pub(crate) fn restart_keyring() {
    keyring_daemon(&["--replace", "--unlock"]);
}

fn keyring_daemon(arguments: &[&str]) {
    let mut daemon = Command::new("gnome-keyring-daemon")
        .args(arguments)
        .arg("--components=secrets")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    daemon.stdin.take().unwrap().write_all(PASSWORD).unwrap();
    assert!(daemon.wait().unwrap().success());
}

/// The D-Bus side of the test: what a desktop would do.
pub(crate) struct Desktop {
    bus: Connection,
    prompts: Arc<AtomicUsize>,
}

impl Desktop {
    /// Takes the place of the program that shows gnome-keyring's dialogs, and counts them instead.
    pub(crate) fn new() -> Self {
        let prompts = Arc::new(AtomicUsize::new(0));
        let bus = Connection::session().unwrap();
        let prompter = Connection::session().unwrap();
        prompter.request_name("org.gnome.keyring.SystemPrompter").unwrap();
        let counted = Arc::clone(&prompts);
        std::thread::spawn(move || {
            for message in MessageIterator::from(prompter).flatten() {
                if message.header().member().is_some_and(|member| member.as_str() == "BeginPrompting") {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { bus, prompts }
    }

    /// Dialogs so far.
    pub(crate) fn prompts(&self) -> usize {
        // What gnome-keyring sent before it answers this has been delivered by the bus.
        self.search();
        self.prompts.load(Ordering::SeqCst)
    }

    /// Does what a dialog needs, to see that it would have been counted.
    pub(crate) fn ask_for_a_prompt(&self) {
        let collections = vec![self.default_collection()];
        let (_, prompt): (Vec<OwnedObjectPath>, OwnedObjectPath) =
            self.call("/org/freedesktop/secrets", "Service", "Unlock", &(collections,));
        self.call::<()>(prompt.as_str(), "Prompt", "Prompt", &("",));
        let shown =
            within(Duration::from_secs(20), || (self.prompts.load(Ordering::SeqCst) > 0).then_some(()));
        assert!(shown.is_some(), "the stand-in for the prompter is never asked");
    }

    pub(crate) fn lock(&self) {
        let collections = vec![self.default_collection()];
        let _: (Vec<OwnedObjectPath>, OwnedObjectPath) =
            self.call("/org/freedesktop/secrets", "Service", "Lock", &(collections,));
    }

    /// Names of the broker's items, as any program finds them, and whether they are unlocked.
    pub(crate) fn search(&self) -> (usize, usize) {
        let (unlocked, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = self.call(
            "/org/freedesktop/secrets",
            "Service",
            "SearchItems",
            &(HashMap::from([("service", "tokenbroker")]),),
        );
        (unlocked.len(), locked.len())
    }

    fn default_collection(&self) -> OwnedObjectPath {
        self.call("/org/freedesktop/secrets", "Service", "ReadAlias", &("default",))
    }

    fn call<T>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        arguments: &(impl serde::Serialize + zbus::zvariant::DynamicType),
    ) -> T
    where
        T: serde::de::DeserializeOwned + zbus::zvariant::Type,
    {
        let interface = format!("org.freedesktop.Secret.{interface}");
        let name = Some("org.freedesktop.secrets");
        let reply = self.bus.call_method(name, path, Some(interface.as_str()), method, arguments).unwrap();
        reply.body().deserialize().unwrap()
    }
}
