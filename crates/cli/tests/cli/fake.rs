//! A daemon that speaks the real protocol over a real socket, and answers each command as a test says.

#![expect(clippy::unwrap_used, reason = "what goes wrong here fails the test that runs it")]

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;
use tokenbroker_client::protocol::hello::{CallerHello, DaemonHello};
use tokenbroker_client::protocol::{self, FrameBuffer, Reply, Request, Response, decode, encode, frame};

/// Listens until the test's process ends.
pub(crate) struct FakeDaemon {
    directory: TempDir,
    asked: Arc<Mutex<Vec<protocol::Command>>>,
}

impl FakeDaemon {
    /// Starts one that answers with `answer`; without an answer it hangs up.
    pub(crate) fn answering<F>(answer: F) -> Self
    where
        F: Fn(&protocol::Command) -> Option<Response> + Send + Sync + 'static,
    {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(socket_in(directory.path())).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let session = Arc::new(Session { answer: Box::new(answer), asked: Arc::clone(&asked) });
        thread::spawn(move || {
            for stream in listener.incoming() {
                let session = Arc::clone(&session);
                thread::spawn(move || session.serve(stream.unwrap()));
            }
        });
        Self { directory, asked }
    }

    /// Starts one that answers everything with `response`.
    pub(crate) fn with(response: Response) -> Self {
        Self::answering(move |_| Some(response.clone()))
    }

    /// The program, set to ask this daemon.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Cli {
        cli(&self.socket(), arguments)
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        socket_in(self.directory.path())
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<protocol::Command> {
        self.asked.lock().unwrap().clone()
    }
}

fn socket_in(directory: &Path) -> PathBuf {
    directory.join("broker.sock")
}

type Answer = dyn Fn(&protocol::Command) -> Option<Response> + Send + Sync;

struct Session {
    answer: Box<Answer>,
    asked: Arc<Mutex<Vec<protocol::Command>>>,
}

impl Session {
    fn serve(&self, mut stream: UnixStream) {
        let mut received = FrameBuffer::default();
        let Some(hello) = next(&mut stream, &mut received) else { return };
        let version = CallerHello::parse(&hello).unwrap().choose();
        let hello = DaemonHello { version, instance: *b"a fake, for test" };
        stream.write_all(frame(&hello.to_bytes()).unwrap().expose()).unwrap();
        while let Some(payload) = next(&mut stream, &mut received) {
            let Request { id, command } = decode(&payload).unwrap();
            let answer = (self.answer)(&command);
            self.asked.lock().unwrap().push(command);
            let Some(response) = answer else { return };
            // A caller that has gone is the test's business.
            if stream.write_all(encode(&Reply { id, response }).unwrap().expose()).is_err() {
                return;
            }
        }
    }
}

fn next(stream: &mut UnixStream, received: &mut FrameBuffer) -> Option<Vec<u8>> {
    loop {
        if let Some(payload) = received.next_frame().unwrap() {
            return Some(payload.to_vec());
        }
        match stream.read(received.space()) {
            Ok(0) | Err(_) => return None,
            Ok(count) => received.filled(count),
        }
    }
}

/// A run of the program to be.
pub(crate) struct Cli {
    command: Command,
    input: Vec<u8>,
}

/// The program, set to ask at `socket`.
pub(crate) fn cli(socket: &Path, arguments: &[&str]) -> Cli {
    let mut cli = left_alone(arguments);
    cli.command.arg("--socket").arg(socket);
    cli
}

/// The program, left to find its daemon.
pub(crate) fn left_alone(arguments: &[&str]) -> Cli {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenbroker"));
    command.args(arguments).env_remove("TOKENBROKER_SOCKET");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Cli { command, input: Vec::new() }
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Cli {
    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    pub(crate) fn run(mut self) -> Outcome {
        let mut child = self.command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A program that reads no input may be gone already.
        let _ = stdin.write_all(&self.input);
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
