//! `cargo xtask bench`: what a token costs, as a multiple of the least that it can cost on the same machine, and what else
//! the project promises in figures.
//!
//! What is compared takes turns in one run, so that the ratios hold on any machine. A group of figures is one small
//! module with a `measure`, and one line in [`GROUPS`]; what is raced against is a [`race::Contender`].

mod asynchronous;
mod baseline;
mod blocking;
mod cpus;
mod figure;
mod http;
mod in_process;
mod isolation;
mod no_system_call;
mod part;
mod program;
mod push;
mod race;
mod report;
mod scale;
mod site;
mod throughput;
mod warm_start;

use std::process::Command;

use clap::Args;
use clap::builder::PossibleValuesParser;

use self::cpus::Cpus;
use self::race::Pace;
use self::report::{Report, Section};
use crate::workspace::Workspace;
use crate::{Result, peers, process, shipped};

pub(crate) use self::part::Part;

/// The size of the access token in bytes, a common one for a JWT with a few claims.
const TOKEN: usize = 1_200;

/// Figures that are measured together.
struct Group {
    name: &'static str,
    measure: fn(&Settings) -> Result<Section>,
}

const GROUPS: [Group; 10] = [
    Group { name: "blocking", measure: blocking::measure },
    Group { name: "async", measure: asynchronous::measure },
    Group { name: "throughput", measure: throughput::measure },
    Group { name: "in-process", measure: in_process::measure },
    Group { name: "http", measure: http::measure },
    Group { name: "program", measure: program::measure },
    Group { name: "push", measure: push::measure },
    Group { name: "scale", measure: scale::measure },
    Group { name: "isolation", measure: isolation::measure },
    Group { name: "warm-start", measure: warm_start::measure },
];

/// What to measure.
#[derive(Args)]
pub(crate) struct Bench {
    /// Only these groups of figures
    #[arg(value_name = "GROUP", value_parser = PossibleValuesParser::new(GROUPS.iter().map(|group| group.name)))]
    groups: Vec<String>,
    /// Fewer rounds: for a first look, not for a verdict
    #[arg(long)]
    quick: bool,
}

/// How to measure.
struct Settings {
    cpus: Cpus,
    quick: bool,
}

impl Settings {
    /// So many rounds, or a few if it is to be quick.
    fn pace(&self, rounds: usize, per_round: usize) -> Pace {
        let rounds = self.rounds(rounds);
        Pace { rounds, per_round, warm_up: 10 * per_round }
    }

    fn rounds(&self, rounds: usize) -> usize {
        if self.quick { (rounds / 10).max(2) } else { rounds }
    }
}

impl Bench {
    /// Measures the programs as they are shipped, by this one, built as applications are.
    pub(crate) fn run(&self, workspace: &Workspace) -> Result {
        let programs = shipped::build(workspace)?;
        process::run(&mut workspace.cargo(["build", "--profile=caller", "--package=xtask"]))?;
        peers::provide(&peers::OF_BENCH);
        let mut measurement = Command::new(workspace.target().join("caller").join("xtask"));
        measurement.arg("bench-release").args(&self.groups).args(self.quick.then_some("--quick"));
        process::run(measurement.env("TOKENBROKER_BIN_DIR", programs))
    }

    /// Measures, prints tables, writes bench.json to the target directory, and fails if something is beyond its limit.
    pub(crate) fn measure(&self, workspace: &Workspace) -> Result {
        let settings = Settings { cpus: Cpus::allowed()?, quick: self.quick };
        let mut report = Report::new(settings.cpus.count(), TOKEN, self.quick);
        let mut failed = Vec::new();
        for Group { name, measure } in GROUPS.iter().filter(|group| self.includes(group.name)) {
            eprintln!("measuring {name} ...");
            // Each group says for itself which CPUs it takes.
            settings.cpus.use_all()?;
            match measure(&settings) {
                Ok(section) => {
                    println!("\n{section}");
                    report.add(section);
                }
                Err(error) => failed.push(format!("{name} could not be measured: {error}")),
            }
        }
        println!("\n{report}");
        let path = workspace.target().join("bench.json");
        report.write(&path)?;
        println!("written to {}", path.display());
        failed.extend(report.check().err().map(|error| error.to_string()));
        if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
    }

    fn includes(&self, name: &str) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|group| group == name)
    }
}
