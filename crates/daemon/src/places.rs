//! Where the daemon finds its configuration and keeps its socket and state.
//!
//! Root and system users use the system's places, everybody else their own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// System users have IDs below this on the distributions we know (`SYS_UID_MAX` of login.defs is 999).
const FIRST_PERSONAL_UID: u32 = 1000;

/// A place, or the variable that would tell it; who names the place by other means has no need of the variable.
pub(crate) type Place = Result<PathBuf, MissingVariable>;

/// The default places of one daemon; the configuration can name another socket and state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// Whether this is the host's broker, and not a user's.
    pub(crate) system: bool,
    /// `config.toml` and `conf.d` are in here.
    pub(crate) config_dir: Place,
    /// The socket.
    pub(crate) socket: Place,
    /// Everything that survives a restart.
    pub(crate) state_dir: Place,
    /// Where systemd put the credentials meant for this service.
    pub(crate) credentials_dir: Option<PathBuf>,
}

impl Places {
    /// The places for a user, by the environment variables that `variable` looks up.
    pub(crate) fn find(uid: u32, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let credentials_dir = absolute("CREDENTIALS_DIRECTORY");
        // systemd separates several state directories by colons; ours is the first.
        let state_of_service =
            variable("STATE_DIRECTORY").and_then(|dirs| dirs.to_str()?.split(':').next().map(PathBuf::from));
        if uid < FIRST_PERSONAL_UID {
            return Self {
                system: true,
                config_dir: Ok("/etc/tokenbroker".into()),
                socket: Ok("/run/tokenbroker/broker.sock".into()),
                state_dir: Ok(state_of_service.unwrap_or_else(|| "/var/lib/tokenbroker".into())),
                credentials_dir,
            };
        }
        let below =
            |name, path: &str| absolute(name).map(|base| base.join(path)).ok_or(MissingVariable(name));
        let xdg = |name, path, below_home| below(name, path).or_else(|_| below("HOME", below_home));
        Self {
            system: false,
            config_dir: xdg("XDG_CONFIG_HOME", "tokenbroker", ".config/tokenbroker"),
            socket: below("XDG_RUNTIME_DIR", "tokenbroker/broker.sock"),
            state_dir: state_of_service
                .map_or_else(|| xdg("XDG_STATE_HOME", "tokenbroker", ".local/state/tokenbroker"), Ok),
            credentials_dir,
        }
    }

    /// The files to read: `config.toml`, then `conf.d/*.toml` in the order of their names.
    ///
    /// # Errors
    ///
    /// If `conf.d` is there and can't be listed.
    pub(crate) fn config_files(config_dir: &Path) -> std::io::Result<Vec<PathBuf>> {
        let mut files = vec![config_dir.join("config.toml")];
        files.extend(fragments(&config_dir.join("conf.d"))?);
        Ok(files)
    }
}

fn fragments(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A place can't be told without this environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {0} is not set to an absolute path")]
pub(crate) struct MissingVariable(&'static str);

#[cfg(test)]
mod tests {
    use super::*;

    fn find(uid: u32, variables: &[(&str, &str)]) -> Places {
        Places::find(uid, |name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn system_users_use_the_systems_places_and_what_systemd_gives() {
        let places = find(990, &[("HOME", "/nonexistent")]);
        assert!(places.system);
        assert_eq!(places.socket, Ok("/run/tokenbroker/broker.sock".into()));
        assert_eq!(places.state_dir, Ok("/var/lib/tokenbroker".into()));

        let under_systemd =
            [("STATE_DIRECTORY", "/var/lib/other:/x"), ("CREDENTIALS_DIRECTORY", "/run/cred")];
        let places = find(0, &under_systemd);
        assert_eq!(places.state_dir, Ok("/var/lib/other".into()));
        assert_eq!(places.credentials_dir.as_deref(), Some(Path::new("/run/cred")));
    }

    #[test]
    fn users_use_their_own_places() {
        let places = find(1000, &[("HOME", "/home/ann"), ("XDG_RUNTIME_DIR", "/run/user/1000")]);
        assert!(!places.system);
        assert_eq!(places.config_dir, Ok("/home/ann/.config/tokenbroker".into()));
        assert_eq!(places.socket, Ok("/run/user/1000/tokenbroker/broker.sock".into()));
        assert_eq!(places.state_dir, Ok("/home/ann/.local/state/tokenbroker".into()));
    }

    #[test]
    fn a_relative_path_in_the_environment_counts_as_none() {
        let places = find(1000, &[("HOME", "/home/ann"), ("XDG_RUNTIME_DIR", "run")]);
        assert_eq!(places.socket, Err(MissingVariable("XDG_RUNTIME_DIR")));
        assert_eq!(
            places.config_dir,
            Ok("/home/ann/.config/tokenbroker".into()),
            "the other places are known"
        );
    }

    #[test]
    fn fragments_come_in_the_order_of_their_names_and_other_files_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Places::config_files(dir.path()).unwrap(), [dir.path().join("config.toml")]);

        let conf_d = dir.path().join("conf.d");
        std::fs::create_dir(&conf_d).unwrap();
        for name in ["20-b.toml", "10-a.toml", "README", "30-c.toml~"] {
            std::fs::write(conf_d.join(name), "").unwrap();
        }
        let files = Places::config_files(dir.path()).unwrap();
        assert_eq!(files[1..], [conf_d.join("10-a.toml"), conf_d.join("20-b.toml")]);
    }
}
