//! As many gets as possible, on one connection and on many.
//!
//! One asynchronous load generator is for all: it writes ready bytes and reads as many as a reply has, from the daemon as
//! from the raw servers. What it got from the daemon is looked at between rounds.

use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};

use super::Settings;
use super::baseline::echo::{self, Echo, Threads};
use super::figure::Figure;
use super::report::{Entry, Section, Table};
use super::site::{Exchange, Site};
use crate::Result;
use crate::clock::{Laps, Stopwatch};
use crate::samples::{Rounds, median};

/// The least part of the better raw server's rate that there must be on two CPUs.
const LEAST: f64 = 0.85;

/// Under load; one connection is for comparison.
const CONNECTIONS: [usize; 3] = [1, 8, 64];
const LIMITED: std::ops::RangeFrom<usize> = 8..;

const ROUNDS: usize = 20;
const ROUND: Duration = Duration::from_millis(100);

pub(super) fn measure(settings: &Settings) -> Result<Section> {
    let mut section = Section::new("throughput: one asynchronous load generator for all");
    settings.cpus.use_one()?;
    for connections in CONNECTIONS {
        let (table, _) = load(settings, connections, "everything on one CPU")?;
        section = section.table(table);
    }
    let unit = "of the better raw echo";
    if let Err(error) = settings.cpus.use_two() {
        return Ok(section.figure(Figure::not_measured("throughput on two CPUs", error)));
    }
    for connections in CONNECTIONS {
        let (table, ratio) = load(settings, connections, "on two CPUs")?;
        section = section.table(table);
        if LIMITED.contains(&connections) {
            let what = format!("throughput, {connections} connections");
            section = section.figure(Figure::new(what, ratio, unit).at_least(LEAST));
        }
    }
    Ok(section)
}

/// A table, and the daemon's rate as a part of the better raw server's.
fn load(settings: &Settings, connections: usize, place: &str) -> Result<(Table, f64)> {
    let site = Site::start()?;
    let exchange = site.exchange()?;
    let echoes = [Echo::start(Threads::Current, &exchange)?, Echo::start(Threads::Two, &exchange)?];
    let mut loads = [
        Load::raw(Threads::Current.name(), echoes[0].socket(), &exchange, connections)?,
        Load::raw(Threads::Two.name(), echoes[1].socket(), &exchange, connections)?,
        Load::native(&site, &exchange, connections)?,
    ];
    for load in &mut loads {
        load.round()?;
        load.forget();
    }
    for _ in 0..settings.rounds(ROUNDS) {
        loads.iter_mut().try_for_each(Load::round)?;
        loads[2].replies().try_for_each(|reply| site.check(reply))?;
    }
    let better = usize::from(median(loads[1].rates.clone()) > median(loads[0].rates.clone()));
    let ratio =
        median(loads[2].rates.iter().zip(&loads[better].rates).map(|(ours, theirs)| ours / theirs).collect());
    let words = if connections == 1 { "connection" } else { "connections" };
    let entries = loads.map(Load::into_entry);
    Ok((Table::new(format!("{connections} {words}, {place}"), &entries), ratio))
}

/// The load generator on one of the servers.
struct Load {
    name: &'static str,
    runtime: Runtime,
    callers: Vec<Caller>,
    rounds: Rounds,
    /// Exchanges a second, round by round.
    rates: Vec<f64>,
}

impl Load {
    fn raw(name: &'static str, socket: PathBuf, exchange: &Exchange, connections: usize) -> Result<Self> {
        Self::new(name, exchange, connections, || Ok(std::os::unix::net::UnixStream::connect(&socket)?))
    }

    fn native(site: &Site, exchange: &Exchange, connections: usize) -> Result<Self> {
        Self::new("tokenbroker, native protocol", exchange, connections, || site.connect())
    }

    fn new(
        name: &'static str,
        exchange: &Exchange,
        connections: usize,
        connect: impl Fn() -> Result<std::os::unix::net::UnixStream>,
    ) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let caller = || {
            let stream = connect()?;
            stream.set_nonblocking(true)?;
            let _inside = runtime.enter();
            let stream = UnixStream::from_std(stream)?;
            Ok(Caller { stream, exchange: exchange.clone(), buffer: echo::buffer(), nanoseconds: Vec::new() })
        };
        let callers = std::iter::repeat_with(caller).take(connections).collect::<Result<_>>()?;
        Ok(Self { name, runtime, callers, rounds: Rounds::default(), rates: Vec::new() })
    }

    fn round(&mut self) -> Result {
        let callers = std::mem::take(&mut self.callers);
        let stopwatch = Stopwatch::start();
        let callers = self.runtime.block_on(async {
            let tasks: Vec<_> = callers.into_iter().map(|caller| tokio::spawn(caller.ask())).collect();
            let mut callers = Vec::with_capacity(tasks.len());
            for task in tasks {
                callers.push(task.await??);
            }
            Result::Ok(callers)
        })?;
        let took = stopwatch.elapsed();
        self.callers = callers;
        let mut nanoseconds = Vec::new();
        for caller in &mut self.callers {
            nanoseconds.append(&mut caller.nanoseconds);
        }
        self.rates.push(nanoseconds.len() as f64 / took.as_secs_f64());
        self.rounds.push(nanoseconds);
        Ok(())
    }

    /// The last one on each connection.
    fn replies(&self) -> impl Iterator<Item = &[u8]> {
        self.callers.iter().map(|caller| &caller.buffer[..caller.exchange.reply])
    }

    /// What came before was a warm-up.
    fn forget(&mut self) {
        self.rounds = Rounds::default();
        self.rates.clear();
    }

    fn into_entry(self) -> Entry {
        let per_second = Some(median(self.rates));
        Entry { per_second, ..Entry::new(self.name, self.rounds) }
    }
}

/// One connection, on which each exchange begins when the one before has ended.
struct Caller {
    stream: UnixStream,
    exchange: Exchange,
    buffer: Vec<u8>,
    nanoseconds: Vec<u64>,
}

impl Caller {
    async fn ask(mut self) -> std::io::Result<Self> {
        let mut laps = Laps::start();
        while laps.total() < ROUND {
            echo::exchange(&mut self.stream, &self.exchange, &mut self.buffer).await?;
            self.nanoseconds.push(laps.lap());
        }
        Ok(self)
    }
}
