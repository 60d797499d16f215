//! One connection, read and written in the calling thread. A warm get costs one write and one read.

use std::io::{self, Read, Write};
use std::time::Duration;

use tokenbroker_ipc::blocking::Stream;
use tokenbroker_protocol::Response;

use super::Timer;
use crate::attempts::Setback;
use crate::question::Question;
use crate::session::{Instance, Session};

#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    session: Session,
}

impl Connection {
    /// Exchanges hellos.
    pub(super) fn greet(stream: Stream, timer: &Timer, elapsed: Duration) -> Result<Self, Setback> {
        let mut connection = Self { stream, session: Session::default() };
        connection.greeted(timer, elapsed).map_err(|setback| match setback {
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
    pub(super) fn ask(
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

    /// Which daemon it leads to.
    pub(super) fn instance(&self) -> Instance {
        self.session.instance()
    }

    pub(super) fn is_reusable(&self) -> bool {
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

fn write(stream: &mut Stream, mut bytes: &[u8], timer: &Timer) -> Result<(), Setback> {
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
