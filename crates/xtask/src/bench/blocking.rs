//! A caller that blocks, on a kept connection: what most programs are.

use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use tokenbroker_client::blocking::Broker;

use super::Settings;
use super::baseline::echo::{Echo, Threads};
use super::baseline::nginx::Nginx;
use super::baseline::ping_pong::PingPong;
use super::baseline::ssh_agent::SshAgent;
use super::figure::Figure;
use super::http::HttpCaller;
use super::race::{Contender, race, timed};
use super::report::{Section, Table};
use super::site::{self, Exchange, Site};
use crate::Result;

/// The most that a get may cost, in raw exchanges.
const P50: f64 = 1.3;
const P99: f64 = 1.4;

pub(super) fn measure(settings: &Settings) -> Result<Section> {
    settings.cpus.use_one()?;
    let site = Site::start()?;
    let exchange = site.exchange()?;
    let echo = Echo::start(Threads::Current, &exchange)?;
    let mut contenders: Vec<Box<dyn Contender>> = vec![
        Box::new(PingPong::start(&exchange)?),
        Box::new(Get::connect(&site)?),
        Box::new(Raw::new("raw caller, raw echo", UnixStream::connect(echo.socket())?, &exchange)),
        Box::new(Raw::new("raw caller, tokenbroker", site.connect()?, &exchange)),
    ];
    let mut absent = Vec::new();
    let nginx = Nginx::start("/token", site.token());
    let caller = |nginx: &Nginx| HttpCaller::connect("nginx, HTTP, a file", &nginx.socket(), "/token");
    match &nginx {
        Ok(nginx) => contenders.push(Box::new(caller(nginx)?)),
        Err(error) => absent.push(format!("nginx, HTTP: {error}")),
    }
    match SshAgent::start() {
        Ok(agent) => contenders.push(Box::new(agent)),
        Err(error) => absent.push(format!("ssh-agent: {error}")),
    }
    let entries = race(contenders, settings.pace(100, 200))?;
    let (raw, get) = (&entries[0].rounds, &entries[1].rounds);
    let section = Section::new("a caller that blocks, one kept connection, warm token")
        .figure(Figure::new("blocking get, p50", get.median_ratio(raw), "x raw exchange").at_most(P50))
        .figure(
            Figure::new("blocking get, p99", get.percentile_ratio(raw, 99), "x raw exchange").at_most(P99),
        )
        .table(Table::new("everything on one CPU", &entries).absent(absent));
    drop(site);

    if settings.cpus.use_two().is_err() {
        return Ok(section);
    }
    let site = Site::start()?;
    let contenders: Vec<Box<dyn Contender>> =
        vec![Box::new(PingPong::start(&site.exchange()?)?), Box::new(Get::connect(&site)?)];
    let entries = race(contenders, settings.pace(50, 200))?;
    Ok(section.table(Table::new("on two CPUs", &entries)))
}

/// The blocking half of tokenbroker-client, without its cache.
struct Get {
    broker: Broker,
    client: String,
}

impl Get {
    fn connect(site: &Site) -> Result<Self> {
        let broker = Broker::builder().socket(site.socket()).cache(false).connect()?;
        Ok(Self { broker, client: site::client() })
    }
}

/// As thin as a caller that blocks can be: what it costs tells the server's part from the caller's.
struct Raw {
    name: &'static str,
    stream: UnixStream,
    request: Vec<u8>,
    reply: Vec<u8>,
}

impl Raw {
    fn new(name: &'static str, stream: UnixStream, exchange: &Exchange) -> Self {
        Self { name, stream, request: exchange.request.clone(), reply: vec![0; exchange.reply] }
    }
}

impl Contender for Raw {
    fn name(&self) -> String {
        self.name.into()
    }

    fn round(&mut self, count: usize, nanoseconds: &mut Vec<u64>) -> Result {
        timed(count, nanoseconds, || {
            self.stream.write_all(&self.request)?;
            Ok(self.stream.read_exact(&mut self.reply)?)
        })
    }
}

impl Contender for Get {
    fn name(&self) -> String {
        "tokenbroker get, blocking".into()
    }

    fn round(&mut self, count: usize, nanoseconds: &mut Vec<u64>) -> Result {
        timed(count, nanoseconds, || {
            black_box(self.broker.token(&self.client)?);
            Ok(())
        })
    }
}
