//! `cargo xtask check`: what is worth running after every change.

use crate::Result;
use crate::process;
use crate::steps::Steps;
use crate::workspace::Workspace;

/// Stops at the first step that fails.
pub(crate) fn run(workspace: &Workspace) -> Result {
    let mut steps = Steps::default();
    let _ = steps.take("format", || format(workspace))
        && steps.take("clippy", || clippy(workspace))
        && steps.take("unit tests", || unit_tests(workspace));
    eprint!("\n{steps}");
    steps.outcome()
}

pub(crate) fn format(workspace: &Workspace) -> Result {
    process::run(&mut workspace.cargo(["fmt", "--all", "--check"]))
}

pub(crate) fn clippy(workspace: &Workspace) -> Result {
    // With the simulation's tests, which need bugs on demand.
    let features = "--features=tokenbroker-testkit/mutations";
    process::run(&mut workspace.cargo([
        "clippy",
        "--workspace",
        "--all-targets",
        features,
        "--",
        "-D",
        "warnings",
    ]))
}

fn unit_tests(workspace: &Workspace) -> Result {
    process::run(&mut workspace.cargo(["test", "--quiet", "--workspace", "--lib", "--bins"]))
}
