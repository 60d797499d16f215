//! A running daemon.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokenbroker_protocol::frame;
use tokenbroker_protocol::hello::{CallerHello, DaemonHello};

use crate::wait_for;

/// Ample: builds and other tests may be using the same processors.
const DEADLINE: Duration = Duration::from_secs(30);

/// A daemon that answered on its socket. Dropping it kills it, and prints its log if the test is failing.
pub struct Daemon {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl Daemon {
    #[track_caller]
    pub(super) fn start(mut command: Command, socket: PathBuf, log: PathBuf) -> Self {
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut daemon = Self { child, socket, log };
        daemon.wait_until_it_answers();
        daemon
    }

    /// Its process ID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// Whether its socket answers a caller's hello now.
    pub fn answers(&self) -> bool {
        says_hello(&self.socket).unwrap_or(false)
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.ended().is_none()
    }

    /// SIGHUP: it should read its configuration again. Does not wait for that.
    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    /// SIGTERM, and how it ended.
    ///
    /// # Panics
    ///
    /// With its log, if it goes on regardless.
    #[track_caller]
    pub fn terminate(self) -> ExitStatus {
        self.end_by(Signal::TERM)
    }

    /// A signal that it should end by, and how it ended.
    ///
    /// # Panics
    ///
    /// With its log, if it goes on regardless.
    #[track_caller]
    pub fn end_by(mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        match wait_for(DEADLINE, || self.ended()) {
            Some(status) => status,
            None => panic!("the daemon goes on {DEADLINE:?} after {signal:?}"),
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// If it is gone.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a child has a pid");
        kill_process(pid, signal).expect("a child can be sent signals until it was waited for");
    }

    #[track_caller]
    fn wait_until_it_answers(&mut self) {
        enum Outcome {
            Answers,
            Ended(ExitStatus),
        }
        let outcome = wait_for(DEADLINE, || match self.ended() {
            Some(status) => Some(Outcome::Ended(status)),
            None => self.answers().then_some(Outcome::Answers),
        });
        match outcome {
            Some(Outcome::Answers) => {}
            Some(Outcome::Ended(status)) => panic!("the daemon ended before it answered: {status}"),
            None => panic!("the daemon does not answer within {DEADLINE:?}"),
        }
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    fn end(&mut self) {
        // It may have ended by itself, and then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
        if thread::panicking() {
            eprintln!("--- log of the daemon\n{}--- end of the log", self.log());
        }
    }
}

/// Whether somebody on this socket speaks a version of the protocol that this build speaks.
fn says_hello(socket: &Path) -> io::Result<bool> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let hello = frame(&CallerHello::OURS.to_bytes()).map_err(io::Error::other)?;
    stream.write_all(hello.expose())?;
    let mut answer = [0; 4 + DaemonHello::LENGTH];
    stream.read_exact(&mut answer)?;
    Ok(DaemonHello::parse(&answer[4..]).is_ok_and(|hello| hello.version.is_some()))
}
