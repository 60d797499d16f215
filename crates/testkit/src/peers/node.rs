//! Node, npm and the packages that npm installs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{Place, run, version};

/// The first with everything that the packages call.
const OLDEST: (u32, u32) = (20, 18);

/// What npm writes last.
const INSTALLED: &str = "node_modules/.package-lock.json";

/// What is missing on this host, if something is.
pub(crate) fn available() -> Result<(), String> {
    let node = version("node")?;
    version("npm")?;
    let parsed = node.trim_start_matches('v').split_once('.').and_then(|(major, rest)| {
        let minor = rest.split('.').next()?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    match parsed {
        Some(version) if version >= OLDEST => Ok(()),
        _ => Err(format!("node {node} is too old: {}.{} or later is needed", OLDEST.0, OLDEST.1)),
    }
}

/// Installs a peer's packages and this program beside them, and returns node and the program.
pub(crate) fn install(peer: &str, program: &str) -> [PathBuf; 2] {
    let place = Place::of(peer);
    let changed = place.copy(&["package.json", "package-lock.json"]);
    place.copy(&[program]);
    let installed = place.directory.join(INSTALLED);
    if changed || !installed.exists() {
        // Should it fail half-way, the next test starts over.
        let _ = fs::remove_file(installed);
        let mut npm = Command::new("npm");
        run(npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]), &place.directory);
    }
    ["node".into(), place.directory.join(program)]
}
