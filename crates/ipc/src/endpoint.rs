//! Where the daemon listens.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::system;

/// A place where a daemon may listen: the path of a Unix socket, or the name of a pipe (`\\.\pipe\...`) on Windows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint(PathBuf);

impl Endpoint {
    /// The socket at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where a caller looks, in order: the socket it was given and no other; else the one that
    /// `TOKENBROKER_SOCKET` names and no other; else the user's, and where that does not exist the system's.
    pub fn search(explicit: Option<&Path>) -> Vec<Self> {
        search(explicit, |variable| env::var_os(variable))
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

fn search(explicit: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> Vec<Endpoint> {
    let named = || variable("TOKENBROKER_SOCKET").filter(|value| !value.is_empty()).map(PathBuf::from);
    match explicit.map(Path::to_path_buf).or_else(named) {
        Some(path) => vec![Endpoint(path)],
        None => system::places(variable).into_iter().map(Endpoint).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(explicit: Option<&str>, named: Option<&str>) -> Vec<PathBuf> {
        let variable = |name: &str| named.filter(|_| name == "TOKENBROKER_SOCKET").map(OsString::from);
        search(explicit.map(Path::new), variable).into_iter().map(|endpoint| endpoint.0).collect()
    }

    #[test]
    fn what_was_named_is_the_only_place_looked_at() {
        assert_eq!(found(Some("/a"), Some("/b")), [Path::new("/a")]);
        assert_eq!(found(None, Some("/b")), [Path::new("/b")]);
    }

    #[test]
    fn a_variable_that_is_empty_names_nothing() {
        let places = found(None, None);
        assert!(!places.is_empty());
        assert_eq!(found(None, Some("")), places);
    }
}
