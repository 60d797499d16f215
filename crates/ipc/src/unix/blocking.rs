//! A connection for callers without a runtime.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use interprocess::ConnectWaitMode;
use interprocess::local_socket::prelude::*;
use interprocess::local_socket::{ConnectOptions, GenericFilePath};
use interprocess::os::unix::uds_local_socket;

use super::identity::server_uid;
use crate::{ConnectError, Endpoint, ServerTrust};

/// The shortest timeout that is not taken for "none".
const SHORTEST: Duration = Duration::from_millis(1);

/// A connection whose reads and writes block, for as long as its timeout lets them.
#[derive(Debug)]
pub struct Stream {
    socket: uds_local_socket::Stream,
    timeout: Option<Duration>,
}

/// Connects to a trusted server, without waiting: a Unix socket either takes a connection at once, or its
/// daemon is behind. Asking the user database may take its time once.
///
/// # Errors
///
/// [`ConnectError`]; then nothing was sent.
pub fn connect(endpoint: &Endpoint, trust: &ServerTrust) -> Result<Stream, ConnectError> {
    let name = endpoint.path().to_fs_name::<GenericFilePath>()?;
    let options = ConnectOptions::new().name(name).wait_mode(ConnectWaitMode::Deferred);
    let socket = options.connect_sync_as::<uds_local_socket::Stream>()?;
    trust.check(endpoint, server_uid(&socket)?)?;
    Ok(Stream { socket, timeout: None })
}

impl Stream {
    /// How long a single read or write may block; at least a millisecond. Costs nothing if it was the same before.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        let timeout = timeout.max(SHORTEST);
        if self.timeout != Some(timeout) {
            self.timeout = None;
            self.socket.set_recv_timeout(Some(timeout))?;
            self.socket.set_send_timeout(Some(timeout))?;
            self.timeout = Some(timeout);
        }
        Ok(())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
