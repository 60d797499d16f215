//! Which servers a caller talks to, so that a false one on the socket learns nothing.

use std::env;
use std::ffi::CString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::{Endpoint, sys};

/// The user that the system's daemon runs as, unless `TOKENBROKER_SERVER_USER` says otherwise.
const SERVER_USER: &str = "tokenbroker";

/// The users whose servers are trusted: root, the caller's own, and one more by name.
///
/// With socket activation the kernel shows root, since systemd is who listens.
#[derive(Debug, Clone)]
pub struct ServerTrust {
    server_user: Arc<str>,
    /// Once found, an ID does not change under a running program.
    server_uid: Arc<OnceLock<u32>>,
}

impl ServerTrust {
    /// Trusts the user that `TOKENBROKER_SERVER_USER` names, by default `tokenbroker`.
    pub fn from_environment() -> Self {
        let named = env::var("TOKENBROKER_SERVER_USER").ok().filter(|name| !name.is_empty());
        Self::of_user(named.unwrap_or_else(|| SERVER_USER.to_owned()))
    }

    /// Trusts the user of this name, or of this number.
    pub fn of_user(name: impl Into<Arc<str>>) -> Self {
        Self { server_user: name.into(), server_uid: Arc::default() }
    }

    /// Whether `check` would have to ask the user database, which may block.
    #[cfg(feature = "tokio")]
    pub(crate) fn needs_lookup(&self, uid: u32) -> bool {
        !is_always_trusted(uid) && self.server_uid.get() != Some(&uid)
    }

    /// Decides on the server at `endpoint`, which runs as `uid`.
    ///
    /// # Errors
    ///
    /// [`UntrustedServer`] if it is none of the three, or its name can't be resolved now.
    pub(crate) fn check(&self, endpoint: &Endpoint, uid: u32) -> Result<(), UntrustedServer> {
        if is_always_trusted(uid) || self.resolve() == Some(uid) {
            return Ok(());
        }
        Err(UntrustedServer {
            socket: endpoint.path().into(),
            uid,
            server_user: self.server_user.to_string(),
        })
    }

    fn resolve(&self) -> Option<u32> {
        if let Some(uid) = self.server_uid.get() {
            return Some(*uid);
        }
        let named = CString::new(&*self.server_user).ok().and_then(|name| sys::user_id(&name).ok()?);
        let uid = named.or_else(|| self.server_user.parse().ok())?;
        Some(*self.server_uid.get_or_init(|| uid))
    }
}

fn is_always_trusted(uid: u32) -> bool {
    uid == 0 || uid == sys::effective_uid()
}

/// Why there is no connection to a daemon.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// [`NotFound`](io::ErrorKind::NotFound) without a socket,
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) without a daemon behind it,
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if too many callers are waiting to be accepted, and what else
    /// the system says.
    #[error("connecting failed")]
    Io(#[from] io::Error),
    /// The server is not one to talk to.
    #[error(transparent)]
    Untrusted(#[from] UntrustedServer),
}

/// Somebody else's server listens on the socket. Nothing was sent to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server at {} runs as uid {uid}, which is neither root, this user nor {server_user}", .socket.display())]
pub struct UntrustedServer {
    /// The socket.
    pub socket: PathBuf,
    /// Whose server it is.
    pub uid: u32,
    /// Who would have been trusted besides root and this user.
    pub server_user: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(trust: &ServerTrust, uid: u32) -> Result<(), UntrustedServer> {
        trust.check(&Endpoint::at("/run/x.sock"), uid)
    }

    /// Neither root nor the user of any test run.
    const STRANGER: u32 = 3_999_999_999;

    #[test]
    fn s17_root_the_own_user_and_the_named_one_are_trusted() {
        let trust = ServerTrust::of_user(STRANGER.to_string());
        assert_eq!(check(&trust, 0), Ok(()));
        assert_eq!(check(&trust, sys::effective_uid()), Ok(()));
        assert_eq!(check(&trust, STRANGER), Ok(()));
        assert!(check(&trust, STRANGER - 1).is_err());
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn a_user_is_looked_up_once() {
        let trust = ServerTrust::of_user(STRANGER.to_string());
        assert!(!trust.needs_lookup(0) && trust.needs_lookup(STRANGER));
        assert_eq!(check(&trust, STRANGER), Ok(()));
        assert!(!trust.needs_lookup(STRANGER));
    }

    #[test]
    fn s17_anybody_else_is_refused_in_words_that_name_uid_and_socket() {
        let refused = check(&ServerTrust::of_user("no-such-user-here"), STRANGER).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the server at /run/x.sock runs as uid 3999999999, which is neither root, this user nor no-such-user-here"
        );
    }

    #[test]
    fn s17_a_name_is_looked_up() {
        // Some user other than root that every system has.
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
        let (name, uid) = passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .map(|fields| (fields[0].to_owned(), fields[2].parse::<u32>().unwrap()))
            .find(|(_, uid)| *uid != 0 && *uid != sys::effective_uid())
            .unwrap();
        assert_eq!(check(&ServerTrust::of_user(name), uid), Ok(()));
    }
}
