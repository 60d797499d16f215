//! `cargo xtask advisories`: known vulnerabilities. Apart from `test`, since its answer changes by itself.

use crate::workspace::Workspace;
use crate::{Result, cargo_deny, process};

pub(crate) fn run(workspace: &Workspace) -> Result {
    process::run(cargo_deny::command(workspace)?.args(["check", "advisories"]))
}
