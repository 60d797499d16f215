//! Finds and reads the configuration files, and checks what they name.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenbroker_core::certificate::Certificate;
use tokenbroker_core::config::{self, Config, ReadFiles, Source};
use tokenbroker_ipc::{PathError, check_file};

use crate::certificates;
use crate::http::read_ca_file;
use crate::places::Places;
use crate::startup::with_source;

/// Which files make the configuration: one that was named, or those in the default place.
#[derive(Debug, Clone)]
pub(crate) enum Files {
    /// This file alone.
    Named(PathBuf),
    /// `config.toml` and `conf.d` in this directory.
    In(PathBuf),
}

impl Files {
    /// Reads and validates all of it.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in words.
    pub(crate) fn read(&self) -> Result<Config, Refused> {
        let paths = match self {
            Self::Named(path) => vec![path.clone()],
            Self::In(dir) => {
                let unlisted = |error| Refused::unreadable(&dir.join("conf.d"), &error);
                Places::config_files(dir).map_err(unlisted)?
            }
        };
        let mut sources = Vec::new();
        let mut refused = Refused::default();
        for path in paths {
            match read(&path) {
                Ok(text) => sources.push(Source { path, text }),
                Err(problem) => refused.problems.push(problem),
            }
        }
        if refused.problems.is_empty() {
            match config::parse(&sources, &OnDisk) {
                Ok(config) => return Ok(config),
                Err(errors) => refused.problems.extend(errors.0.iter().map(ToString::to_string)),
            }
        }
        Err(refused)
    }
}

/// The files that the configuration names, where they are.
struct OnDisk;

impl ReadFiles for OnDisk {
    fn check_ca_file(&self, path: &Path) -> Result<(), String> {
        read_ca_file(path).map(drop)
    }

    fn certificates(&self, path: &Path) -> Result<Vec<Arc<Certificate>>, String> {
        certificates::read(path)
    }
}

fn read(path: &Path) -> Result<String, String> {
    if let Err(error) = check_file(path) {
        return Err(Refused::unsafe_path(&error));
    }
    std::fs::read_to_string(path).map_err(|error| Refused::words(path, &error))
}

/// A configuration that is refused, with everything that is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    problems: Vec<String>,
}

impl Refused {
    fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self { problems: vec![Self::words(path, error)] }
    }

    fn unsafe_path(error: &PathError) -> String {
        match error.hint() {
            Some(hint) => format!("{}\nhint: {hint}", with_source(error)),
            None => with_source(error),
        }
    }

    fn words(path: &Path, error: &io::Error) -> String {
        let path = path.display();
        match error.kind() {
            io::ErrorKind::NotFound => {
                format!("{path}: there is no such file\nhint: write one, or name another with --config FILE")
            }
            _ => format!("{path}: {error}"),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}
