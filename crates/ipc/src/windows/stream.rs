//! A connection for tasks on a tokio runtime.

use std::io;
use std::os::windows::io::AsHandle;
use std::pin::Pin;
use std::task::{Context, Poll};

use interprocess::os::windows::named_pipe::pipe_mode::Bytes;
use interprocess::os::windows::named_pipe::tokio::DuplexPipeStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{pipe, sys};
use crate::{ConnectError, Endpoint, ServerTrust};

/// A connection.
#[derive(Debug)]
pub struct Stream(pub(super) DuplexPipeStream<Bytes>);

/// Connects to a trusted server, like [`blocking::connect`](crate::blocking::connect).
///
/// # Errors
///
/// [`ConnectError`]; then nothing was sent.
///
/// # Panics
///
/// Outside a tokio runtime that has I/O enabled.
pub async fn connect(endpoint: &Endpoint, trust: &ServerTrust) -> Result<Stream, ConnectError> {
    let pipe = match pipe::open(endpoint.path()) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let path = endpoint.path().to_owned();
            blocking(move || pipe::open_waiting(&path)).await??
        }
        opened => opened?,
    };
    let owner = sys::owner(pipe.as_handle())?;
    if trust.needs_lookup(&owner) {
        let (endpoint, trust) = (endpoint.clone(), trust.clone());
        blocking(move || trust.check(&endpoint, owner)).await??;
    } else {
        trust.check(endpoint, owner)?;
    }
    match DuplexPipeStream::try_from(pipe) {
        Ok(pipe) => Ok(Stream(pipe)),
        Err(refused) => Err(refused.cause.unwrap_or_else(|| io::ErrorKind::InvalidInput.into()).into()),
    }
}

async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(call).await.map_err(io::Error::other)
}

impl Drop for Stream {
    /// What was written stays readable when this end is closed. interprocess would keep it open until the other side
    /// has read everything, which may be never.
    fn drop(&mut self) {
        self.0.assume_flushed();
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(context, bytes)
    }

    /// Does nothing: flushing a pipe waits until the other side has read everything.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Does nothing: a connection ends in both directions at once, when it is dropped.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
