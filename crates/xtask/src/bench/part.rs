//! The processes of a benchmark besides the one that measures: this program again.

use std::env;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use clap::Subcommand;
use rustix::process::{Signal, set_parent_process_death_signal};

use super::baseline::{echo, ping_pong};
use super::no_system_call::Gets;
use crate::Result;

/// One of them.
#[derive(Subcommand)]
pub(crate) enum Part {
    /// The other end of the raw exchange that blocks
    PingPong(ping_pong::Server),
    /// The raw server on tokio
    Echo(echo::Server),
    /// Gets in a process of its own, to be looked at from outside
    Gets(Gets),
}

impl Part {
    pub(crate) fn run(self) -> Result {
        // Whoever measures may be killed.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        match self {
            Self::PingPong(server) => server.run(),
            Self::Echo(server) => server.run(),
            Self::Gets(gets) => gets.run(),
        }
    }
}

/// A process, killed when dropped.
pub(crate) struct Process(Child);

impl Process {
    /// This program with these arguments, and a socket as its standard input.
    pub(crate) fn of_ours<A: AsRef<str>>(
        arguments: impl IntoIterator<Item = A>,
        socket: impl Into<OwnedFd>,
    ) -> Result<Self> {
        let mut command = this_program()?;
        command.args(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        Self::start(command.stdin(socket.into()))
    }

    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        Ok(Self(command.stdout(Stdio::null()).spawn()?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already, and then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This program, about to be one of its parts.
pub(crate) fn this_program() -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("bench-part");
    Ok(command)
}
