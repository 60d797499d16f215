//! The places of sockets.

use std::ffi::OsString;
use std::path::PathBuf;

/// The socket of the system's daemon.
const SYSTEM: &str = "/run/tokenbroker/broker.sock";

/// Below `XDG_RUNTIME_DIR`, the socket of the user's own daemon.
const USER: &str = "tokenbroker/broker.sock";

/// Where a daemon may listen, the user's own first.
pub(crate) fn places(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    // The XDG specification has relative paths ignored.
    let user = variable("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|directory| directory.is_absolute());
    user.map(|directory| directory.join(USER)).into_iter().chain([PathBuf::from(SYSTEM)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_socket_comes_before_the_systems() {
        let found = |directory: &str| {
            let found = places(|name| (name == "XDG_RUNTIME_DIR").then(|| directory.into()));
            found.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(found("/run/user/7"), ["/run/user/7/tokenbroker/broker.sock", SYSTEM]);
        assert_eq!(found("relative"), [SYSTEM]);
        assert_eq!(found(""), [SYSTEM]);
    }
}
