//! Who is at the other end of a connection, as the kernel saw it when the pipe was opened.

use std::io;
use std::os::windows::io::BorrowedHandle;

use windows_sys::Win32::Foundation::{ERROR_CANNOT_IMPERSONATE, ERROR_CANT_OPEN_ANONYMOUS};

use super::{Sid, sys};
use crate::IdentityError;

/// The peer of a connection. Taken once, when it is accepted; a peer that hands its handle on delegates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The user.
    pub user: Sid,
    /// The process that opened the pipe, for the log: it may have ended since, and another have its number.
    pub pid: Option<u32>,
}

impl PeerIdentity {
    /// Asks the kernel about the caller at the server's end of a pipe.
    ///
    /// The user is that of the token with which the caller opened the pipe: it is read while this thread impersonates the
    /// caller, for a moment. The user of the process would be a guess, since process IDs are used again.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]; then the peer is to be refused. One that connected anonymously is unknown, and so is one that
    /// reserved the right to change who it is later, as `CreateFile` does unless told otherwise.
    pub fn of(pipe: BorrowedHandle<'_>) -> Result<Self, IdentityError> {
        let user = sys::client_user(pipe).map_err(refused)?;
        let pid = sys::client_process(pipe).ok().filter(|pid| *pid != 0);
        if sys::has_hung_up(pipe)? {
            return Err(IdentityError::Gone);
        }
        Ok(Self { user, pid })
    }
}

fn refused(error: io::Error) -> IdentityError {
    match error.raw_os_error().map(i32::cast_unsigned) {
        Some(ERROR_CANNOT_IMPERSONATE | ERROR_CANT_OPEN_ANONYMOUS) => IdentityError::Unknown,
        _ => IdentityError::Io(error),
    }
}
