//! Python, and the packages that pip installs in a virtual environment of the peer's own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{Place, run};

/// The first that the packages are pinned for.
const OLDEST: (u32, u32) = (3, 11);

/// What is missing on this host, if something is.
pub(crate) fn available() -> Result<(), String> {
    let (major, minor) = OLDEST;
    let script = format!("import sys, venv, ensurepip; sys.exit(sys.version_info < ({major}, {minor}))");
    match Command::new("python3").args(["-c", &script]).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(_) => Err(format!("python3 is older than {major}.{minor}, or has no venv")),
        Err(error) => Err(format!("python3 can't be started: {error}")),
    }
}

/// Installs a peer's packages and this program beside them, and returns the Python that has them and the program.
pub(crate) fn install(peer: &str, program: &str) -> [PathBuf; 2] {
    let place = Place::of(peer);
    let changed = place.copy(&["requirements.txt"]);
    place.copy(&[program]);
    let environment = place.directory.join("venv");
    let (python, installed) = (environment.join("bin/python"), environment.join("installed"));
    if changed || !installed.exists() {
        // Should it fail half-way, the next test starts over.
        let _ = fs::remove_dir_all(&environment);
        run(Command::new("python3").args(["-m", "venv", "venv"]), &place.directory);
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
        pip.args(["--require-hashes", "--only-binary=:all:", "--requirement=requirements.txt"]);
        run(&mut pip, &place.directory);
        fs::write(&installed, "").expect("a file can be made where pip made many");
    }
    [python, place.directory.join(program)]
}
