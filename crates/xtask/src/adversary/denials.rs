//! Whether a caller can tell by the time it takes that there is a client it may not have.

use std::env;
use std::path::PathBuf;

use tokenbroker_client::blocking::Broker;

use super::site::{CLIENT, STRANGER, Site};
use super::{Extent, Findings};
use crate::Result;
use crate::clock::Stopwatch;
use crate::samples::{median, percentile};

/// A client that nobody has configured; its name is as long as the other's.
const UNKNOWN: &str = "oop";

/// The medians may differ by so much of the smaller one.
const DIFFERENCE: f64 = 0.05;

const ROUNDS: usize = 5;

/// The supplementary groups of the caller: 64 are read at once, and a rule about groups looks through them.
const GROUPS: [usize; 3] = [0, 64, 100];

/// The caller, as a user whom no rule names.
#[derive(clap::Args)]
pub(crate) struct Denials {
    socket: PathBuf,
    count: usize,
}

impl Denials {
    /// Prints both medians, in nanoseconds.
    pub(crate) fn run(self) -> Result {
        let broker = Broker::builder().socket(self.socket).cache(false).connect()?;
        let mut times = [Vec::new(), Vec::new()];
        for number in 0..2 * self.count {
            // Which of the two is first changes, too.
            let which = (number + number / 2) % 2;
            let stopwatch = Stopwatch::start();
            let answer = broker.token([CLIENT, UNKNOWN][which]);
            times[which].push(u64::try_from(stopwatch.elapsed().as_nanos())?);
            if answer.is_ok() {
                return Err("a caller whom no rule names got a token".into());
            }
        }
        let medians = times.map(|mut times| {
            times.sort_unstable();
            percentile(&times, 50)
        });
        println!("{} {}", medians[0], medians[1]);
        Ok(())
    }
}

pub(super) fn attempt(extent: Extent) -> Result<Findings> {
    let count = extent.choose(10_000, 200);
    let mut findings = Findings::default();
    let site = Site::start("allow = [{ group = 4001 }, { group = 4002, user = 4002 }]", "")?;
    for groups in GROUPS {
        let mut differences = Vec::new();
        let mut words = String::new();
        for _ in 0..extent.choose(ROUNDS, 1) {
            let (denied, unknown) = medians(&site, groups, count)?;
            differences.push((denied - unknown).abs() / denied.min(unknown));
            words = format!("{denied:.1} us denied, {unknown:.1} us unknown");
        }
        let difference = median(differences);
        findings.saw(match extent {
            Extent::Whole => {
                format!(
                    "a caller in {groups} groups, {count} of each: {words}; {:.1} % apart",
                    difference * 100.0
                )
            }
            Extent::Short => format!("a caller in {groups} groups, {count} of each: all denied"),
        });
        let apart = format!("denials and unknown clients are {:.1} % apart", difference * 100.0);
        findings.must(extent == Extent::Short || difference <= DIFFERENCE, apart);
    }
    let refused = |client| site.install.cli(["get", client]).as_user(STRANGER, STRANGER).run().stderr;
    let alike = refused(CLIENT).replace(CLIENT, UNKNOWN) == refused(UNKNOWN);
    findings.must(alike, "a denial has other words than an unknown client");
    Ok(findings)
}

/// In microseconds: of denials, and of a client that is not known.
fn medians(site: &Site, groups: usize, count: usize) -> Result<(f64, f64)> {
    let mut caller = site.install.program("setpriv");
    caller = caller.args([format!("--reuid={STRANGER}"), format!("--regid={STRANGER}")]);
    let list: Vec<_> = (0..groups).map(|number| (5_000 + number).to_string()).collect();
    caller = match groups {
        0 => caller.args(["--clear-groups"]),
        _ => caller.args([format!("--groups={}", list.join(","))]),
    };
    let caller = caller.args([env::current_exe()?]).args(["adversary-denials"]).args([site.install.socket()]);
    let printed = caller.args([count.to_string()]).run().success();
    let mut medians = printed.split_whitespace().map(str::parse::<f64>);
    let mut next = || medians.next().ok_or("the caller did not say how long it took");
    Ok((next()??, next()??))
}
