//! SIGKILL at any moment, with credentials being written: the daemon starts again, and what it had promised is there.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::Duration;

use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{Command, Response, Storing};

use super::site::{CLIENT, SECRET, set_up};
use super::{Extent, Findings};
use crate::Result;
use crate::clock::Stopwatch;
use crate::random::Random;

/// A start may take so long until the socket answers.
const READY: Duration = Duration::from_secs(1);

/// A daemon lives for less than so many microseconds.
const LIFE: usize = 150_000;

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn attempt(extent: Extent) -> Result<Findings> {
    let kills = extent.choose(1_000, 20);
    let (install, _server) = set_up("", "");
    let socket = install.socket();
    let mut random = Random::default();
    let mut known = BTreeSet::new();
    let (mut damaged, mut acknowledged, mut slowest) = (0, 0, Duration::ZERO);
    let mut daemon = install.start();
    known.extend(set_secret(&connect(&socket)?)?);
    for _ in 0..kills {
        let writer = thread::spawn({
            let socket = socket.clone();
            move || set_secrets_until_it_is_gone(&socket)
        });
        thread::sleep(Duration::from_micros(random.below(LIFE) as u64));
        daemon.kill();
        let written = writer.join().map_err(|_| "the writer panicked")?;
        acknowledged += written.len();

        let stopwatch = Stopwatch::start();
        daemon = install.start();
        slowest = slowest.max(stopwatch.elapsed());
        let broker = connect(&socket)?;
        let stored = versions(&broker, Command::CredentialList { client: Some(CLIENT.into()) })?;
        // What was acknowledged last, or what was on its way when the end came.
        let is_there = match written.last() {
            Some(last) => {
                stored.contains(last)
                    || stored.iter().any(|one| !known.contains(one) && !written.contains(one))
            }
            None => !stored.is_empty(),
        };
        if !is_there || broker.token(CLIENT).is_err() {
            damaged += 1;
        }
        known.extend(written);
        known.extend(stored);
    }
    let mut findings = Findings::default();
    findings.saw(format!(
        "{kills} kills, {acknowledged} credentials acknowledged between them: {damaged} damaged states"
    ));
    findings.must(damaged == 0, format!("{damaged} states were damaged"));
    findings.must(acknowledged > 0, "the daemon never lived long enough to store anything");
    if extent == Extent::Whole {
        findings.saw(format!("ready again after {} ms at most", slowest.as_millis()));
        findings.must(slowest <= READY, format!("a start took {} ms", slowest.as_millis()));
    }
    Ok(findings)
}

/// The versions that were acknowledged, in their order.
fn set_secrets_until_it_is_gone(socket: &Path) -> Vec<String> {
    let mut written = Vec::new();
    // A daemon that is gone before anybody connects is one, too.
    let Ok(broker) = connect(socket) else { return written };
    while let Ok(Some(version)) = set_secret(&broker) {
        written.push(version);
    }
    written
}

fn connect(socket: &Path) -> Result<Broker> {
    Ok(Broker::builder().socket(socket).cache(false).connect()?)
}

fn set_secret(broker: &Broker) -> Result<Option<String>> {
    let set =
        Command::SecretSet { client: CLIENT.into(), secret: SECRET.into(), storing: Storing::default() };
    Ok(versions(broker, set)?.pop())
}

fn versions(broker: &Broker, command: Command) -> Result<Vec<String>> {
    match broker.request(command, PATIENCE)? {
        Response::Credentials(credentials) => Ok(credentials.into_iter().map(|one| one.version).collect()),
        other => Err(format!("instead of credentials there came {other:?}").into()),
    }
}
