//! Where the daemon's socket is.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The socket of the system's daemon.
const SYSTEM: &str = "/run/tokenbroker/broker.sock";

/// Below `XDG_RUNTIME_DIR`, the socket of the user's own daemon.
const USER: &str = "tokenbroker/broker.sock";

/// A place where a daemon may listen.
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
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = explicit.map(Path::to_path_buf).or_else(|| set("TOKENBROKER_SOCKET")) {
        return vec![Endpoint(path)];
    }
    // The XDG specification has relative paths ignored.
    let user = set("XDG_RUNTIME_DIR").filter(|directory| directory.is_absolute());
    user.map(|directory| directory.join(USER))
        .into_iter()
        .chain([PathBuf::from(SYSTEM)])
        .map(Endpoint)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(explicit: Option<&str>, variables: &[(&str, &str)]) -> Vec<String> {
        let lookup = |name: &str| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| OsString::from(value))
        };
        let found = search(explicit.map(Path::new), lookup);
        found.iter().map(|endpoint| endpoint.path().display().to_string()).collect()
    }

    #[test]
    fn what_was_named_is_the_only_place_looked_at() {
        let all = [("TOKENBROKER_SOCKET", "/b"), ("XDG_RUNTIME_DIR", "/run/user/7")];
        assert_eq!(found(Some("/a"), &all), ["/a"]);
        assert_eq!(found(None, &all), ["/b"]);
    }

    #[test]
    fn the_users_socket_comes_before_the_systems() {
        let user = "/run/user/7/tokenbroker/broker.sock";
        assert_eq!(found(None, &[("XDG_RUNTIME_DIR", "/run/user/7")]), [user, SYSTEM]);
        assert_eq!(found(None, &[("XDG_RUNTIME_DIR", "relative")]), [SYSTEM]);
        assert_eq!(found(None, &[("TOKENBROKER_SOCKET", "")]), [SYSTEM]);
    }
}
