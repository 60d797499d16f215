//! A false server on the socket learns nothing.
//!
//! It takes another user to be one, so these tests run as root only and say so otherwise.

use std::env;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokenbroker_client::{Broker, Error, blocking};
use tokenbroker_ipc::own_uid;

/// Neither root nor anybody that a test system knows.
const STRANGER: u32 = 54_321;

/// Where the false server is to listen, when this program is started as one.
const SERVE_AT: &str = "TOKENBROKER_TEST_SERVE_AT";

/// A process of another user that listens on a socket. What callers send to it comes back when it ends.
struct FalseServer {
    directory: TempDir,
    process: Child,
}

impl FalseServer {
    /// `None` without the rights to be another user.
    fn start(test: &str) -> Option<Self> {
        if own_uid() != 0 {
            eprintln!("NOT RUN: {test} starts a server as another user, which takes root");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        chown(directory.path(), Some(STRANGER), None).unwrap();
        // Where this program was built, another user may not be able to go.
        let program = directory.path().join("server");
        std::fs::copy(env::current_exe().unwrap(), &program).unwrap();
        let mut command = Command::new(program);
        command
            .args(["--exact", "trust::the_false_server_itself", "--nocapture"])
            .env(SERVE_AT, socket_in(directory.path()))
            .uid(STRANGER)
            .gid(STRANGER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        // A child of another test that is just being started may still hold the copy open for writing.
        let mut process = loop {
            match command.spawn() {
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
                spawned => break spawned.unwrap(),
            }
        };
        let mut output = String::new();
        while !output.contains("listening") {
            let mut byte = [0];
            process.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
            output.push(byte[0].into());
        }
        Some(Self { directory, process })
    }

    fn socket(&self) -> PathBuf {
        socket_in(self.directory.path())
    }

    /// How many bytes it was sent, by how many callers.
    fn heard(mut self) -> String {
        drop(self.process.stdin.take());
        let mut output = String::new();
        self.process.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        assert!(self.process.wait().unwrap().success());
        output.lines().find_map(|line| line.strip_prefix("heard ")).unwrap().to_owned()
    }
}

fn socket_in(directory: &Path) -> PathBuf {
    directory.join("broker.sock")
}

/// Not a test by itself: what the process of the other user runs.
#[test]
fn the_false_server_itself() {
    let Some(path) = env::var_os(SERVE_AT) else { return };
    let listener = UnixListener::bind(path).unwrap();
    println!("listening");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    listener.set_nonblocking(true).unwrap();
    let (mut callers, mut heard) = (0, Vec::new());
    while let Ok((mut caller, _)) = listener.accept() {
        callers += 1;
        caller.set_nonblocking(false).unwrap();
        caller.read_to_end(&mut heard).unwrap();
    }
    println!("heard {} bytes from {callers} callers", heard.len());
}

#[tokio::test]
async fn s17_nothing_is_sent_to_a_server_of_another_user() {
    let Some(server) = FalseServer::start("s17_nothing_is_sent_to_a_server_of_another_user") else { return };
    let blocking = blocking::Broker::builder().socket(server.socket()).build();
    let broker = Broker::builder().socket(server.socket()).build();
    for refused in [blocking.token("x").unwrap_err(), broker.token("x").await.unwrap_err()] {
        let Error::UntrustedServer(untrusted) = &refused else { panic!("{refused:?}") };
        assert_eq!((untrusted.uid, &untrusted.socket), (STRANGER, &server.socket()));
        let words = refused.to_string();
        assert!(words.contains("54321") && words.contains(server.socket().to_str().unwrap()), "{words}");
        assert!(refused.hint().unwrap().contains("TOKENBROKER_SERVER_USER"));
    }
    assert_eq!(server.heard(), "0 bytes from 2 callers");
}

#[test]
fn s17_a_server_of_the_user_that_was_named_is_spoken_to() {
    let Some(server) = FalseServer::start("s17_a_server_of_the_user_that_was_named_is_spoken_to") else {
        return;
    };
    let named = blocking::Broker::builder().socket(server.socket()).server_user(STRANGER.to_string()).build();
    let ping = tokenbroker_client::protocol::Command::Ping;
    let silent = named.request(ping, std::time::Duration::from_millis(100)).unwrap_err();
    assert!(matches!(silent, Error::TimedOut { .. }), "{silent:?}");
    assert_eq!(server.heard(), "12 bytes from 1 callers", "the hello and no more");
}
