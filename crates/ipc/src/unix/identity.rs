//! Who is at the other end of a connection, as the kernel saw it when the connection was made.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::process::Process;
use super::sys;
use super::unit::{NoUnit, Units};
use crate::IdentityError;

/// What the kernel shows for a user that does not exist in this user namespace
/// (`/proc/sys/kernel/overflowuid`).
const OVERFLOW: u32 = 65534;

/// The peer of a connection. Taken once, when it is accepted; a peer that hands its socket on delegates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// The process; `None` if it lives in a PID namespace that can't be seen from here.
    pub pid: Option<u32>,
    /// The supplementary groups, in order.
    pub groups: Vec<u32>,
    /// The systemd units that the process belongs to.
    pub units: Units,
}

impl PeerIdentity {
    /// Whether the user is one that this user namespace can't tell: nobody in particular, to be denied.
    pub fn is_overflow(&self) -> bool {
        self.uid == OVERFLOW
    }

    /// Asks the kernel about an accepted connection.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]; then the peer is to be refused.
    pub fn of(socket: BorrowedFd<'_>) -> Result<Self, IdentityError> {
        let (uid, gid, pid) = credentials(socket)?;
        let mut groups = match sys::peer_groups(socket) {
            Ok(groups) => groups,
            // Before Linux 4.13: rules on users and main groups still work.
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        // Many rules are looked through for each request. The kernel has them in order, but for what a user namespace makes
        // of them; and there can be 65,536.
        if !groups.is_sorted() {
            groups.sort_unstable();
        }
        let units = units(socket, uid, pid)?;
        if sys::has_hung_up(socket)? {
            return Err(IdentityError::Gone);
        }
        Ok(Self { uid, gid, pid, groups, units })
    }
}

/// The units of the process that connected.
fn units(socket: BorrowedFd<'_>, uid: u32, pid: Option<u32>) -> Result<Units, IdentityError> {
    let Some(pid) = pid else { return Ok(Units::unknown(NoUnit::OtherNamespace)) };
    match Process::of_peer(socket, pid)? {
        Some(process) => process.units(uid),
        None => Ok(Units::unknown(NoUnit::NotPinned)),
    }
}

/// The user of the server that a caller's socket is connected to: who called `listen`.
pub(crate) fn server_uid(socket: &impl AsFd) -> io::Result<u32> {
    match credentials(socket.as_fd()) {
        Ok((uid, ..)) => Ok(uid),
        Err(IdentityError::Io(error)) => Err(error),
        // A full queue makes a connect without waiting return a socket that has no peer.
        Err(_) => Err(io::ErrorKind::WouldBlock.into()),
    }
}

fn credentials(socket: BorrowedFd<'_>) -> Result<(u32, u32, Option<u32>), IdentityError> {
    let credentials = sys::peer_credentials(socket)?;
    if credentials.uid == u32::MAX {
        return Err(IdentityError::Unknown);
    }
    let pid = u32::try_from(credentials.pid).ok().filter(|pid| *pid != 0);
    Ok((credentials.uid, credentials.gid, pid))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_peer_is_identified_with_its_groups() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let identity = PeerIdentity::of(ours.as_fd()).unwrap();
        assert_eq!(identity.uid, crate::own_uid());
        assert_eq!(identity.pid, Some(std::process::id()));
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
        let mut groups: Vec<u32> = line.split_whitespace().map(|gid| gid.parse().unwrap()).collect();
        groups.sort_unstable();
        assert_eq!(identity.groups, groups);
    }

    #[test]
    fn s02_a_peer_that_is_gone_is_refused() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert!(matches!(PeerIdentity::of(ours.as_fd()), Err(IdentityError::Gone)));
    }

    #[test]
    fn s78_the_overflow_user_is_nobody_in_particular() {
        let units = Units::unknown(NoUnit::None);
        let nobody = PeerIdentity { uid: 65534, gid: 65534, pid: None, groups: Vec::new(), units };
        assert!(nobody.is_overflow());
        assert!(!PeerIdentity { uid: 1000, ..nobody }.is_overflow());
    }
}
