//! Users, by number.

use std::ffi::CString;
use std::io;
use std::path::PathBuf;

use super::sys;

/// What tells users apart.
pub(crate) type User = u32;

/// The user that the system's daemon runs as, unless `TOKENBROKER_SERVER_USER` says otherwise.
pub(crate) const SERVER_USER: &str = "tokenbroker";

/// The effective user of this process: whom it acts as.
pub fn own_uid() -> u32 {
    sys::effective_uid()
}

/// Root, who can do as he likes anyway, and this user.
pub(crate) fn is_always_trusted(uid: &User) -> bool {
    *uid == 0 || *uid == own_uid()
}

/// Asks the user database, which may block.
pub(crate) fn find_user(name: &str) -> io::Result<Option<User>> {
    CString::new(name).map_or(Ok(None), |name| sys::user_id(&name))
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

impl UntrustedServer {
    pub(crate) fn new(socket: PathBuf, uid: User, server_user: String) -> Self {
        Self { socket, uid, server_user }
    }
}
