//! A process that is held on to, so that what is read of it by its number is known to be its own.
//!
//! A number is used again when its process has ended, and a pidfd is not. So what `/proc/PID` says is that process's if
//! the pidfd shows afterwards that it still runs: its number was its own all the time.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::LazyLock;

use super::hierarchy::Hierarchy;
use super::sys::{self, pidfd};
use super::unit::{NoUnit, Units};
use crate::{IdentityError, PeerIdentity};

/// Where the service unit shows the processes of the host to a broker that has `/proc` hidden from it.
const SHOWN: &str = "/run/tokenbrokerd/proc";

/// The directory of all processes.
pub(crate) fn processes() -> &'static Path {
    static PROCESSES: LazyLock<&Path> = LazyLock::new(|| {
        let shown = Path::new(SHOWN);
        Path::new(if sys::is_procfs(shown) { SHOWN } else { "/proc" })
    });
    &PROCESSES
}

/// A process, pinned.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    pidfd: OwnedFd,
}

impl Process {
    /// The process that has this number now.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Gone`] if there is none, and what else the system says.
    pub fn open(pid: u32) -> Result<Self, IdentityError> {
        let number = i32::try_from(pid).ok().filter(|pid| *pid > 0).ok_or(IdentityError::Gone)?;
        match pidfd::open(number) {
            Ok(pidfd) => Ok(Self { pid, pidfd }),
            // EINVAL: a thread that is no process.
            Err(error) if is_gone(&error) => Err(IdentityError::Gone),
            Err(error) => Err(error.into()),
        }
    }

    /// The process that made a connection, which has the number `pid`; `None` if this kernel can't pin it.
    pub(crate) fn of_peer(socket: BorrowedFd<'_>, pid: u32) -> Result<Option<Self>, IdentityError> {
        match pidfd::of_peer(socket) {
            Ok(pidfd) => Ok(Some(Self { pid, pidfd })),
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(None),
            Err(error) if is_gone(&error) => Err(IdentityError::Gone),
            Err(error) => Err(error.into()),
        }
    }

    /// Who it is now, as far as it can be told of a caller: its user, its groups and its units.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Gone`] if it has ended, and what else the system says.
    pub fn identity(&self) -> Result<PeerIdentity, IdentityError> {
        let status = self.read("status").map_err(IdentityError::Io);
        self.check_running()?;
        let (uid, gid, mut groups) = ids(&status?).ok_or(IdentityError::Unknown)?;
        groups.sort_unstable();
        // Where callers are not pinned their units don't count, though this process is.
        let units = if pins_callers() { self.units(uid)? } else { Units::unknown(NoUnit::NotPinned) };
        Ok(PeerIdentity { uid, gid, pid: Some(self.pid), groups, units })
    }

    /// The units of this process, whose user is `uid`.
    pub(crate) fn units(&self, uid: u32) -> Result<Units, IdentityError> {
        let Some(hierarchy) = Hierarchy::of_host() else {
            self.check_running()?;
            return Ok(Units::unknown(NoUnit::NoSystemd));
        };
        let units = match self.read("cgroup") {
            Ok(cgroup) => Ok(hierarchy.units(&cgroup, uid)),
            Err(error) if sys::is_out_of_descriptors(&error) => Err(error.into()),
            Err(_) => Ok(Units::unknown(NoUnit::Unreadable)),
        };
        self.check_running()?;
        units
    }

    /// Not UTF-8: it is none of what the kernel and systemd write.
    fn read(&self, file: &str) -> io::Result<String> {
        fs::read_to_string(processes().join(self.pid.to_string()).join(file))
    }

    fn check_running(&self) -> Result<(), IdentityError> {
        // It can be read from once the process has ended, whether somebody waited for it or not.
        match sys::can_be_read(self.pidfd.as_fd())? {
            true => Err(IdentityError::Gone),
            false => Ok(()),
        }
    }
}

/// Whether this kernel says which process made a connection, so that rules about units can hold (Linux 6.5).
pub fn pins_callers() -> bool {
    let peer = UnixStream::pair().and_then(|(ours, _theirs)| pidfd::of_peer(ours.as_fd()));
    !matches!(peer, Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT))
}

/// Whether the units of callers can be told on this host.
///
/// # Errors
///
/// Why not: then no rule about units holds for anybody.
pub fn check_units() -> Result<(), NoUnit> {
    if !pins_callers() {
        return Err(NoUnit::NotPinned);
    }
    match Hierarchy::of_host() {
        None => Err(NoUnit::NoSystemd),
        Some(hierarchy) if !hierarchy.is_visible() => Err(NoUnit::OwnerUnknown { group: "/".into() }),
        Some(_) => Ok(()),
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ESRCH | libc::EINVAL | libc::ENODATA))
}

/// The effective user, the effective group and the supplementary groups in `/proc/PID/status`.
fn ids(status: &str) -> Option<(u32, u32, Vec<u32>)> {
    let numbers = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().map(|number| number.parse().ok()).collect::<Option<Vec<u32>>>()
    };
    // Real, effective, saved, of the file system.
    Some((*numbers("Uid:")?.get(1)?, *numbers("Gid:")?.get(1)?, numbers("Groups:")?))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_read_by_its_number_while_it_runs() {
        let this = Process::open(std::process::id()).unwrap().identity().unwrap();
        assert_eq!((this.uid, this.pid), (crate::own_uid(), Some(std::process::id())));
        assert!(this.groups.is_sorted());
    }

    #[test]
    fn s03_what_is_read_of_a_process_that_has_ended_is_not_taken_for_its_own() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let process = Process::open(child.id()).unwrap();
        process.identity().unwrap();
        drop(child.stdin.take());
        // Not waited for yet, it still has its number and its files in /proc.
        crate::unix::sys::wait_readable(
            [Some(process.pidfd.as_fd()), None],
            std::time::Duration::from_secs(20),
        )
        .unwrap();
        assert!(process.read("status").is_ok());
        assert!(matches!(process.identity(), Err(IdentityError::Gone)));
        assert!(matches!(process.units(0), Err(IdentityError::Gone)));
        child.wait().unwrap();
        assert!(matches!(process.identity(), Err(IdentityError::Gone)));
        for nobody in [0, u32::MAX, child.id()] {
            assert!(matches!(Process::open(nobody), Err(IdentityError::Gone)), "{nobody}");
        }
    }

    #[test]
    fn the_effective_ids_count() {
        let status = "Name:\tUid:\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \n";
        assert_eq!(ids(status), Some((2, 6, vec![9, 10])));
        assert_eq!(ids("Uid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\n"), Some((2, 6, vec![])));
        assert_eq!(ids("Uid:\t1\nGid:\t5\t6\t7\t8\nGroups:\n"), None);
        assert_eq!(ids(""), None);
    }
}
