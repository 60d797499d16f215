//! One user's ten thousand idle connections: what another user notices of them, and what they cost.

use tokenbroker_client::blocking::Broker;
use tokenbroker_testkit::Crowd;

use super::site::{CLIENT, STRANGER, Site};
use super::{Extent, Findings};
use crate::Result;
use crate::clock::Stopwatch;
use crate::host::Sample;
use crate::samples::Rounds;

/// How many times the 99th percentile of another user's gets may be what it was.
const SLOWER: f64 = 2.0;

/// What the daemon may take more, in KiB.
const MORE: u64 = 64 * 1024;

const ROUNDS: usize = 20;

pub(super) fn attempt(extent: Extent) -> Result<Findings> {
    let connections = extent.choose(10_000, 500);
    let gets = extent.choose(2_000, 10);
    let site = Site::start("", &format!("max_connections_per_uid = {connections}"))?;
    let broker = Broker::builder().socket(site.install.socket()).cache(false).connect()?;
    let sample = || Sample::of_process(site.daemon.pid());

    let (before, alone) = (sample()?, rounds(&broker, gets)?);
    let crowd = Crowd::of(&site.install.socket(), STRANGER, connections);
    let crowded = rounds(&broker, gets)?;
    let with_crowd = sample()?;
    let served = crowd.served();
    drop(crowd);
    let after = rounds(&broker, gets)?;

    let (first, last) = (alone.percentile(99), after.percentile(99));
    let ratio = crowded.percentile(99) / first.max(last);
    let more = with_crowd.resident.saturating_sub(before.resident);
    let mut findings = Findings::default();
    findings.saw(format!(
        "{served} idle connections of one user: {:.1} MiB more, {:.1} MiB resident",
        more as f64 / 1024.0,
        with_crowd.resident as f64 / 1024.0
    ));
    findings.must(served == connections, format!("only {served} of {connections} connections were served"));
    findings.must(more <= MORE, format!("they take {more} KiB"));
    if extent == Extent::Whole {
        findings.saw(format!(
            "p99 of another user's gets: {:.1} us, {first:.1} us before and {last:.1} us after: {ratio:.2} times",
            crowded.percentile(99)
        ));
        findings.must(ratio <= SLOWER, format!("another user's p99 is {ratio:.2} times what it was"));
    }
    Ok(findings)
}

fn rounds(broker: &Broker, gets: usize) -> Result<Rounds> {
    let mut rounds = Rounds::default();
    for _ in 0..ROUNDS {
        let mut times = Vec::with_capacity(gets);
        for _ in 0..gets {
            let stopwatch = Stopwatch::start();
            broker.token(CLIENT)?;
            times.push(u64::try_from(stopwatch.elapsed().as_nanos())?);
        }
        rounds.push(times);
    }
    Ok(rounds)
}
