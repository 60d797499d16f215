//! Descriptors of processes, and descriptors that come along with what is received.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::read_option;

/// SO_PEERPIDFD, which libc does not name everywhere: Linux 6.5.
const SO_PEERPIDFD: libc::c_int = 77;

/// The process that has this number now (Linux 5.3).
pub(crate) fn open(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two numbers, touches no memory of ours, and checks both.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    adopt(RawFd::try_from(pidfd).unwrap_or(-1))
}

/// The process that connected. That it opens does not mean that it still runs.
pub(crate) fn of_peer(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut pidfd = [u32::MAX];
    read_option(socket, SO_PEERPIDFD, &mut pidfd).map_err(|refused| refused.error)?;
    adopt(pidfd[0].cast_signed())
}

/// Lets no descriptors come with what is received (SO_PASSRIGHTS, Linux 6.16). An older kernel
/// lets them come always, and closes those that nobody takes.
pub(crate) fn refuse_descriptors(socket: BorrowedFd<'_>) {
    const SO_PASSRIGHTS: libc::c_int = 83;
    let off: libc::c_int = 0;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is borrowed, so it is open; `off` is valid for reading the length passed.
    let _older_kernel = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_PASSRIGHTS, (&raw const off).cast(), length)
    };
}

/// The kernel has just opened it for this process, close-on-exec.
fn adopt(pidfd: RawFd) -> io::Result<OwnedFd> {
    if pidfd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both callers got the number from the kernel a moment ago, as a new descriptor, and gave it to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(pidfd) })
}
