//! A connection for tasks on a tokio runtime.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use interprocess::ConnectWaitMode;
use interprocess::local_socket::prelude::*;
use interprocess::local_socket::{ConnectOptions, GenericFilePath};
use interprocess::os::unix::uds_local_socket::tokio as uds;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::identity::server_uid;
use crate::{ConnectError, Endpoint, ServerTrust};

/// A connection.
#[derive(Debug)]
pub struct Stream(pub(crate) uds::Stream);

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
    let name = endpoint.path().to_fs_name::<GenericFilePath>()?;
    let options = ConnectOptions::new().name(name).wait_mode(ConnectWaitMode::Deferred);
    let socket = options.connect_tokio_as::<uds::Stream>().await?;
    let uid = server_uid(&socket)?;
    if trust.needs_lookup(&uid) {
        let (endpoint, trust) = (endpoint.clone(), trust.clone());
        let check = tokio::task::spawn_blocking(move || trust.check(&endpoint, uid));
        check.await.map_err(io::Error::other)??;
    } else {
        trust.check(endpoint, uid)?;
    }
    Ok(Stream(socket))
}

// Everything goes to tokio's own stream: a read that filled less than the buffer tells it that nothing more is there,
// which saves a system call for each message. Reading through interprocess's wrapper does without that.

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().0.inner_mut()).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().0.inner_mut()).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().0.inner_mut()).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().0.inner_mut()).poll_flush(context)
    }

    /// Does nothing: a connection ends in both directions at once, when it is dropped.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
