//! An authorization server that is not ours: a process over TLS, told what to do in lines of JSON on its standard input.
//!
//! The first line it prints says where it listens; after that there is one for each line that it is sent. Closing its
//! standard input is what ends it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::certificates::ServerCertificate;
use crate::{Client, Counts};

const DEADLINE: Duration = Duration::from_secs(60);

const CA_FILE: &str = "ca.pem";
const LOG_FILE: &str = "stderr.log";

/// A running server; dropping it ends it.
pub(crate) struct Server {
    name: &'static str,
    process: Mutex<Process>,
    directory: TempDir,
    ports: Ports,
}

/// Where it listens, on 127.0.0.1.
#[derive(Deserialize)]
struct Ports {
    port: u16,
    /// Where it asks for client certificates, if it does anywhere.
    mtls_port: Option<u16>,
}

impl Server {
    /// Starts a program, which is told the files of its certificate and key, how many seconds its tokens live, and what else
    /// it wants to know.
    ///
    /// # Panics
    ///
    /// With what it said, if it does not start.
    pub(crate) fn start(
        name: &'static str,
        [interpreter, script]: [PathBuf; 2],
        lifetime: Duration,
        arguments: &[&str],
    ) -> Self {
        let directory = TempDir::new().expect("a temporary directory can be made");
        let certificate = ServerCertificate::issue();
        let write =
            |name: &str, text: &str| fs::write(directory.path().join(name), text).expect("it is writable");
        write(CA_FILE, &certificate.ca);
        write("certificate.pem", &certificate.certificate);
        write("key.pem", &certificate.key);
        let mut command = Command::new(interpreter);
        command.arg(script).args(["certificate.pem", "key.pem", &lifetime.as_secs().to_string()]);
        let child = command
            .args(arguments)
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(directory.path().join(LOG_FILE)).expect("the log can be made"))
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let nowhere = Ports { port: 0, mtls_port: None };
        let server = Self { name, process: Mutex::new(Process::new(child)), directory, ports: nowhere };
        Self { ports: server.answer(None), ..server }
    }

    /// The URL of an absolute path, or of nothing but the server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.ports.port)
    }

    /// The URL of an absolute path where it asks for client certificates.
    ///
    /// # Panics
    ///
    /// If it does nowhere.
    pub(crate) fn mtls_url(&self, path: &str) -> String {
        let port = self.ports.mtls_port.expect("the server asks for client certificates");
        format!("https://127.0.0.1:{port}{path}")
    }

    /// A file with the certificate authority behind its certificate, in PEM.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.directory.path().join(CA_FILE)
    }

    /// Registers a client, with this scope if it has none of its own.
    ///
    /// # Panics
    ///
    /// If the server refuses it.
    pub(crate) fn register(&self, client: &Client, scope: &str) {
        #[derive(Deserialize)]
        struct Registered {
            error: Option<String>,
        }
        let Registered { error } = self.answer(Some(&json!({ "register": client.metadata(scope) })));
        assert!(error.is_none(), "{} refuses the client: {}", self.name, error.unwrap_or_default());
    }

    /// The token requests of a client.
    pub(crate) fn counts(&self, client_id: &str) -> Counts {
        self.answer(Some(&json!({ "counts": client_id })))
    }

    /// What it said on its standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join(LOG_FILE)).unwrap_or_default()
    }

    /// The answer to a command; without one, what it says by itself at the start.
    fn answer<T: for<'de> Deserialize<'de>>(&self, command: Option<&Value>) -> T {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let answer =
            process.ask(command).unwrap_or_else(|| panic!("{} is silent: {}", self.name, self.log()));
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{answer:?} is no answer: {error}"))
    }
}

struct Process {
    child: Child,
    /// Closing it is what ends the process; `None` only while that happens.
    commands: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Process {
    fn new(mut child: Child) -> Self {
        let commands = child.stdin.take();
        let answers = lines(child.stdout.take().expect("stdout is a pipe"));
        Self { child, commands, answers }
    }

    fn ask(&mut self, command: Option<&Value>) -> Option<String> {
        if let Some(command) = command {
            self.commands.as_mut()?.write_all(format!("{command}\n").as_bytes()).ok()?;
        }
        self.answers.recv_timeout(DEADLINE).ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.commands.take());
        // It ends by itself now, but nobody should have to wait for what it may be doing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a pipe, read on a thread of their own so that waiting for one can have a deadline.
fn lines(pipe: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
