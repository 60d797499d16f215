//! A connection for callers without a runtime.

use std::io::{self, Read, Write};
use std::os::windows::io::{AsHandle, OwnedHandle};
use std::time::Duration;

use super::pipe;
use super::sys::{self, Event};
use crate::{ConnectError, Endpoint, ServerTrust, Wakeup};

/// The shortest timeout that is not taken for "none".
const SHORTEST: Duration = Duration::from_millis(1);

/// A connection whose reads and writes block, for as long as its timeout lets them.
///
/// A pipe has no timeouts of its own. So each read and write is started as an overlapped operation, waited for, and
/// cancelled when its time is over; a call ends when the system has let go of its buffer. interprocess offers blocking
/// pipes without a timeout only.
#[derive(Debug)]
pub struct Stream {
    pipe: OwnedHandle,
    /// Set when an operation of this stream is done. There is one at a time.
    done: Event,
    timeout: Option<Duration>,
}

/// Connects to a trusted server. A server that is busy with another caller is given a tenth of a second; asking for the
/// account of the server's user may take its time once.
///
/// # Errors
///
/// [`ConnectError`]; then nothing was sent.
pub fn connect(endpoint: &Endpoint, trust: &ServerTrust) -> Result<Stream, ConnectError> {
    let pipe = pipe::open_waiting(endpoint.path())?;
    trust.check(endpoint, sys::owner(pipe.as_handle())?)?;
    Ok(Stream { pipe, done: Event::new()?, timeout: None })
}

impl Stream {
    /// How long a single read or write may block; at least a millisecond. One that takes longer fails with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock), as on a Unix socket.
    ///
    /// # Errors
    ///
    /// None; there are some elsewhere.
    pub fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.timeout = Some(timeout.max(SHORTEST));
        Ok(())
    }

    /// Waits until something can be read, the end included, until `woken` is set, or for `timeout`.
    pub(super) fn wait(&self, woken: &Event, timeout: Duration) -> io::Result<Wakeup> {
        sys::wait_readable(self.pipe.as_handle(), woken, timeout)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match sys::read(self.pipe.as_handle(), &mut self.done, buffer, self.timeout) {
            // What a socket shows as the end of the stream.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            read => read,
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        sys::write(self.pipe.as_handle(), &mut self.done, bytes, self.timeout)
    }

    /// Does nothing: what was written is the server's to read, whatever becomes of this end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
