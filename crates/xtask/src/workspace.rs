//! Where things are, and cargo.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::Result;

/// The workspace that xtask belongs to.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Asks cargo, since configuration and environment may have moved the target directory.
    pub(crate) fn find() -> Result<Self> {
        #[derive(Deserialize)]
        struct Metadata {
            workspace_root: PathBuf,
            target_directory: PathBuf,
        }
        let mut command = Command::new(cargo());
        command.args(["metadata", "--no-deps", "--format-version=1"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = command.output().map_err(|error| format!("cargo can't be started: {error}"))?;
        if !output.status.success() {
            return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
        Ok(Self { root: metadata.workspace_root, target: metadata.target_directory })
    }

    /// Where the workspace's Cargo.toml is.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo puts what it builds.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Cargo at the root of the workspace.
    pub(crate) fn cargo<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(cargo());
        command.current_dir(&self.root).args(arguments);
        command
    }
}

/// The cargo that started us, if one did.
fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
