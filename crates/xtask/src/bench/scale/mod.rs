//! What very many clients cost, and what one alone does: memory, wake-ups, and how fast cold ones become warm.

mod load;
mod process;
mod site;

use std::fs;
use std::hint::black_box;
use std::io;
use std::thread;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::Command;
use tokenbroker_testkit::wait_for;

use self::process::{Memory, Process};
use self::site::{Running, Site, name};
use super::Settings;
use super::figure::Figure;
use super::report::Section;
use crate::Result;
use crate::clock::Stopwatch;
use crate::random::Random;
use crate::samples::{median, percentile};

/// Clients that are all warm.
const MANY: usize = 100_000;

/// The few that they are compared with.
const FEW: usize = 10;

/// Clients that are all cold; and warm, with nothing to do.
const SOME: usize = 10_000;

/// As many as the daemon may have under way.
const CONNECTIONS: usize = 64;

const COLD_ROUNDS: usize = 3;

const GET_ROUNDS: usize = 60;

/// Short rounds: whatever else the machine does meets both alike.
const GETS_PER_ROUND: usize = 500;

/// How long an idle daemon is watched.
const IDLE: Duration = Duration::from_secs(30);

/// After this a daemon has come to rest, and ended the threads that it had only for its start.
const REST: Duration = Duration::from_secs(15);

const PATIENCE: Duration = Duration::from_secs(300);

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * KIB;

/// All of it, some minutes long, on all CPUs, but for the gets: these are on one.
pub(super) fn measure(settings: &Settings) -> Result<Section> {
    settings.cpus.use_all()?;
    let figures = one_client()?.into_iter().chain(some_clients()?).chain(many_clients()?);
    let section = Section::new(format!("one client, {SOME} and {MANY}"));
    Ok(figures.fold(section, Section::figure))
}

fn one_client() -> Result<[Figure; 2]> {
    let site = Site::with_tls()?;
    let running = site.start();
    running.all_warm()?;
    thread::sleep(REST);
    let Memory { resident, anonymous } = running.process().memory()?;
    running.end()?;
    Ok([
        Figure::new("one client after its TLS token request, resident", resident as f64 / MIB, "MiB")
            .at_most(8.0),
        Figure::new("of which anonymous", anonymous as f64 / MIB, "MiB").at_most(2.0),
    ])
}

/// Cold, then idle.
fn some_clients() -> Result<Vec<Figure>> {
    let site = Site::new(SOME)?;
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..COLD_ROUNDS {
        let load = || load::get_tokens(site.server.address(), SOME, CONNECTIONS);
        let ((), rate) = rate_of(&site, load)?;
        plain.push(rate);
        forget_tokens(&site)?;
        let (running, rate) = rate_of(&site, || Ok(site.start()))?;
        ours.push(rate);
        running.all_warm()?;
        running.end()?;
    }
    // The tokens that it kept are there at once, and nothing is to be fetched.
    let running = site.start();
    running.all_warm()?;
    let wake_ups = wake_ups(running.process())?;
    let (ours, plain) = (median(ours), median(plain));
    Ok(vec![
        Figure::new(format!("{SOME} cold clients"), ours, "tokens/s"),
        Figure::new("a plain load generator", plain, "tokens/s"),
        Figure::new("part of the plain rate", ours / plain, "").at_least(0.8),
        Figure::new(format!("idle with {SOME} warm clients"), wake_ups, "wakes/10s").at_most(1.0),
    ])
}

fn many_clients() -> Result<Vec<Figure>> {
    let memory_of_none = {
        let site = Site::new(0)?;
        let running = site.start();
        thread::sleep(REST);
        running.process().memory()?.resident
    };
    let (few, many) = (Site::new(FEW)?, Site::new(MANY)?);
    let running = [few.start(), many.start()];
    running.iter().try_for_each(Running::all_warm)?;
    thread::sleep(REST);
    let process = running[1].process();
    let resident = process.memory()?.resident;
    let each = (resident - memory_of_none) as f64 / MANY as f64;

    let [p50_of_few, p50_of_many] = gets(&running)?;
    let reload = reload(&running[1].broker()?)?;
    let resident_after = process.memory()?.resident;
    let [of_few, of_many] = running;
    of_few.end()?;
    of_many.end()?;
    let stopwatch = Stopwatch::start();
    let again = many.start();
    let start = stopwatch.elapsed();
    again.all_warm()?;
    Ok(vec![
        Figure::new("an empty daemon, resident", memory_of_none as f64 / MIB, "MiB"),
        Figure::new(format!("{MANY} warm clients, each beyond that"), each / KIB, "KiB").at_most(4.0),
        Figure::new(
            "the same after a reload",
            (resident_after - memory_of_none) as f64 / MANY as f64 / KIB,
            "KiB",
        ),
        Figure::new(format!("warm get of {FEW} clients at random"), p50_of_few, "us"),
        Figure::new(format!("warm get of {MANY} clients at random"), p50_of_many, "us"),
        Figure::new("grows to", p50_of_many / p50_of_few, "").at_most(1.1),
        Figure::new(format!("start with {MANY} clients"), start.as_secs_f64(), "s").at_most(10.0),
        Figure::new(format!("reload with {MANY} clients"), reload.as_secs_f64(), "s").at_most(10.0),
    ])
}

/// How many tokens per second the server was asked for, from the first request to the last.
fn rate_of<T>(site: &Site, begin: impl FnOnce() -> Result<T> + Send) -> Result<(T, f64)>
where
    T: Send,
{
    let server = &site.server;
    let before = server.all_token_requests();
    let asked = |count: u64| {
        let is_enough = || (server.all_token_requests() >= before + count).then_some(());
        wait_for(PATIENCE, is_enough).ok_or("the tokens were not fetched in time")
    };
    thread::scope(|scope| {
        let under_way = scope.spawn(|| begin().map_err(|error| error.to_string()));
        asked(1)?;
        let stopwatch = Stopwatch::start();
        asked(SOME as u64)?;
        let rate = SOME as f64 / stopwatch.elapsed().as_secs_f64();
        let begun = under_way.join().map_err(|_| "what gets the tokens panicked")??;
        Ok((begun, rate))
    })
}

/// As if there had been no daemon before.
fn forget_tokens(site: &Site) -> Result {
    for file in fs::read_dir(site.install.state_dir())? {
        let path = file?.path();
        let is_tokens = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("tokens-"));
        match if is_tokens { fs::remove_file(path) } else { Ok(()) } {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// In ten seconds.
fn wake_ups(process: Process) -> Result<f64> {
    thread::sleep(REST);
    let before = process.switches()?;
    thread::sleep(IDLE);
    Ok(process.switches()?.since(&before) as f64 * 10.0 / IDLE.as_secs_f64())
}

/// The p50 of a get in microseconds, of clients drawn at random: of the few and of the many.
fn gets(running: &[Running<'_>; 2]) -> Result<[f64; 2]> {
    let everywhere = sched_getaffinity(None)?;
    pin(&everywhere, running)?;
    let brokers = [running[0].broker()?, running[1].broker()?];
    let mut samples = [Vec::new(), Vec::new()];
    let mut random = Random::new(1);
    for round in 0..GET_ROUNDS {
        for (which, clients) in [(0, FEW), (1, MANY)] {
            let names: Vec<_> = (0..GETS_PER_ROUND).map(|_| name(random.below(clients))).collect();
            for name in &names {
                let stopwatch = Stopwatch::start();
                black_box(brokers[which].token(name)?);
                // The first are there to have the daemon's code where a busy daemon has it.
                if round > 0 {
                    samples[which].push(u64::try_from(stopwatch.elapsed().as_nanos())?);
                }
            }
        }
    }
    sched_setaffinity(None, &everywhere)?;
    Ok(samples.map(|mut nanoseconds| {
        nanoseconds.sort_unstable();
        percentile(&nanoseconds, 50)
    }))
}

/// Binds this thread and the daemons to the last CPU of these.
fn pin(cpus: &CpuSet, running: &[Running<'_>]) -> Result {
    let cpu = (0..CpuSet::MAX_CPU).rev().find(|cpu| cpus.is_set(*cpu)).ok_or("there is no CPU to run on")?;
    let mut one = CpuSet::new();
    one.set(cpu);
    sched_setaffinity(None, &one)?;
    running.iter().try_for_each(|running| running.process().pin(&one))
}

fn reload(broker: &Broker) -> Result<Duration> {
    let stopwatch = Stopwatch::start();
    broker.request(Command::Reload, PATIENCE)?;
    Ok(stopwatch.elapsed())
}
