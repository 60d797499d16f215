//! Programs that are not ours, with the packages that they need: each has a directory in `peers/` here, and is installed
//! from it, once for all tests, below the target directory.

pub(crate) mod node;
pub(crate) mod python;
pub(crate) mod server;

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binaries::workspace;

/// Where a peer is installed. Other tests wait until it is dropped.
struct Place {
    directory: PathBuf,
    sources: PathBuf,
    _lock: File,
}

impl Place {
    fn of(peer: &str) -> Self {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(peer);
        let target =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
        let directory = workspace().join(target).join("peers").join(peer);
        fs::create_dir_all(&directory).expect("a directory can be made in the target directory");
        let lock = File::create(directory.join("lock")).expect("the lock file can be made");
        lock.lock().expect("a file can be locked");
        Self { directory, sources, _lock: lock }
    }

    /// Copies the files there; says whether one of them was another.
    fn copy(&self, files: &[&str]) -> bool {
        let copied =
            files.iter().map(|file| copy_if_different(&self.sources.join(file), &self.directory.join(file)));
        copied.fold(false, |changed, copied| changed | copied)
    }
}

/// A file that is the same is left alone: a program that is being started may be reading it.
fn copy_if_different(from: &Path, to: &Path) -> bool {
    let text = fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    let different = fs::read(to).ok().as_ref() != Some(&text);
    if different {
        fs::write(to, text).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    }
    different
}

fn version(program: &str) -> Result<String, String> {
    match Command::new(program).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).trim().into()),
        Ok(output) => Err(format!("{program} does not work: {}", output.status)),
        Err(error) => Err(format!("{program} can't be started: {error}")),
    }
}

fn run(command: &mut Command, directory: &Path) {
    let output = command.current_dir(directory).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {stderr}");
}
