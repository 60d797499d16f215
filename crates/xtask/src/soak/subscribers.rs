//! Connections that are told of new tokens, and that end and begin anew all the time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokenbroker_client::protocol::{Command, FailureCode, GetToken, Reply, Response};
use tokenbroker_testkit::{Stopwatch, Wire};

use super::site::{CLIENTS, Site, name};

const THREADS: usize = 4;

/// How many subscriptions a connection has.
const SUBSCRIPTIONS: usize = 50;

/// How long a connection lives: most of its tokens are renewed meanwhile.
const LIFE: Duration = Duration::from_secs(20);

/// A daemon may be restarted in the middle of a conversation.
const ANEW_AFTER: Duration = Duration::from_millis(50);

/// The threads.
pub(super) struct Subscribers(Vec<JoinHandle<(u64, Vec<String>)>>);

pub(super) fn start(site: &Site, stop: &Arc<AtomicBool>) -> Subscribers {
    let start = |number| {
        let (socket, stop) = (site.socket(), Arc::clone(stop));
        thread::spawn(move || run(&socket, &stop, number))
    };
    Subscribers((0..THREADS).map(start).collect())
}

impl Subscribers {
    /// How many tokens came unasked, and what went wrong.
    pub(super) fn join(self) -> (u64, Vec<String>) {
        let mut all = (0, Vec::new());
        for thread in self.0 {
            match thread.join() {
                Ok((told, failures)) => {
                    all.0 += told;
                    all.1.extend(failures);
                }
                Err(_) => all.1.push("a subscriber panicked".into()),
            }
        }
        all
    }
}

fn run(socket: &Path, stop: &AtomicBool, number: usize) -> (u64, Vec<String>) {
    let (mut told, mut failures, mut first) = (0, Vec::new(), number);
    let socket: PathBuf = socket.into();
    while !stop.load(Ordering::Relaxed) {
        first = (first + SUBSCRIPTIONS) % CLIENTS;
        match Connection::open(&socket, first) {
            Some(mut connection) => told += connection.listen(stop, &mut failures),
            None => thread::sleep(ANEW_AFTER),
        }
    }
    (told, failures)
}

struct Connection {
    wire: Wire,
    /// The last generation of each subscription; none before the first.
    generations: Vec<u64>,
    first: usize,
}

impl Connection {
    /// `None` if the daemon went away meanwhile.
    fn open(socket: &Path, first: usize) -> Option<Self> {
        let mut wire = Wire::dial(socket)?;
        for number in 0..SUBSCRIPTIONS {
            let client = name((first + number) % CLIENTS);
            let get = GetToken { client, ..GetToken::default() };
            wire.try_ask(u32::try_from(number + 1).ok()?, Command::Subscribe(get)).ok()?;
        }
        Some(Self { wire, generations: vec![0; SUBSCRIPTIONS], first })
    }

    fn listen(&mut self, stop: &AtomicBool, failures: &mut Vec<String>) -> u64 {
        let life = Stopwatch::start();
        let mut told = 0;
        while life.elapsed() < LIFE && !stop.load(Ordering::Relaxed) {
            let Ok(reply) = self.wire.reply_within(Duration::from_millis(500)) else { break };
            let Some(Reply { id, response }) = reply else { continue };
            let number = id as usize - 1;
            let client = name((self.first + number) % CLIENTS);
            match response {
                Response::Token(token) if token.generation > self.generations[number] => {
                    told += u64::from(self.generations[number] > 0);
                    self.generations[number] = token.generation;
                }
                Response::Failed(failure) if failure.code == FailureCode::ShuttingDown => break,
                other => failures.push(format!("{client}: a subscriber was told {other:?}")),
            }
        }
        told
    }
}
