//! A subscribed caller: the token is in its own process.

use std::hint::black_box;

use tokenbroker_client::{Broker, blocking};
use tokio::runtime::{Builder, Runtime};

use super::figure::Figure;
use super::race::{Contender, Pace, race, timed};
use super::report::{Section, Table};
use super::site::{self, Site};
use super::{Settings, no_system_call};
use crate::Result;
use crate::clock::{self, Laps};

/// The most that a get may cost, in readings of the clock.
const P50: f64 = 3.0;

/// One would take less than it takes to time it.
const BATCH: usize = 1_000;

pub(super) fn measure(settings: &Settings) -> Result<Section> {
    settings.cpus.use_one()?;
    let site = Site::start()?;
    let pace = Pace { warm_up: 1, ..settings.pace(100, 5) };
    let contenders: Vec<Box<dyn Contender>> =
        vec![Box::new(Clock), Box::new(Blocking::connect(&site)?), Box::new(Async::connect(&site)?)];
    let entries = race(contenders, pace)?;
    let mut section = Section::new("a subscribed caller, in process");
    for (entry, what) in entries[1..].iter().zip(["blocking", "async"]) {
        let ratio = entry.rounds.median_ratio(&entries[0].rounds);
        let what = format!("subscribed get, {what}, p50");
        section = section.figure(Figure::new(what, ratio, "x one read of CLOCK_BOOTTIME").at_most(P50));
    }
    let section = section.table(Table::new(format!("{BATCH} at a time, on one CPU"), &entries));
    Ok(no_system_call::figures(&site).into_iter().fold(section, Section::figure))
}

struct Clock;

impl Contender for Clock {
    fn name(&self) -> String {
        "CLOCK_BOOTTIME".into()
    }

    fn round(&mut self, count: usize, nanoseconds: &mut Vec<u64>) -> Result {
        timed(count, nanoseconds, || {
            for _ in 0..BATCH {
                black_box(clock::boot_time());
            }
            Ok(())
        })
    }
}

struct Blocking {
    broker: blocking::Broker,
    client: String,
}

impl Blocking {
    fn connect(site: &Site) -> Result<Self> {
        Ok(Self {
            broker: blocking::Broker::builder().socket(site.socket()).connect()?,
            client: site::client(),
        })
    }
}

impl Contender for Blocking {
    fn name(&self) -> String {
        "tokenbroker get, blocking".into()
    }

    fn round(&mut self, count: usize, nanoseconds: &mut Vec<u64>) -> Result {
        timed(count, nanoseconds, || {
            for _ in 0..BATCH {
                black_box(self.broker.token(&self.client)?);
            }
            Ok(())
        })
    }
}

struct Async {
    runtime: Runtime,
    broker: Broker,
    client: String,
}

impl Async {
    fn connect(site: &Site) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let broker = runtime.block_on(Broker::builder().socket(site.socket()).connect())?;
        Ok(Self { runtime, broker, client: site::client() })
    }
}

impl Contender for Async {
    fn name(&self) -> String {
        "tokenbroker get, async".into()
    }

    fn round(&mut self, count: usize, nanoseconds: &mut Vec<u64>) -> Result {
        self.runtime.block_on(async {
            let mut laps = Laps::start();
            for _ in 0..count {
                for _ in 0..BATCH {
                    black_box(self.broker.token(&self.client).await?);
                }
                nanoseconds.push(laps.lap());
            }
            Ok(())
        })
    }
}
