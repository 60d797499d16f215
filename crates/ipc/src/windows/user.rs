//! Users, by SID.

use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

use super::{Sid, sys};

/// What tells users apart.
pub(crate) type User = Sid;

/// The user that the system's daemon runs as, unless `TOKENBROKER_SERVER_USER` says otherwise: what Windows names the
/// account of a service of that name.
pub(crate) const SERVER_USER: &str = r"NT SERVICE\tokenbroker";

/// The user of this process.
///
/// # Errors
///
/// What the system says.
pub fn own_sid() -> io::Result<Sid> {
    /// A process keeps its user to its end.
    static OWN: OnceLock<Sid> = OnceLock::new();

    match OWN.get() {
        Some(sid) => Ok(sid.clone()),
        None => {
            let own = sys::own_user()?;
            Ok(OWN.get_or_init(|| own).clone())
        }
    }
}

/// The system and administrators, who can do as they like anyway, and this user.
pub(crate) fn is_always_trusted(user: &User) -> bool {
    user.is_system() || user.is_administrators() || own_sid().is_ok_and(|own| own == *user)
}

/// Asks for the account of this name, which may block: a domain's are asked for over the network.
pub(crate) fn find_user(name: &str) -> io::Result<Option<User>> {
    sys::account(name)
}

/// Somebody else's server listens on the pipe. Nothing was sent to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the pipe {} belongs to {owner}, which is neither the system, its administrators, this user nor {server_user}",
    .socket.display()
)]
pub struct UntrustedServer {
    /// The pipe.
    pub socket: PathBuf,
    /// Whose it is.
    pub owner: Sid,
    /// Who would have been trusted besides the system, administrators and this user.
    pub server_user: String,
}

impl UntrustedServer {
    pub(crate) fn new(socket: PathBuf, owner: User, server_user: String) -> Self {
        Self { socket, owner, server_user }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoint, ServerTrust};

    fn sid(text: &str) -> Sid {
        text.parse().unwrap()
    }

    fn check(trust: &ServerTrust, user: &str) -> Result<(), UntrustedServer> {
        trust.check(&Endpoint::at(r"\\.\pipe\x"), sid(user))
    }

    /// Somebody of another domain.
    const STRANGER: &str = "S-1-5-21-1-2-3-1001";

    #[test]
    fn s17_the_system_administrators_the_own_user_and_the_named_one_are_trusted() {
        let trust = ServerTrust::of_user(STRANGER);
        assert_eq!(check(&trust, "S-1-5-18"), Ok(()));
        assert_eq!(check(&trust, "S-1-5-32-544"), Ok(()));
        assert_eq!(check(&trust, &own_sid().unwrap().to_string()), Ok(()));
        assert_eq!(check(&trust, STRANGER), Ok(()));
        assert!(check(&trust, "S-1-5-21-1-2-3-1002").is_err());
        assert!(check(&trust, "S-1-5-32-545").is_err());
        assert!(check(&trust, "S-1-1-0").is_err());
    }

    #[test]
    fn s17_anybody_else_is_refused_in_words_that_name_owner_and_pipe() {
        let refused = check(&ServerTrust::of_user("nobody-here"), STRANGER).unwrap_err();
        assert_eq!(
            refused.to_string(),
            r"the pipe \\.\pipe\x belongs to S-1-5-21-1-2-3-1001, which is neither the system, its administrators, this user nor nobody-here"
        );
    }

    #[test]
    fn s17_a_name_is_looked_up() {
        assert_eq!(find_user("SYSTEM").unwrap(), Some(sid("S-1-5-18")));
        assert_eq!(find_user("no-such-user-here").unwrap(), None);
    }
}
