//! A caller on a tokio runtime, on a kept connection.

use std::hint::black_box;

use tokenbroker_client::Broker;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};

use super::Settings;
use super::baseline::echo::{self, Echo, Threads};
use super::figure::Figure;
use super::race::{Contender, race};
use super::report::{Section, Table};
use super::site::{self, Exchange, Site};
use crate::Result;
use crate::clock::Laps;

/// The most that a get may cost, in exchanges with the raw server on one thread.
const P50: f64 = 1.25;

pub(super) fn measure(settings: &Settings) -> Result<Section> {
    settings.cpus.use_one()?;
    let site = Site::start()?;
    let entries = race(contenders(&site)?, settings.pace(100, 200))?;
    let ratio = entries[2].rounds.median_ratio(&entries[0].rounds);
    let section = Section::new("an asynchronous caller, one kept connection, warm token")
        .figure(Figure::new("async get, p50", ratio, "x raw echo").at_most(P50))
        .table(Table::new("everything on one CPU", &entries));
    if settings.cpus.use_two().is_err() {
        return Ok(section);
    }
    let site = Site::start()?;
    let entries = race(contenders(&site)?, settings.pace(50, 200))?;
    Ok(section.table(Table::new("on two CPUs", &entries)))
}

/// The first is what the others are compared with.
fn contenders(site: &Site) -> Result<Vec<Box<dyn Contender>>> {
    let exchange = site.exchange()?;
    Ok(vec![
        Box::new(Raw::start(Threads::Current, &exchange)?),
        Box::new(Raw::start(Threads::Two, &exchange)?),
        Box::new(Get::connect(site)?),
    ])
}

/// As thin as an asynchronous caller can be, with a raw server.
struct Raw {
    threads: Threads,
    exchange: Exchange,
    runtime: Runtime,
    stream: UnixStream,
    _server: Echo,
}

impl Raw {
    fn start(threads: Threads, exchange: &Exchange) -> Result<Self> {
        let server = Echo::start(threads, exchange)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let stream = runtime.block_on(UnixStream::connect(server.socket()))?;
        Ok(Self { threads, exchange: exchange.clone(), runtime, stream, _server: server })
    }
}

impl Contender for Raw {
    fn name(&self) -> String {
        self.threads.name().into()
    }

    fn round(&mut self, count: usize, nanoseconds: &mut Vec<u64>) -> Result {
        let mut buffer = echo::buffer();
        self.runtime.block_on(async {
            let mut laps = Laps::start();
            for _ in 0..count {
                echo::exchange(&mut self.stream, &self.exchange, &mut buffer).await?;
                nanoseconds.push(laps.lap());
            }
            Ok(())
        })
    }
}

/// The asynchronous half of tokenbroker-client, without its cache.
struct Get {
    runtime: Runtime,
    broker: Broker,
    client: String,
}

impl Get {
    fn connect(site: &Site) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let broker = runtime.block_on(Broker::builder().socket(site.socket()).cache(false).connect())?;
        Ok(Self { runtime, broker, client: site::client() })
    }
}

impl Contender for Get {
    fn name(&self) -> String {
        "tokenbroker get, async".into()
    }

    fn round(&mut self, count: usize, nanoseconds: &mut Vec<u64>) -> Result {
        self.runtime.block_on(async {
            let mut laps = Laps::start();
            for _ in 0..count {
                black_box(self.broker.token(&self.client).await?);
                nanoseconds.push(laps.lap());
            }
            Ok(())
        })
    }
}
