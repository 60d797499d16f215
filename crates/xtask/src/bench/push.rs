//! A new generation on its way to everybody who has subscribed to the token.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{self, Command, FrameBuffer, GetToken, Reply, Request, Response};
use tokio::io::AsyncReadExt;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::Settings;
use super::figure::Figure;
use super::report::{Entry, Section, Table};
use super::site::{self, Site};
use crate::Result;
use crate::clock::{Stopwatch, nanoseconds};
use crate::samples::Rounds;

const SUBSCRIBERS: usize = 1_000;

/// The most milliseconds between the first and the last of them.
const LIMIT_MS: f64 = 20.0;

const RENEWALS: usize = 20;

const ID: u32 = 7;

const PATIENCE: Duration = Duration::from_secs(10);

/// How many more descriptors than subscribers a process may need.
const SPARE: u64 = 100;

pub(super) fn measure(settings: &Settings) -> Result<Section> {
    allow_descriptors()?;
    settings.cpus.use_two()?;
    let site = Site::start()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut subscribers =
        (0..SUBSCRIBERS).map(|_| Subscriber::new(&site, &runtime)).collect::<Result<Vec<_>>>()?;
    let (mut rounds, mut slowest) = (Rounds::default(), 0);
    for _ in 0..settings.rounds(RENEWALS) {
        let times = renewal(&site, &runtime, &mut subscribers)?;
        slowest = slowest.max(times.iter().copied().max().unwrap_or(0));
        rounds.push(times);
    }
    let milliseconds = slowest as f64 / 1_000_000.0;
    Ok(Section::new(format!(
        "a new generation for {SUBSCRIBERS} subscribers, each on a connection of its own"
    ))
    .figure(Figure::new("push, the last after the first, at worst", milliseconds, "ms").at_most(LIMIT_MS))
    .table(Table::new("on two CPUs", &[Entry::new("after the first", rounds)])))
}

/// Both this process and the daemon need one for each subscriber.
fn allow_descriptors() -> Result {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if maximum.is_some_and(|most| most < SUBSCRIBERS as u64 + SPARE) {
        return Err(format!("this takes more open files than `ulimit -H -n` allows: {maximum:?}").into());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// Renews, and says for each subscriber how long after the first it had its new token.
fn renewal(site: &Site, runtime: &Runtime, subscribers: &mut Vec<Subscriber>) -> Result<Vec<u64>> {
    let stopwatch = Stopwatch::start();
    let waiting: Vec<_> = {
        let _inside = runtime.enter();
        subscribers.drain(..).map(|subscriber| tokio::spawn(subscriber.hear(stopwatch))).collect()
    };
    let broker = Broker::builder().socket(site.socket()).connect()?;
    let renewed = std::thread::spawn(move || {
        let renew = Command::Renew { client: site::client(), wait_ms: 5_000 };
        broker.request(renew, PATIENCE).map(drop)
    });
    let mut times = Vec::with_capacity(SUBSCRIBERS);
    let everybody = async {
        for subscriber in waiting {
            let (subscriber, time) = subscriber.await??;
            subscribers.push(subscriber);
            times.push(time);
        }
        Result::Ok(())
    };
    runtime
        .block_on(async { timeout(PATIENCE, everybody).await })
        .map_err(|_| "not every subscriber has heard of the new token")??;
    renewed.join().map_err(|_| "the renewal panicked")??;
    subscribers.iter_mut().try_for_each(Subscriber::check)?;
    let first = times.iter().copied().min().unwrap_or(0);
    Ok(times.into_iter().map(|time| time - first).collect())
}

struct Subscriber {
    stream: tokio::net::UnixStream,
    received: FrameBuffer,
    generation: u64,
}

impl Subscriber {
    /// One that has its first token.
    fn new(site: &Site, runtime: &Runtime) -> Result<Self> {
        let mut stream = site.connect()?;
        let get = GetToken { client: site::client(), ..GetToken::default() };
        let subscribe = Request { id: ID, command: Command::Subscribe(get) };
        stream.write_all(protocol::encode(&subscribe)?.expose())?;
        let mut received = FrameBuffer::default();
        let generation = first(&mut stream, &mut received)?;
        stream.set_nonblocking(true)?;
        let _inside = runtime.enter();
        Ok(Self { stream: tokio::net::UnixStream::from_std(stream)?, received, generation })
    }

    /// Waits for the next token, which is not looked at before everybody has one.
    async fn hear(mut self, since: Stopwatch) -> std::io::Result<(Self, u64)> {
        match self.stream.read(self.received.space()).await? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => {
                let time = nanoseconds(since.elapsed());
                self.received.filled(count);
                Ok((self, time))
            }
        }
    }

    /// An error if what it has heard is not the next generation.
    fn check(&mut self) -> Result {
        match generation(&mut self.received)? {
            Some(next) if next > self.generation => {
                self.generation = next;
                Ok(())
            }
            other => Err(format!("a subscriber of generation {} heard of {other:?}", self.generation).into()),
        }
    }
}

fn first(stream: &mut UnixStream, received: &mut FrameBuffer) -> Result<u64> {
    loop {
        if let Some(generation) = generation(received)? {
            return Ok(generation);
        }
        match stream.read(received.space())? {
            0 => return Err("the daemon closed the connection of a subscriber".into()),
            count => received.filled(count),
        }
    }
}

/// Of the next token that was received whole.
fn generation(received: &mut FrameBuffer) -> Result<Option<u64>> {
    match received.next_frame()?.map(protocol::decode).transpose()? {
        None => Ok(None),
        Some(Reply { id: ID, response: Response::Token(token) }) => Ok(Some(token.generation)),
        Some(Reply { response: Response::Failed(failure), .. }) => Err(failure.message.into()),
        Some(_) => Err("the daemon's reply is not the token".into()),
    }
}
