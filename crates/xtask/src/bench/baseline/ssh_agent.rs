//! OpenSSH's agent, asked which keys it has: a daemon that people keep secrets in.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokenbroker_testkit::wait_for;

use crate::bench::part::Process;
use crate::bench::race::{Contender, timed};
use crate::{Result, peers, process};

const DEADLINE: Duration = Duration::from_secs(10);

/// SSH_AGENTC_REQUEST_IDENTITIES, with its length in front (draft-ietf-sshm-ssh-agent).
const REQUEST: [u8; 5] = [0, 0, 0, 1, 11];

/// SSH_AGENT_IDENTITIES_ANSWER.
const ANSWER: u8 = 12;

/// An agent with one key, and a connection to it.
pub(crate) struct SshAgent {
    stream: UnixStream,
    _agent: Process,
    _directory: TempDir,
}

impl SshAgent {
    pub(crate) fn start() -> Result<Self> {
        peers::require("ssh-agent")?;
        let directory = tempfile::tempdir()?;
        let (socket, key) = (directory.path().join("agent.sock"), directory.path().join("key"));
        // In the foreground.
        let agent = Process::start(Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket))?;
        let mut keygen = Command::new("ssh-keygen");
        process::run(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key))?;
        let stream = wait_for(DEADLINE, || UnixStream::connect(&socket).ok());
        let stream = stream.ok_or("ssh-agent does not listen")?;
        add(&key, &socket)?;
        Ok(Self { stream, _agent: agent, _directory: directory })
    }
}

fn add(key: &Path, socket: &Path) -> Result {
    let mut command = Command::new("ssh-add");
    process::run(command.arg("-q").arg(key).env("SSH_AUTH_SOCK", socket).stdin(Stdio::null()))
}

impl Contender for SshAgent {
    fn name(&self) -> String {
        "ssh-agent, list keys".into()
    }

    fn round(&mut self, count: usize, nanoseconds: &mut Vec<u64>) -> Result {
        let mut reply = [0; 4096];
        timed(count, nanoseconds, || {
            self.stream.write_all(&REQUEST)?;
            let received = self.stream.read(&mut reply)?;
            if received < 9 || reply[4] != ANSWER || reply[5..9] != [0, 0, 0, 1] {
                return Err("ssh-agent did not list the key".into());
            }
            Ok(())
        })
    }
}
