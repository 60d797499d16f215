//! One connection, read and written in the calling thread. A warm get costs one write and one read.

use std::io::{self, Read, Write};
use std::time::Duration;

use tokenbroker_ipc::blocking::{self, Stream};
use tokenbroker_protocol::{Failure, Response};

use super::Timer;
use crate::attempts::Setback;
use crate::builder::{self, Destination};
use crate::question::Question;
use crate::session::{self, Instance, Session};

#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    session: Session,
}

impl Connection {
    /// A new connection to the daemon.
    pub(crate) fn dial(destination: &Destination, timer: &Timer, elapsed: Duration) -> Result<Self, Setback> {
        let mut tried = Vec::new();
        for endpoint in destination.endpoints() {
            match blocking::connect(endpoint, destination.trust()) {
                Ok(stream) => {
                    let connection = Self::greet(stream, timer, elapsed)?;
                    destination.found(endpoint);
                    return Ok(connection);
                }
                Err(error) => builder::note(&mut tried, endpoint, error)?,
            }
        }
        Err(Setback::Absent(tried))
    }

    /// Exchanges hellos.
    fn greet(stream: Stream, timer: &Timer, elapsed: Duration) -> Result<Self, Setback> {
        let mut connection = Self { stream, session: Session::default() };
        connection.greeted(timer, elapsed).map_err(|setback| match connection.explained(setback) {
            Setback::Lost { source, kept, .. } => Setback::Lost { unsent: true, kept, source },
            setback => setback,
        })?;
        Ok(connection)
    }

    fn greeted(&mut self, timer: &Timer, elapsed: Duration) -> Result<(), Setback> {
        let hello = Session::hello()?;
        self.stream.set_timeout(timer.left(elapsed)?).map_err(lost)?;
        write(&mut self.stream, hello.expose(), timer)?;
        loop {
            self.read(timer)?;
            if self.session.is_greeted()? {
                return Ok(());
            }
            self.stream.set_timeout(timer.left(timer.elapsed())?).map_err(lost)?;
        }
    }

    /// Asks and waits for the answer.
    pub(crate) fn ask(
        &mut self,
        question: &Question<'_>,
        timer: &Timer,
        elapsed: Duration,
    ) -> Result<Response, Setback> {
        self.stream.set_timeout(timer.left(elapsed)?).map_err(lost)?;
        let frame = self.session.ask(question, elapsed)?;
        write(&mut self.stream, frame.bytes(), timer)?;
        loop {
            self.read(timer)?;
            if let Some(response) = self.session.answer()? {
                return Ok(response);
            }
            self.stream.set_timeout(timer.left(timer.elapsed())?).map_err(lost)?;
        }
    }

    /// Why a new connection broke, if the daemon has said so.
    pub(crate) fn explained(&mut self, setback: Setback) -> Setback {
        match setback {
            Setback::Lost { .. } => self.last_word().map_or(setback, session::refusal),
            setback => setback,
        }
    }

    /// What a daemon that hangs up at once has said lies in the socket: writing found the other end closed first.
    fn last_word(&mut self) -> Option<Failure> {
        loop {
            if let Some(failure) = self.session.last_word() {
                return Some(failure);
            }
            self.stream.set_timeout(Duration::ZERO).ok()?;
            match self.stream.read(self.session.space()) {
                Ok(count @ 1..) => self.session.filled(count),
                _ => return None,
            }
        }
    }

    /// For somebody who reads and writes in another way.
    pub(crate) fn into_parts(self) -> (Stream, Session) {
        (self.stream, self.session)
    }

    /// Which daemon it leads to.
    pub(crate) fn instance(&self) -> Instance {
        self.session.instance()
    }

    pub(crate) fn is_reusable(&self) -> bool {
        self.session.is_reusable()
    }

    fn read(&mut self, timer: &Timer) -> Result<(), Setback> {
        loop {
            match self.stream.read(self.session.space()) {
                Ok(0) => return Err(lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => {
                    self.session.filled(count);
                    return Ok(());
                }
                // A signal handler has run; the time it took counts.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    self.stream.set_timeout(timer.left(timer.elapsed())?).map_err(lost)?;
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

/// All of it, within the stream's timeout for each piece.
pub(crate) fn write(stream: &mut Stream, mut bytes: &[u8], timer: &Timer) -> Result<(), Setback> {
    let all = bytes.len();
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                stream.set_timeout(timer.left(timer.elapsed())?).map_err(lost)?;
            }
            Err(error) => {
                return Err(match failed(error) {
                    Setback::Lost { kept, source, .. } => {
                        Setback::Lost { kept, unsent: bytes.len() == all, source }
                    }
                    setback => setback,
                });
            }
        }
    }
    Ok(())
}

/// A timeout of the socket shows as `WouldBlock`.
fn failed(error: io::Error) -> Setback {
    if error.kind() == io::ErrorKind::WouldBlock { Setback::TimedOut } else { lost(error) }
}

fn lost(source: io::Error) -> Setback {
    Setback::Lost { kept: false, unsent: false, source }
}
