//! The thread that keeps a broker's tokens fresh. It needs no runtime, so that brokers of both kinds have the same, and an
//! async one can be used from several runtimes and survives them.

mod line;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokenbroker_ipc::{Waker, Wakeup, Wakeups, wakeups};

use super::Entries;
use super::entry::Stage;
use crate::blocking::Timer;
use crate::blocking::connection::Connection;
use crate::builder::Destination;
use crate::clock;
use line::{Ending, Line};

/// How often it is looked at what is still used.
const SWEEP: Duration = Duration::from_secs(600);

/// How long the daemon may take for its hello.
const HELLO: Duration = Duration::from_secs(5);

const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The broker's end of the thread, which starts when it is needed and ends when this is dropped.
#[derive(Debug)]
pub(super) struct Keeping {
    entries: Arc<Entries>,
    destination: Arc<Destination>,
    waker: Mutex<Option<Waker>>,
}

impl Keeping {
    pub(super) fn new(entries: Arc<Entries>, destination: Arc<Destination>) -> Self {
        Self { entries, destination, waker: Mutex::new(None) }
    }

    /// Says that there is something to do. Where no thread can be started, tokens are not kept: that is tried again.
    pub(super) fn wake(&self) {
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if waker.is_none() {
            *waker = self.start().ok();
        }
        match &*waker {
            Some(waker) => waker.wake(),
            None => self.entries.reset(Stage::Wanted),
        }
    }

    fn start(&self) -> io::Result<Waker> {
        let (waker, wakeups) = wakeups()?;
        let (entries, destination) = (Arc::clone(&self.entries), Arc::clone(&self.destination));
        let keeper = Keeper { entries, destination, wakeups, next_sweep: clock::now() + SWEEP };
        thread::Builder::new().name("tokenbroker".into()).spawn(move || keeper.run())?;
        Ok(waker)
    }
}

/// What the thread has.
#[derive(Debug)]
struct Keeper {
    entries: Arc<Entries>,
    destination: Arc<Destination>,
    wakeups: Wakeups,
    next_sweep: Instant,
}

impl Keeper {
    /// Until the broker is dropped.
    fn run(mut self) {
        let mut pauses = Pauses::default();
        loop {
            while self.entries.at(Stage::Wanted).is_empty() {
                if self.wait(None, SWEEP) == Wakeup::Over {
                    return;
                }
            }
            let ending = self.connect().map(|line| line.run(&mut self, &mut pauses));
            self.entries.orphan();
            if matches!(ending, Some(Ending::Over)) || self.pause(pauses.next()) == Wakeup::Over {
                return;
            }
        }
    }

    fn connect(&self) -> Option<Line> {
        let dialled = Connection::dial(&self.destination, &Timer::start(HELLO), Duration::ZERO);
        Line::on(dialled.ok()?)
    }

    /// Waits for something to do, at most so long, and looks after what is not used when it is time.
    fn wait(&mut self, line: Option<&Line>, at_most: Duration) -> Wakeup {
        let until_sweep = self.next_sweep.saturating_duration_since(clock::now());
        // Nothing that was waited for is broken; the broker has to go on without this.
        let waited = self.wakeups.wait(line.map(Line::stream), at_most.min(until_sweep));
        if clock::now() >= self.next_sweep {
            self.entries.sweep();
            self.next_sweep = clock::now() + SWEEP;
        }
        waited.unwrap_or(Wakeup::Over)
    }

    /// Waits, whatever there is to do.
    fn pause(&mut self, pause: Duration) -> Wakeup {
        let end = clock::now() + pause;
        loop {
            let left = end.saturating_duration_since(clock::now());
            if left.is_zero() {
                return Wakeup::TimedOut;
            }
            if self.wait(None, left) == Wakeup::Over {
                return Wakeup::Over;
            }
        }
    }
}

/// How long to wait before the next connection: twice as long each time, less up to a half at random, so that all the
/// callers of a daemon that was restarted do not come back at once.
#[derive(Debug, Default)]
struct Pauses {
    taken: u32,
}

impl Pauses {
    fn next(&mut self) -> Duration {
        let longest = SHORTEST_PAUSE.saturating_mul(1 << self.taken.min(16)).min(LONGEST_PAUSE);
        self.taken += 1;
        longest.mul_f64(1.0 - fastrand::f64() / 2.0)
    }

    /// A connection has proved to be of use.
    fn reset(&mut self) {
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s69_pauses_grow_differ_and_have_a_bound() {
        let mut pauses = Pauses::default();
        let taken: Vec<_> = (0..40).map(|_| pauses.next()).collect();
        assert!((SHORTEST_PAUSE / 2..=SHORTEST_PAUSE).contains(&taken[0]));
        assert!(taken.iter().all(|pause| *pause <= LONGEST_PAUSE));
        assert!(taken[20..].iter().all(|pause| *pause >= LONGEST_PAUSE / 2));
        assert!(taken[20..].windows(2).any(|two| two[0] != two[1]));
        pauses.reset();
        assert!(pauses.next() <= SHORTEST_PAUSE);
    }
}
