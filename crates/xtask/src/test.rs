//! `cargo xtask test`: everything that has to hold before a change is taken.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::{env, fs, io};

use crate::steps::Steps;
use crate::tally::Tally;
use crate::workspace::Workspace;
use crate::{Result, adversary, cargo_deny, check, peers, process, simulate};

/// Goes on after a step that failed, so that one run tells all there is to tell.
///
/// Suites that could not run for lack of something are named at the end; where `CI` is set they are a failure.
pub(crate) fn run(workspace: &Workspace) -> Result {
    let skipped = SkippedSuites::start(workspace)?;
    let mut tally = Tally::default();
    let mut steps = Steps::default();
    steps.take("format", || check::format(workspace));
    steps.take("clippy", || check::clippy(workspace));
    steps.take("documentation", || documentation(workspace));
    steps.take("dependencies", || dependencies(workspace, &skipped));
    steps.take("real peers", || {
        peers::provide(&peers::OF_TESTS);
        Ok(())
    });
    steps.take("simulation", || simulation(workspace, &mut tally));
    if steps.take("build", || process::run(&mut workspace.cargo(["build", "--workspace"]))) {
        steps.take("tests", || tests(workspace, &skipped, &mut tally));
        steps.take("examples in the documentation", || doc_tests(workspace, &mut tally));
        steps.take("adversary", || adversary(workspace, &skipped));
        steps.take("soak", || soak(workspace));
        steps.take("demo", || process::run(&mut workspace.cargo(["run", "--package=xtask", "--", "demo"])));
    }

    println!("\n{steps}");
    for failure in tally.failures() {
        println!("FAILED: {failure}");
    }
    let not_run = skipped.lines()?;
    for line in &not_run {
        println!("{line}");
    }
    println!("{tally}");

    steps.outcome()?;
    if env::var_os("CI").is_some() && !not_run.is_empty() {
        return Err("with CI set, a suite that did not run is a failure".into());
    }
    Ok(())
}

fn documentation(workspace: &Workspace) -> Result {
    let all = ["doc", "--workspace", "--no-deps", "--features=tokenbroker-client/reqwest"];
    process::run(workspace.cargo(all).env("RUSTDOCFLAGS", "-D warnings"))
}

fn dependencies(workspace: &Workspace, skipped: &SkippedSuites) -> Result {
    match cargo_deny::command(workspace) {
        Ok(mut cargo_deny) => process::run(cargo_deny.args(["check", "licenses", "sources", "bans"])),
        Err(error) => skipped.add(&format!("SUITE NOT RUN: dependencies: {error}")),
    }
}

fn tests(workspace: &Workspace, skipped: &SkippedSuites, tally: &mut Tally) -> Result {
    tally.run(
        workspace
            .cargo(["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"])
            .env("TOKENBROKER_BIN_DIR", workspace.target().join("debug"))
            .env("TOKENBROKER_SKIPPED_SUITES", &skipped.0),
    )
}

/// 1,000 simulated days and outages, and bugs that must be found; optimized, or it would take an hour.
fn simulation(workspace: &Workspace, tally: &mut Tally) -> Result {
    let mut test = workspace.cargo(["test"]);
    test.args(simulate::BUILD).args(["--lib", "--test=simulation", "--no-fail-fast"]);
    tally.run(&mut test)
}

/// A few of what are many thousands in the long form.
fn adversary(workspace: &Workspace, skipped: &SkippedSuites) -> Result {
    if let Err(lacking) = adversary::possible() {
        return skipped.add(&format!("SUITE NOT RUN: adversary: {lacking}"));
    }
    let mut attacks = workspace.cargo(["run", "--package=xtask", "--", "adversary-here", "--short"]);
    process::run(attacks.env("TOKENBROKER_BIN_DIR", workspace.target().join("debug")))
}

/// Two minutes of what can go on for hours: in less, too little is left once every client was renewed.
fn soak(workspace: &Workspace) -> Result {
    let mut soak = workspace.cargo(["run", "--package=xtask", "--", "soak-here", "--minutes=2"]);
    process::run(soak.env("TOKENBROKER_BIN_DIR", workspace.target().join("debug")))
}

fn doc_tests(workspace: &Workspace, tally: &mut Tally) -> Result {
    tally.run(&mut workspace.cargo(["test", "--workspace", "--doc", "--no-fail-fast"]))
}

/// The file in which suites that can't run leave a line.
struct SkippedSuites(PathBuf);

impl SkippedSuites {
    fn start(workspace: &Workspace) -> Result<Self> {
        let path = workspace.target().join("skipped-suites.txt");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(Self(path)),
        }
    }

    fn add(&self, line: &str) -> Result {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.0)?;
        Ok(writeln!(file, "{line}")?)
    }

    /// Tests of several programs may lack the same thing; it is said once.
    fn lines(&self) -> Result<Vec<String>> {
        let text = match fs::read_to_string(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let mut lines: Vec<_> = text.lines().map(String::from).collect();
        lines.sort();
        lines.dedup();
        Ok(lines)
    }
}
