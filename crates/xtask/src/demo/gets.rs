//! Gets from several processes, each of which is this program again.

use std::collections::BTreeSet;
use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokenbroker_client::blocking::Broker;

use crate::Result;
use crate::clock::Stopwatch;

/// One such process: gets a token a number of times, and prints what came of it as JSON.
#[derive(clap::Args)]
pub(crate) struct Gets {
    socket: PathBuf,
    client: String,
    count: usize,
}

/// What came of gets.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    generations: BTreeSet<u64>,
    nanoseconds: Vec<u64>,
}

impl Gets {
    pub(crate) fn run(self) -> Result {
        let broker = Broker::builder().socket(&self.socket).cache(false).connect()?;
        let mut outcome = Outcome::default();
        for _ in 0..self.count {
            let stopwatch = Stopwatch::start();
            let token = broker.token(&self.client)?;
            outcome.nanoseconds.push(u64::try_from(stopwatch.elapsed().as_nanos())?);
            outcome.generations.insert(token.generation());
        }
        Ok(serde_json::to_writer(io::stdout(), &outcome)?)
    }
}

impl Outcome {
    /// How many gets there were.
    pub(crate) fn count(&self) -> usize {
        self.nanoseconds.len()
    }

    /// The generations of the tokens that they got.
    pub(crate) fn generations(&self) -> &BTreeSet<u64> {
        &self.generations
    }

    /// How long a get took.
    pub(crate) fn median(&self) -> Duration {
        let mut sorted = self.nanoseconds.clone();
        sorted.sort_unstable();
        Duration::from_nanos(sorted.get(sorted.len() / 2).copied().unwrap_or(0))
    }
}

/// Starts so many processes at once, each with so many gets, and adds up what came of them.
pub(crate) fn in_processes(processes: usize, socket: &Path, client: &str, count: usize) -> Result<Outcome> {
    let program = env::current_exe()?;
    let mut children = Vec::new();
    for _ in 0..processes {
        let mut command = Command::new(&program);
        command.arg("demo-gets").arg(socket).arg(client).arg(count.to_string());
        children.push(command.stdout(Stdio::piped()).spawn()?);
    }
    let mut all = Outcome::default();
    for child in children {
        let output = child.wait_with_output()?;
        if !output.status.success() {
            return Err(format!("a process that gets tokens failed: {}", output.status).into());
        }
        let Outcome { generations, nanoseconds } = serde_json::from_slice(&output.stdout)?;
        all.generations.extend(generations);
        all.nanoseconds.extend(nanoseconds);
    }
    Ok(all)
}
