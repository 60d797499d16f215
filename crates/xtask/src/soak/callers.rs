//! Threads that get tokens, each with a broker of its own that it gives up after a while for another.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokenbroker_client::blocking::Broker;
use tokenbroker_testkit::data;

use super::site::{CLIENTS, Site, name};

const THREADS: usize = 8;

/// How many gets a broker lives.
const GETS_PER_BROKER: usize = 1_000;

/// Every so many tokens, one is presented to the resource.
const PRESENTED: u64 = 200;

/// Between two gets of a thread: the callers are many, not greedy.
const PACE: Duration = Duration::from_millis(2);

/// The threads.
pub(super) struct Callers(Vec<JoinHandle<(Counts, Vec<String>)>>);

/// What they did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) gets: u64,
    pub(super) presented: u64,
    pub(super) brokers: u64,
}

impl Callers {
    pub(super) fn start(site: &Site, stop: &Arc<AtomicBool>) -> Self {
        let (socket, resource) = (site.socket(), site.server.address());
        let start = |number| {
            let caller = Caller {
                socket: socket.clone(),
                resource,
                stop: Arc::clone(stop),
                number,
                counts: Counts::default(),
                failures: Vec::new(),
            };
            thread::spawn(move || caller.run())
        };
        Self((0..THREADS).map(start).collect())
    }

    /// What they did, and what went wrong.
    pub(super) fn join(self) -> (Counts, Vec<String>) {
        let mut all = (Counts::default(), Vec::new());
        for thread in self.0 {
            match thread.join() {
                Ok((Counts { gets, presented, brokers }, failures)) => {
                    all.0.gets += gets;
                    all.0.presented += presented;
                    all.0.brokers += brokers;
                    all.1.extend(failures);
                }
                Err(_) => all.1.push("a caller panicked".into()),
            }
        }
        all
    }
}

struct Caller {
    socket: PathBuf,
    resource: SocketAddr,
    stop: Arc<AtomicBool>,
    number: usize,
    counts: Counts,
    failures: Vec<String>,
}

impl Caller {
    fn run(mut self) -> (Counts, Vec<String>) {
        // Each thread goes through the clients in steps of its own, so that they meet in ever other orders.
        let mut client = self.number;
        while !self.stop.load(Ordering::Relaxed) {
            let broker = Broker::builder().socket(&self.socket).build();
            self.counts.brokers += 1;
            for _ in 0..GETS_PER_BROKER {
                if self.stop.load(Ordering::Relaxed) {
                    break;
                }
                client = (client + 2 * self.number + 1) % CLIENTS;
                self.get(&broker, &name(client));
                thread::sleep(PACE);
            }
        }
        (self.counts, self.failures)
    }

    fn get(&mut self, broker: &Broker, client: &str) {
        self.counts.gets += 1;
        match broker.token(client) {
            Ok(token) if token.expires_in().is_zero() => {
                self.failures.push(format!("{client}: a token that has expired"));
            }
            Ok(token) if self.counts.gets.is_multiple_of(PRESENTED) => {
                self.counts.presented += 1;
                let (status, _) = data(self.resource, token.value());
                if status != 200 {
                    self.failures.push(format!("{client}: the resource answered {status}"));
                }
            }
            Ok(_) => {}
            Err(error) => self.failures.push(format!("{client}: {error}")),
        }
    }
}
