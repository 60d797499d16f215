//! The least that an exchange between two processes can cost: blocking reads and writes of bytes nobody looks at.

use std::env;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};

use super::TOKEN;
use super::contender::Contender;
use crate::Result;

/// About what a get is on the wire.
const REQUEST: usize = 64;

/// The token, and about as much around it as the wire adds.
const REPLY: usize = TOKEN + 48;

/// This end of the exchange.
pub(crate) struct PingPong {
    stream: UnixStream,
    server: Child,
}

impl PingPong {
    /// The other end is this program again, with the socket as its standard input.
    pub(crate) fn start() -> Result<Self> {
        let (stream, other) = UnixStream::pair()?;
        let server =
            Command::new(env::current_exe()?).arg("bench-ping-pong").stdin(OwnedFd::from(other)).spawn()?;
        Ok(Self { stream, server })
    }
}

impl Contender for PingPong {
    fn name(&self) -> &'static str {
        "raw exchange"
    }

    fn exchange(&mut self) -> Result<usize> {
        let mut reply = [0; REPLY];
        self.stream.write_all(&[1; REQUEST])?;
        self.stream.read_exact(&mut reply)?;
        Ok(reply.len())
    }
}

impl Drop for PingPong {
    fn drop(&mut self) {
        // It may be gone already, and then there is nothing to do.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The other end, until this one closes.
pub(crate) fn serve() -> Result {
    let mut stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut request = [0; REQUEST];
    loop {
        match stream.read_exact(&mut request) {
            Ok(()) => stream.write_all(&[2; REPLY])?,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
