//! Why waiting for a connection and for other threads at the same time is over.

/// Why a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wakeup {
    /// The other half was dropped: nobody will ever wake again.
    Over,
    /// Something can be read from the connection, its end included.
    Readable,
    /// Another thread wanted it.
    Woken,
    /// The time is up.
    TimedOut,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wakeups;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn it_tells_wakeups_from_timeouts_and_from_the_end() {
        let (waker, mut wakeups) = wakeups().unwrap();
        assert_eq!(wakeups.wait(None, Duration::ZERO).unwrap(), Wakeup::TimedOut);
        (0..100_000).for_each(|_| waker.wake());
        assert_eq!(wakeups.wait(None, LONG).unwrap(), Wakeup::Woken);
        assert_eq!(wakeups.wait(None, Duration::from_nanos(1)).unwrap(), Wakeup::TimedOut);
        waker.wake();
        drop(waker);
        assert_eq!(wakeups.wait(None, LONG).unwrap(), Wakeup::Over);
        assert_eq!(wakeups.wait(None, LONG).unwrap(), Wakeup::Over);
    }

    #[test]
    fn another_thread_wakes_it() {
        let (waker, mut wakeups) = wakeups().unwrap();
        let waiting = std::thread::spawn(move || wakeups.wait(None, LONG).unwrap());
        waker.wake();
        assert_eq!(waiting.join().unwrap(), Wakeup::Woken);
    }
}
