//! The least that an exchange between two processes can cost: blocking reads and writes of bytes nobody looks at.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use crate::Result;
use crate::bench::part::Process;
use crate::bench::race::{Contender, timed};
use crate::bench::site::Exchange;

/// This end of the exchange.
pub(crate) struct PingPong {
    stream: UnixStream,
    request: Vec<u8>,
    reply: Vec<u8>,
    _server: Process,
}

impl PingPong {
    /// With as many bytes as the exchange has.
    pub(crate) fn start(exchange: &Exchange) -> Result<Self> {
        let Exchange { request, reply } = exchange;
        let (stream, other) = UnixStream::pair()?;
        let server = Process::of_ours(["ping-pong", &request.len().to_string(), &reply.to_string()], other)?;
        Ok(Self { stream, request: request.clone(), reply: vec![0; *reply], _server: server })
    }
}

impl Contender for PingPong {
    fn name(&self) -> String {
        "raw exchange".into()
    }

    fn round(&mut self, count: usize, nanoseconds: &mut Vec<u64>) -> Result {
        timed(count, nanoseconds, || {
            self.stream.write_all(&self.request)?;
            Ok(self.stream.read_exact(&mut self.reply)?)
        })
    }
}

/// The other end, on its standard input until this one closes.
#[derive(clap::Args)]
pub(crate) struct Server {
    request: usize,
    reply: usize,
}

impl Server {
    pub(crate) fn run(self) -> Result {
        let mut stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let (mut request, reply) = (vec![0; self.request], vec![2; self.reply]);
        loop {
            match stream.read_exact(&mut request) {
                Ok(()) => stream.write_all(&reply)?,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
