//! Node, npm and the packages that npm installs: looked for, and installed once for all tests.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binaries::workspace;

/// The first with everything that oidc-provider calls.
const OLDEST_NODE: (u32, u32) = (20, 12);

const FILES: [&str; 3] = ["package.json", "package-lock.json", "server.mjs"];

/// What npm writes last.
const INSTALLED: &str = "node_modules/.package-lock.json";

pub(super) fn available() -> Result<(), String> {
    let node = version("node")?;
    version("npm")?;
    let parsed = node.trim_start_matches('v').split_once('.').and_then(|(major, rest)| {
        let minor = rest.split('.').next()?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    match parsed {
        Some(version) if version >= OLDEST_NODE => Ok(()),
        _ => Err(format!("node {node} is too old: {}.{} or later is needed", OLDEST_NODE.0, OLDEST_NODE.1)),
    }
}

fn version(program: &str) -> Result<String, String> {
    match Command::new(program).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).trim().into()),
        Ok(output) => Err(format!("{program} does not work: {}", output.status)),
        Err(error) => Err(format!("{program} can't be started: {error}")),
    }
}

/// Puts the server and its packages below the target directory, and returns the path of the server.
pub(super) fn install() -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/oidc-provider");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    let directory = workspace().join(target).join("peers/oidc-provider");
    fs::create_dir_all(&directory).expect("a directory can be made in the target directory");

    let lock = File::create(directory.join("lock")).expect("the lock file can be made");
    lock.lock().expect("a file can be locked");
    let changed = FILES.map(|file| copy_if_different(&sources.join(file), &directory.join(file)));
    let [package_changed, lock_changed, _] = changed;
    if package_changed || lock_changed || !directory.join(INSTALLED).exists() {
        run_npm(&directory);
    }
    directory.join("server.mjs")
}

/// A file that is the same is left alone: a server that is being started may be reading it.
fn copy_if_different(from: &Path, to: &Path) -> bool {
    let text = fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    let different = fs::read(to).ok().as_ref() != Some(&text);
    if different {
        fs::write(to, text).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    }
    different
}

fn run_npm(directory: &Path) {
    // Should it fail half-way, the next test starts over.
    let _ = fs::remove_file(directory.join(INSTALLED));
    let output = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(directory)
        .output()
        .expect("npm can be started");
    assert!(output.status.success(), "npm ci failed: {}", String::from_utf8_lossy(&output.stderr));
}
