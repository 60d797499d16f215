//! Which servers a caller talks to, so that a false one on the socket learns nothing.

use std::env;
use std::io;
use std::sync::{Arc, OnceLock};

use crate::Endpoint;
use crate::system::{self, SERVER_USER, UntrustedServer, User};

/// The users whose servers are trusted: those who can do as they like on this host anyway (root; the system and
/// administrators on Windows), the caller's own, and one more by name.
///
/// With socket activation the kernel shows root, since systemd is who listens.
#[derive(Debug, Clone)]
pub struct ServerTrust {
    server_user: Arc<str>,
    /// Once found, an ID does not change under a running program.
    found: Arc<OnceLock<User>>,
}

impl ServerTrust {
    /// Trusts the user that `TOKENBROKER_SERVER_USER` names, by default `tokenbroker`
    /// (`NT SERVICE\tokenbroker` on Windows).
    pub fn from_environment() -> Self {
        let named = env::var("TOKENBROKER_SERVER_USER").ok().filter(|name| !name.is_empty());
        Self::of_user(named.unwrap_or_else(|| SERVER_USER.to_owned()))
    }

    /// Trusts the user of this name, or of this number (of this SID on Windows).
    pub fn of_user(name: impl Into<Arc<str>>) -> Self {
        Self { server_user: name.into(), found: Arc::default() }
    }

    /// Whether `check` would have to ask the user database, which may block.
    #[cfg(feature = "tokio")]
    pub(crate) fn needs_lookup(&self, user: &User) -> bool {
        !system::is_always_trusted(user) && self.found.get() != Some(user)
    }

    /// Decides on the server at `endpoint`, which is that of `user`.
    ///
    /// # Errors
    ///
    /// [`UntrustedServer`] if it is none of those, or the name can't be resolved now.
    pub(crate) fn check(&self, endpoint: &Endpoint, user: User) -> Result<(), UntrustedServer> {
        if system::is_always_trusted(&user) || self.resolve() == Some(&user) {
            return Ok(());
        }
        Err(UntrustedServer::new(endpoint.path().into(), user, self.server_user.to_string()))
    }

    fn resolve(&self) -> Option<&User> {
        if let Some(user) = self.found.get() {
            return Some(user);
        }
        let named = system::find_user(&self.server_user).ok().flatten();
        let user = named.or_else(|| self.server_user.parse().ok())?;
        Some(self.found.get_or_init(|| user))
    }
}

/// Why there is no connection to a daemon.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// [`NotFound`](io::ErrorKind::NotFound) without a socket or pipe,
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) without a daemon behind it,
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if too many callers are waiting to be accepted, and what else
    /// the system says.
    #[error("connecting failed")]
    Io(#[from] io::Error),
    /// The server is not one to talk to.
    #[error(transparent)]
    Untrusted(#[from] UntrustedServer),
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::own_uid;

    fn check(trust: &ServerTrust, uid: u32) -> Result<(), UntrustedServer> {
        trust.check(&Endpoint::at("/run/x.sock"), uid)
    }

    /// Neither root nor the user of any test run.
    const STRANGER: u32 = 3_999_999_999;

    #[test]
    fn s17_root_the_own_user_and_the_named_one_are_trusted() {
        let trust = ServerTrust::of_user(STRANGER.to_string());
        assert_eq!(check(&trust, 0), Ok(()));
        assert_eq!(check(&trust, own_uid()), Ok(()));
        assert_eq!(check(&trust, STRANGER), Ok(()));
        assert!(check(&trust, STRANGER - 1).is_err());
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn a_user_is_looked_up_once() {
        let trust = ServerTrust::of_user(STRANGER.to_string());
        assert!(!trust.needs_lookup(&0) && trust.needs_lookup(&STRANGER));
        assert_eq!(check(&trust, STRANGER), Ok(()));
        assert!(!trust.needs_lookup(&STRANGER));
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
            .find(|(_, uid)| *uid != 0 && *uid != own_uid())
            .unwrap();
        assert_eq!(check(&ServerTrust::of_user(name), uid), Ok(()));
    }
}
