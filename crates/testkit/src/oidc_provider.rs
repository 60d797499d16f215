//! The npm package `oidc-provider`, a certified authorization server, as a peer that is not ours.
//!
//! `peers/oidc-provider/server.mjs` is what runs; it is told what to do over its standard input.

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
use crate::peers::node;
use crate::{Client, Counts};

const DEADLINE: Duration = Duration::from_secs(60);

/// A running oidc-provider over TLS; dropping it ends it.
///
/// It knows the scopes `signtext_api` and `api:read`, and each client may have both unless its registration names
/// less. Besides its own rules it wants assertions whose audience is the issuer as one string, with `iat` and
/// `exp`, that live 120 seconds at most. An unknown scope is left out of the token without a word.
pub struct OidcProvider {
    process: Mutex<Process>,
    directory: TempDir,
    port: u16,
}

struct Process {
    child: Child,
    /// Closing it is what ends the process; `None` only while that happens.
    commands: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl OidcProvider {
    /// What is missing on this host to run it, if something is.
    ///
    /// # Errors
    ///
    /// Words for the one who can install it.
    pub fn available() -> Result<(), String> {
        node::available()
    }

    /// Installs the package where that was not done before, and starts a server whose tokens live this long, in whole
    /// seconds.
    ///
    /// # Panics
    ///
    /// With what node or npm said, if that fails.
    pub fn start(lifetime: Duration) -> Self {
        let program = node::install("oidc-provider", &["server.mjs"]).join("server.mjs");
        let directory = TempDir::new().expect("a temporary directory can be made");
        let certificate = ServerCertificate::issue();
        let write =
            |name: &str, text: &str| fs::write(directory.path().join(name), text).expect("it is writable");
        write(CA_FILE, &certificate.ca);
        write("certificate.pem", &certificate.certificate);
        write("key.pem", &certificate.key);
        let child = Command::new("node")
            .arg(program)
            .args(["certificate.pem", "key.pem", &lifetime.as_secs().to_string()])
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(directory.path().join(LOG_FILE)).expect("the log can be made"))
            .spawn()
            .expect("node can be started");
        let provider = Self { process: Mutex::new(Process::new(child)), directory, port: 0 };
        let Ready { port } = provider.answer(None);
        Self { port, ..provider }
    }

    /// The issuer identifier.
    pub fn issuer(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The token endpoint.
    pub fn token_endpoint(&self) -> String {
        format!("{}/token", self.issuer())
    }

    /// The protected resource: 200 for a live token, 401 otherwise.
    pub fn data_url(&self) -> String {
        format!("{}/data", self.issuer())
    }

    /// A file with the certificate authority behind its certificate, in PEM, for as long as the server lives.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join(CA_FILE)
    }

    /// Registers a client, or replaces one with the same ID. Its lifetime is the server's.
    ///
    /// # Panics
    ///
    /// If oidc-provider refuses it.
    pub fn register(&self, client: &Client) {
        #[derive(Deserialize)]
        struct Registered {
            error: Option<String>,
        }
        let Registered { error } = self.answer(Some(&json!({ "register": client.metadata(SCOPES) })));
        assert!(error.is_none(), "oidc-provider refuses the client: {}", error.unwrap_or_default());
    }

    /// The token requests of a client. Those whose client is unknown count under the ID in their body, if any.
    pub fn counts(&self, client_id: &str) -> Counts {
        self.answer(Some(&json!({ "counts": client_id })))
    }

    /// What it said on its standard error.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join(LOG_FILE)).unwrap_or_default()
    }

    /// The answer to a command; without one, what it says by itself at the start.
    fn answer<T: for<'de> Deserialize<'de>>(&self, command: Option<&Value>) -> T {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let answer =
            process.ask(command).unwrap_or_else(|| panic!("oidc-provider is silent: {}", self.log()));
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{answer:?} is no answer: {error}"))
    }
}

const CA_FILE: &str = "ca.pem";
const LOG_FILE: &str = "stderr.log";
const SCOPES: &str = "signtext_api api:read";

#[derive(Deserialize)]
struct Ready {
    port: u16,
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
