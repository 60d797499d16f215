//! The programs under test.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::Deserialize;

/// The path of `tokenbrokerd` or `tokenbroker`: in the directory that `TOKENBROKER_BIN_DIR` names, otherwise what
/// cargo builds, once for each process that asks.
///
/// # Panics
///
/// If the build fails, or there is no such program.
pub fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
    if let Some(directory) = env::var_os("TOKENBROKER_BIN_DIR") {
        return PathBuf::from(directory).join(name);
    }
    let built = BUILT.get_or_init(build);
    built.get(name).unwrap_or_else(|| panic!("cargo built no program called {name}")).clone()
}

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    let testkit = Path::new(env!("CARGO_MANIFEST_DIR"));
    testkit.ancestors().nth(2).expect("the testkit is two levels below the workspace")
}

fn build() -> HashMap<String, PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
    let output = Command::new(cargo)
        .current_dir(workspace())
        .args(["build", "--quiet", "--message-format=json-render-diagnostics"])
        .args(["--package", "tokenbrokerd", "--package", "tokenbroker"])
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "cargo could not build the programs under test");
    let messages = output.stdout.split(|byte| *byte == b'\n');
    messages
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .filter_map(Message::program)
        .collect()
}

/// What matters of cargo's messages: each artifact that is a program says where it is.
#[derive(Deserialize)]
struct Message {
    target: Target,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

impl Message {
    fn program(self) -> Option<(String, PathBuf)> {
        Some((self.target.name, self.executable?))
    }
}
