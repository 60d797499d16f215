//! cargo-deny, which holds the dependencies to deny.toml. Installed below the target directory if the host has none.

use std::process::Command;

use crate::workspace::Workspace;
use crate::{Result, process};

/// What the configuration was written for.
const VERSION: &str = "0.20.2";

/// `cargo deny`, ready for a subcommand. The first time, it takes minutes.
pub(crate) fn command(workspace: &Workspace) -> Result<Command> {
    if process::find("cargo-deny").is_some() {
        return Ok(workspace.cargo(["deny", "--workspace"]));
    }
    let tools = workspace.target().join("tools");
    let program = tools.join("bin").join("cargo-deny");
    if !program.is_file() {
        let mut install =
            workspace.cargo(["install", "cargo-deny", "--locked", "--quiet", "--version", VERSION]);
        process::run(install.arg("--root").arg(&tools))?;
    }
    let mut command = Command::new(program);
    command.current_dir(workspace.root()).args(["--workspace"]);
    Ok(command)
}
