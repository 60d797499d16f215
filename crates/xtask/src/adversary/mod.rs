//! `cargo xtask adversary`: attacks on a real daemon, many thousand times each, and a count of how often one succeeded.
//!
//! - `pid_reuse`: a caller's number is given to a process that may have more, before the caller was looked at
//! - `exits`: callers that end before they are identified
//! - `idle`: one user's thousands of connections, and what another user notices
//! - `kills`: SIGKILL at any moment, and what is left of the state
//! - `denials`: whether the time of a denial tells a client that there is from one that there is not
//!
//! The figures in docs/security.md are from here. `cargo xtask test` runs the short form, which counts as strictly and
//! takes no times.

mod denials;
mod exits;
mod idle;
mod kills;
mod pid_reuse;
mod site;

use std::process::Command;

use clap::ValueEnum;
use tokenbroker_testkit::{programs, root};

pub(crate) use self::denials::Denials;

use crate::Result;
use crate::clock::Stopwatch;
use crate::process;
use crate::workspace::Workspace;

/// Which attacks, and how many of each.
#[derive(clap::Args)]
pub(crate) struct Adversary {
    /// Only these
    attacks: Vec<Attack>,
    /// A few of each, on a busy machine: counts, and no times
    #[arg(long)]
    short: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Attack {
    PidReuse,
    Exits,
    Idle,
    Kills,
    Denials,
}

/// How much of an attack there is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Whole,
    Short,
}

impl Extent {
    fn choose<T>(self, whole: T, short: T) -> T {
        match self {
            Self::Whole => whole,
            Self::Short => short,
        }
    }
}

/// What was seen, and what of it must not be.
#[derive(Debug, Default)]
struct Findings {
    seen: Vec<String>,
    wrong: Vec<String>,
}

impl Findings {
    fn saw(&mut self, what: impl Into<String>) {
        self.seen.push(what.into());
    }

    fn must(&mut self, holds: bool, otherwise: impl Into<String>) {
        if !holds {
            self.wrong.push(otherwise.into());
        }
    }
}

impl Adversary {
    /// Attacks a release build of the daemon.
    pub(crate) fn run(&self, workspace: &Workspace) -> Result {
        let build =
            ["build", "--release", "--package=tokenbrokerd", "--package=tokenbroker", "--package=xtask"];
        process::run(&mut workspace.cargo(build))?;
        let release = workspace.target().join("release");
        let mut command = Command::new(release.join("xtask"));
        command.arg("adversary-here");
        for attack in &self.attacks {
            command.args(attack.to_possible_value().map(|value| value.get_name().to_owned()));
        }
        if self.short {
            command.arg("--short");
        }
        process::run(command.env("TOKENBROKER_BIN_DIR", &release))
    }

    /// Attacks the programs that `TOKENBROKER_BIN_DIR` names.
    pub(crate) fn run_here(&self) -> Result {
        possible()?;
        let extent = if self.short { Extent::Short } else { Extent::Whole };
        let mut wrong = Vec::new();
        for attack in Attack::value_variants() {
            if self.attacks.is_empty() || self.attacks.contains(attack) {
                let stopwatch = Stopwatch::start();
                let findings = attack.attempt(extent)?;
                println!("{attack:?} ({:.0} s)", stopwatch.elapsed().as_secs_f64());
                findings.seen.iter().for_each(|line| println!("  {line}"));
                findings.wrong.iter().for_each(|line| println!("  WRONG: {line}"));
                wrong.extend(findings.wrong);
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ").into()) }
    }
}

impl Attack {
    fn attempt(self, extent: Extent) -> Result<Findings> {
        match self {
            Self::PidReuse => pid_reuse::attempt(extent),
            Self::Exits => exits::attempt(extent),
            Self::Idle => idle::attempt(extent),
            Self::Kills => kills::attempt(extent),
            Self::Denials => denials::attempt(extent),
        }
    }
}

/// Whether this host has what the attacks take.
///
/// # Errors
///
/// What it lacks.
pub(crate) fn possible() -> std::result::Result<(), String> {
    root()?;
    programs(&["bash", "mount", "python3", "setpriv", "unshare"])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
