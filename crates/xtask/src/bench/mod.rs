//! `cargo xtask bench`: what a warm get costs, as a multiple of a raw exchange of the same sizes; how soon a daemon that
//! starts with kept tokens serves one; and how much of a hung issuer a warm get notices.
//!
//! Everything runs on one CPU and takes turns in one run, so that the ratios hold on any machine. Another
//! comparison is another [`Contender`] in [`contenders`].

mod contender;
mod isolation;
mod ping_pong;
mod report;
mod scale;
mod warm_get;
mod warm_start;

use std::hint::black_box;
use std::process::Command;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use self::contender::Contender;
use self::isolation::Isolation;
use self::ping_pong::PingPong;
use self::report::Report;
use self::scale::ScaleFigures;
use self::warm_get::WarmGet;
use self::warm_start::WarmStart;
use crate::clock::Stopwatch;
use crate::workspace::Workspace;
use crate::{Result, process};

pub(crate) use self::ping_pong::serve as serve_ping_pong;

const ROUNDS: usize = 100;

/// Short rounds: whatever else the machine does meets every contender alike.
const EXCHANGES_PER_ROUND: usize = 200;

const WARM_UP: usize = 2_000;

/// The size of the access token in bytes, a common one for a JWT with a few claims.
const TOKEN: usize = 1_200;

/// The most that a warm get may cost, in raw exchanges (p50).
const LIMIT: f64 = 1.6;

/// Measures in a release build, of the daemon and of the measuring program.
pub(crate) fn run(workspace: &Workspace) -> Result {
    let build = ["build", "--release", "--package=tokenbrokerd", "--package=tokenbroker", "--package=xtask"];
    process::run(&mut workspace.cargo(build))?;
    let release = workspace.target().join("release");
    let mut measurement = Command::new(release.join("xtask"));
    process::run(measurement.arg("bench-release").env("TOKENBROKER_BIN_DIR", &release))
}

/// Measures, prints tables, writes bench.json and isolation.json to the target directory, and fails if something is over
/// its limit.
pub(crate) fn measure(workspace: &Workspace) -> Result {
    let cpu = pin_to_one_cpu()?;
    let mut contenders = contenders()?;
    let mut samples = vec![Vec::with_capacity(ROUNDS * EXCHANGES_PER_ROUND); contenders.len()];
    for contender in &mut contenders {
        exchanges(contender.as_mut(), WARM_UP, &mut Vec::new())?;
    }
    for _ in 0..ROUNDS {
        for (contender, samples) in contenders.iter_mut().zip(&mut samples) {
            exchanges(contender.as_mut(), EXCHANGES_PER_ROUND, samples)?;
        }
    }

    let named = contenders.iter().map(|contender| contender.name()).zip(samples);
    let report = Report::new(cpu, TOKEN, named, WarmStart::measure()?);
    println!("{report}");
    let path = workspace.target().join("bench.json");
    report.write(&path)?;
    println!("written to {}", path.display());
    drop(contenders);

    let isolation = Isolation::measure()?;
    println!("\n{isolation}");
    let path = workspace.target().join("isolation.json");
    isolation.write(&path)?;
    println!("written to {}", path.display());
    report.check(warm_get::NAME, LIMIT)?;
    isolation.check()
}

/// Measures what very many clients cost, and what one does; writes scale.json to the target directory.
pub(crate) fn measure_scale(workspace: &Workspace) -> Result {
    let figures = ScaleFigures::measure()?;
    print!("{figures}");
    let path = workspace.target().join("scale.json");
    figures.write(&path)?;
    println!("written to {}", path.display());
    figures.check()
}

/// The first is what the others are compared with.
fn contenders() -> Result<Vec<Box<dyn Contender>>> {
    Ok(vec![Box::new(PingPong::start()?), Box::new(WarmGet::start()?)])
}

fn exchanges(contender: &mut dyn Contender, count: usize, nanoseconds: &mut Vec<u64>) -> Result {
    for _ in 0..count {
        let stopwatch = Stopwatch::start();
        black_box(contender.exchange()?);
        nanoseconds.push(u64::try_from(stopwatch.elapsed().as_nanos())?);
    }
    Ok(())
}

/// Binds this thread, and with it every thread and process it starts from now on, to the last CPU it may use.
fn pin_to_one_cpu() -> Result<usize> {
    let allowed = sched_getaffinity(None)?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu));
    let cpu = last.ok_or("there is no CPU to run on")?;
    let mut one = CpuSet::new();
    one.set(cpu);
    sched_setaffinity(None, &one)?;
    Ok(cpu)
}
