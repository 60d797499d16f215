//! The programs in the shape in which they are shipped: what packages build, and what is measured.

use std::fs;
use std::path::PathBuf;

use crate::workspace::Workspace;
use crate::{Result, process};

/// Builds both, and returns the directory that holds them and nothing else. packaging/README.md has the same two commands.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    process::run(&mut workspace.cargo(["build", "--release", "--package=tokenbrokerd"]))?;
    // The command line is linked statically: a script that calls it for every request should not wait for the linker.
    let link = ["rustc", "--profile=cli", "--package=tokenbroker", "--bin=tokenbroker", "--"];
    process::run(workspace.cargo(link).arg("-Ctarget-feature=+crt-static"))?;

    let directory = workspace.target().join("shipped");
    fs::create_dir_all(&directory)?;
    for (profile, program) in [("release", "tokenbrokerd"), ("cli", "tokenbroker")] {
        fs::copy(workspace.target().join(profile).join(program), directory.join(program))?;
    }
    Ok(directory)
}
