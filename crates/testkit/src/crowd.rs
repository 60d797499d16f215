//! A user who holds very many connections.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tokenbroker_protocol::Command as Asked;

use crate::wire::{hello, request};

/// The id that `crowd.py` looks for in replies.
const ID: u32 = 7;

/// Connections of one user, held until it is dropped. Takes root, and Python.
#[derive(Debug)]
pub struct Crowd {
    process: Child,
    served: usize,
}

impl Crowd {
    /// Connects so often as the user `uid`, one connection after the other; those that the daemon serves are held.
    ///
    /// # Panics
    ///
    /// If Python can't be started, or the daemon is not there.
    #[track_caller]
    pub fn of(socket: &Path, uid: u32, connections: usize) -> Self {
        let (hello, ping) = (hex(&hello()), hex(&request(ID, Asked::Ping)));
        let mut python = Command::new("python3");
        python.args(["-c", include_str!("crowd.py")]).arg(socket).args([
            hello,
            ping,
            connections.to_string(),
        ]);
        python.uid(uid).gid(uid).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = python.spawn().expect("python3 can be started");
        let mut line = String::new();
        if let Some(said) = &mut process.stdout {
            BufReader::new(said).read_line(&mut line).expect("a pipe can be read");
        }
        let served = line.trim().parse().expect("a crowd says how many connections are served");
        Self { process, served }
    }

    /// How many connections were served.
    pub fn served(&self) -> usize {
        self.served
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // It ends when there is nothing more to read.
        drop(self.process.stdin.take());
        let _ended = self.process.wait();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
