//! The least that an exchange with a server on tokio can cost.
//!
//! Buffers are larger than what is read: tokio then knows without another system call that nothing more is there.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};

use crate::Result;
use crate::bench::part::Process;
use crate::bench::site::Exchange;

const BUFFER: usize = 8 * 1024;

/// What runtime the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Threads {
    /// One thread.
    Current,
    /// Two workers.
    Two,
}

impl Threads {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Current => "raw echo, current-thread",
            Self::Two => "raw echo, two workers",
        }
    }

    fn argument(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Two => "two",
        }
    }

    fn runtime(self) -> io::Result<Runtime> {
        match self {
            Self::Current => Builder::new_current_thread().enable_io().build(),
            Self::Two => Builder::new_multi_thread().worker_threads(2).enable_io().build(),
        }
    }
}

/// A running one.
pub(crate) struct Echo {
    directory: TempDir,
    _server: Process,
}

impl Echo {
    pub(crate) fn start(threads: Threads, exchange: &Exchange) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let listener = UnixListener::bind(socket(&directory))?;
        let [request, reply] = [exchange.request.len(), exchange.reply].map(|length| length.to_string());
        let server = Process::of_ours(["echo", threads.argument(), &request, &reply], listener)?;
        Ok(Self { directory, _server: server })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        socket(&self.directory)
    }
}

fn socket(directory: &TempDir) -> PathBuf {
    let directory: &Path = directory.path();
    directory.join("echo.sock")
}

/// One exchange of an asynchronous caller: the same for all servers, and no more than this end of a raw one.
pub(crate) async fn exchange(
    stream: &mut UnixStream,
    exchange: &Exchange,
    buffer: &mut [u8],
) -> io::Result<()> {
    stream.write_all(&exchange.request).await?;
    let mut received = 0;
    while received < exchange.reply {
        match stream.read(&mut buffer[received..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => received += count,
        }
    }
    Ok(())
}

/// Room for a reply, and more.
pub(crate) fn buffer() -> Vec<u8> {
    vec![0; BUFFER]
}

/// The server, on the listener that is its standard input.
#[derive(clap::Args)]
pub(crate) struct Server {
    threads: Threads,
    request: usize,
    reply: usize,
}

impl Server {
    pub(crate) fn run(self) -> Result {
        let listener = UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?);
        listener.set_nonblocking(true)?;
        self.threads.runtime()?.block_on(async {
            let listener = tokio::net::UnixListener::from_std(listener)?;
            // Accepting on a worker as connections are served: a thread that only waits would wake up for nothing.
            Ok(tokio::spawn(self.accept(listener)).await??)
        })
    }

    async fn accept(self, listener: tokio::net::UnixListener) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(answer(stream, self.request, self.reply));
        }
    }
}

async fn answer(mut stream: UnixStream, request: usize, reply: usize) -> io::Result<()> {
    let (mut buffer, reply) = (buffer(), vec![2; reply]);
    let mut received = 0;
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => received += count,
        }
        while received >= request {
            stream.write_all(&reply).await?;
            received -= request;
        }
    }
}
