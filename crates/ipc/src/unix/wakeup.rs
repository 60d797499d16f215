//! Waiting for a connection and for other threads at the same time.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::blocking::Stream;
use super::sys;
use crate::Wakeup;

/// Wakes the thread that waits with the other half. When it is dropped, that thread is told.
#[derive(Debug)]
pub struct Waker(UnixStream);

/// The half of the thread that waits.
#[derive(Debug)]
pub struct Wakeups(UnixStream);

/// The two halves. They cost two descriptors.
///
/// # Errors
///
/// What the system says: that there are no more descriptors.
pub fn wakeups() -> io::Result<(Waker, Wakeups)> {
    let (waker, wakeups) = UnixStream::pair()?;
    waker.set_nonblocking(true)?;
    wakeups.set_nonblocking(true)?;
    Ok((Waker(waker), Wakeups(wakeups)))
}

impl Waker {
    /// Wakes it; never blocks.
    pub fn wake(&self) {
        // A full buffer is a thread that has been woken and did not look yet. A thread that is gone needs no waking.
        let _ = (&self.0).write(&[1]);
    }
}

impl Wakeups {
    /// Waits until something can be read from the stream, until it is woken, or for `timeout`. The end comes first,
    /// then the stream.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn wait(&mut self, stream: Option<&Stream>, timeout: Duration) -> io::Result<Wakeup> {
        let [woken, readable] = sys::wait_readable([Some(self.0.as_fd()), stream.map(AsFd::as_fd)], timeout)?;
        if woken && self.drain()? {
            return Ok(Wakeup::Over);
        }
        Ok(match (readable, woken) {
            (true, _) => Wakeup::Readable,
            (false, true) => Wakeup::Woken,
            (false, false) => Wakeup::TimedOut,
        })
    }

    /// Takes all wake-ups; says whether the other half is gone.
    fn drain(&mut self) -> io::Result<bool> {
        let mut taken = [0; 64];
        loop {
            match self.0.read(&mut taken) {
                Ok(0) => return Ok(true),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
