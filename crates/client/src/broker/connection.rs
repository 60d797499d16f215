//! One connection, read and written by the task that calls.

use std::io;
use std::time::Duration;

use tokenbroker_ipc::Stream;
use tokenbroker_protocol::{Failure, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Handle, Id};

use crate::attempts::Setback;
use crate::question::Question;
use crate::session::{self, Instance, Session};

#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    session: Session,
    runtime: Id,
}

impl Connection {
    /// Exchanges hellos.
    pub(super) async fn greet(stream: Stream) -> Result<Self, Setback> {
        let mut connection = Self { stream, session: Session::default(), runtime: Handle::current().id() };
        match connection.greeted().await {
            Ok(()) => Ok(connection),
            Err(setback) => Err(match connection.explained(setback).await {
                Setback::Lost { source, kept, .. } => Setback::Lost { unsent: true, kept, source },
                setback => setback,
            }),
        }
    }

    async fn greeted(&mut self) -> Result<(), Setback> {
        let hello = Session::hello()?;
        write(&mut self.stream, hello.expose()).await?;
        loop {
            self.read().await?;
            if self.session.is_greeted()? {
                return Ok(());
            }
        }
    }

    /// Asks and waits for the answer.
    pub(super) async fn ask(
        &mut self,
        question: &Question<'_>,
        elapsed: Duration,
    ) -> Result<Response, Setback> {
        let frame = self.session.ask(question, elapsed)?;
        write(&mut self.stream, frame.bytes()).await?;
        loop {
            self.read().await?;
            if let Some(response) = self.session.answer()? {
                return Ok(response);
            }
        }
    }

    /// Why a new connection broke, if the daemon has said so.
    pub(super) async fn explained(&mut self, setback: Setback) -> Setback {
        match setback {
            Setback::Lost { .. } => self.last_word().await.map_or(setback, session::refusal),
            setback => setback,
        }
    }

    /// What a daemon that hangs up at once has said lies in the socket: writing found the other end closed first.
    async fn last_word(&mut self) -> Option<Failure> {
        loop {
            if let Some(failure) = self.session.last_word() {
                return Some(failure);
            }
            match self.stream.read(self.session.space()).await {
                Ok(count @ 1..) => self.session.filled(count),
                _ => return None,
            }
        }
    }

    /// Which daemon it leads to.
    pub(super) fn instance(&self) -> Instance {
        self.session.instance()
    }

    pub(super) fn is_reusable(&self) -> bool {
        self.session.is_reusable()
    }

    /// A connection works only as long as the runtime that made it, and that may be over.
    pub(super) fn is_of_this_runtime(&self) -> bool {
        self.runtime == Handle::current().id()
    }

    async fn read(&mut self) -> Result<(), Setback> {
        match self.stream.read(self.session.space()).await {
            Ok(0) => Err(lost(io::ErrorKind::UnexpectedEof.into(), false)),
            Ok(count) => {
                self.session.filled(count);
                Ok(())
            }
            Err(error) => Err(lost(error, false)),
        }
    }
}

async fn write(stream: &mut Stream, mut bytes: &[u8]) -> Result<(), Setback> {
    let all = bytes.len();
    while !bytes.is_empty() {
        match stream.write(bytes).await {
            Ok(count) => bytes = &bytes[count..],
            Err(error) => return Err(lost(error, bytes.len() == all)),
        }
    }
    Ok(())
}

fn lost(source: io::Error, unsent: bool) -> Setback {
    Setback::Lost { kept: false, unsent, source }
}
