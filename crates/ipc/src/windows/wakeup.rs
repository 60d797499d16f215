//! Waiting for a connection and for other threads at the same time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::blocking::Stream;
use super::sys::Event;
use crate::Wakeup;

/// Wakes the thread that waits with the other half. When it is dropped, that thread is told.
#[derive(Debug)]
pub struct Waker(Arc<Shared>);

/// The half of the thread that waits.
#[derive(Debug)]
pub struct Wakeups(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Waiting for it resets it.
    woken: Event,
    over: AtomicBool,
}

/// The two halves. They cost one handle.
///
/// # Errors
///
/// What the system says: that there are no more handles.
pub fn wakeups() -> io::Result<(Waker, Wakeups)> {
    let shared = Arc::new(Shared { woken: Event::reset_by_waiting()?, over: AtomicBool::new(false) });
    Ok((Waker(Arc::clone(&shared)), Wakeups(shared)))
}

impl Waker {
    /// Wakes it; never blocks.
    pub fn wake(&self) {
        self.0.woken.set();
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
        self.0.woken.set();
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
        // Who drops the other half wakes this one once; after that, only the flag tells.
        if self.is_over() {
            return Ok(Wakeup::Over);
        }
        let waited = match stream {
            Some(stream) => stream.wait(&self.0.woken, timeout)?,
            None if self.0.woken.wait(Some(timeout)) => Wakeup::Woken,
            None => Wakeup::TimedOut,
        };
        Ok(if self.is_over() { Wakeup::Over } else { waited })
    }

    fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Acquire)
    }
}
