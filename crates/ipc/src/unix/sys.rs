//! The few system calls that neither std nor interprocess offers. All `unsafe` of this crate is here.
#![expect(unsafe_code, reason = "peer identity and user names have no safe interface in std or interprocess")]

pub(crate) mod pidfd;

use std::ffi::{CStr, CString, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::time::Duration;

pub(crate) fn effective_uid() -> u32 {
    // SAFETY: geteuid takes nothing, touches no memory of ours and can't fail.
    unsafe { libc::geteuid() }
}

/// SO_PEERCRED. Done here because interprocess refuses pid 0, which is how a peer in another PID namespace
/// appears. A socket that is not connected shows uid `u32::MAX`.
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<libc::ucred> {
    let mut credentials = [libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX }];
    match read_option(socket, libc::SO_PEERCRED, &mut credentials) {
        Ok(_) => Ok(credentials[0]),
        Err(refused) => Err(refused.error),
    }
}

/// SO_PEERGROUPS: the peer's supplementary groups.
pub(crate) fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; 64];
    loop {
        match read_option(socket, libc::SO_PEERGROUPS, &mut groups) {
            Ok(count) => {
                groups.truncate(count);
                return Ok(groups);
            }
            // The kernel says how many there are; the peer's list can't change any more, so this ends.
            Err(refused)
                if refused.error.raw_os_error() == Some(libc::ERANGE) && refused.wanted > groups.len() =>
            {
                groups.resize(refused.wanted, 0);
            }
            Err(refused) => return Err(refused.error),
        }
    }
}

/// Whether connections can be accepted from this socket.
#[cfg(feature = "tokio")]
pub(crate) fn is_listening(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let mut listening = [0_u32];
    match read_option(socket, libc::SO_ACCEPTCONN, &mut listening) {
        Ok(_) => Ok(listening[0] != 0),
        Err(refused) => Err(refused.error),
    }
}

/// Whether nobody holds the other end any more.
pub(crate) fn has_hung_up(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: 0, revents: 0 };
    // SAFETY: one valid pollfd is passed with a count of one; the descriptor is borrowed, so it is open; a
    // timeout of zero returns at once.
    match unsafe { libc::poll(&raw mut poll, 1, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(poll.revents & libc::POLLHUP != 0),
    }
}

/// Whether there is something to be read now, the end included.
pub(crate) fn can_be_read(descriptor: BorrowedFd<'_>) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid pollfd is passed with a count of one; the descriptor is borrowed, so it is open; a
    // timeout of zero returns at once.
    match unsafe { libc::poll(&raw mut poll, 1, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(poll.revents != 0),
    }
}

/// Whether a directory is one that the kernel shows processes in.
pub(crate) fn is_procfs(directory: &Path) -> bool {
    let Ok(path) = CString::new(directory.as_os_str().as_bytes()) else { return false };
    let mut found = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `path` ends with a NUL; `found` is valid for writing.
    let code = unsafe { libc::statfs(path.as_ptr(), found.as_mut_ptr()) };
    // SAFETY: the kernel filled it in, as the code says.
    code == 0 && unsafe { found.assume_init() }.f_type == libc::PROC_SUPER_MAGIC
}

/// Whether it failed because this process, or the host, has no descriptor left.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Waits until one of the descriptors can be read, its end included, or for `timeout`; says which ones can be.
pub(crate) fn wait_readable(
    descriptors: [Option<BorrowedFd<'_>>; 2],
    timeout: Duration,
) -> io::Result<[bool; 2]> {
    // What the kernel is to pass over has a negative number.
    let number =
        |descriptor: Option<BorrowedFd<'_>>| descriptor.map_or(-1, |descriptor| descriptor.as_raw_fd());
    let mut polls = descriptors.map(|one| libc::pollfd { fd: number(one), events: libc::POLLIN, revents: 0 });
    // Rounded up: a wait that ends early would be repeated until the time has come.
    let timeout = c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX);
    // SAFETY: two valid pollfds are passed with a count of two; the descriptors are borrowed, so they are open.
    match unsafe { libc::poll(polls.as_mut_ptr(), 2, timeout) } {
        -1 => match io::Error::last_os_error() {
            interrupted if interrupted.kind() == io::ErrorKind::Interrupted => Ok([false; 2]),
            error => Err(error),
        },
        _ => Ok(polls.map(|poll| poll.revents != 0)),
    }
}

/// CLOCK_BOOTTIME, which the vDSO reads without a system call.
pub(crate) fn boot_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing. The clock exists on every Linux that this runs on (2.6.39); if it could not be
    // read, `time` would stay as it is.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The user ID of a name; `None` if there is no such user.
///
/// A program that is linked statically finds the users of this host alone. The C library would load the modules that know
/// others into it, and those take a whole C library with them, which ends in a crash.
pub(crate) fn user_id(name: &CStr) -> io::Result<Option<u32>> {
    if is_linked_statically() {
        return Ok(user_in(&std::fs::read("/etc/passwd")?, name.to_bytes()));
    }
    /// No honest entry is longer.
    const LARGEST: usize = 1024 * 1024;

    let mut strings = vec![0_u8; 1024];
    loop {
        // SAFETY: passwd is a C struct of integers and pointers, for which all zeroes is a valid value.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found: *mut libc::passwd = ptr::null_mut();
        // SAFETY: `name` ends with a NUL; `entry` and `found` are valid for writing; `strings` is valid for
        // the length passed. Nothing that points into `strings` is used after this iteration.
        let code = unsafe {
            libc::getpwnam_r(
                name.as_ptr(),
                &raw mut entry,
                strings.as_mut_ptr().cast(),
                strings.len(),
                &raw mut found,
            )
        };
        match code {
            0 => return Ok((!found.is_null()).then_some(entry.pw_uid)),
            libc::ERANGE if strings.len() < LARGEST => strings.resize(strings.len() * 4, 0),
            libc::EINTR => {}
            // What getpwnam(3) lists as ways to say that there is no such user.
            libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM => return Ok(None),
            code => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

/// Whether this program was started without a dynamic linker.
fn is_linked_statically() -> bool {
    // SAFETY: getauxval looks for a number among those that the kernel gave this process at its start; any number may be
    // asked for.
    unsafe { libc::getauxval(libc::AT_BASE) == 0 }
}

/// The user ID of a name in the text of passwd(5).
fn user_in(passwd: &[u8], name: &[u8]) -> Option<u32> {
    passwd.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let uid = fields.next().filter(|field| *field == name).and(fields.nth(1))?;
        std::str::from_utf8(uid).ok()?.parse().ok()
    })
}

/// Takes over a descriptor that this process was started with, and keeps it from its own children.
///
/// Only [`passed_sockets`](crate::passed_sockets) calls this, once for each descriptor.
pub(crate) fn adopt(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl with F_SETFD takes any number and touches no memory; one that is no open descriptor is an error.
    if unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, as fcntl found; the service manager opened it for this process, which got to
    // know of it by the environment alone, so nothing else here owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Plain C data of which every bit pattern is a valid value.
///
/// # Safety
///
/// The type must have no padding and accept any bytes.
unsafe trait Plain: Copy {}

// SAFETY: an integer.
unsafe impl Plain for u32 {}

// SAFETY: three 32-bit integers.
unsafe impl Plain for libc::ucred {}

struct OptionRefused {
    error: io::Error,
    /// How many values the kernel has, where it says so.
    wanted: usize,
}

/// Reads an option of the socket level, and returns how many values it has.
fn read_option<T: Plain>(
    socket: BorrowedFd<'_>,
    option: c_int,
    values: &mut [T],
) -> Result<usize, OptionRefused> {
    let Ok(mut length) = libc::socklen_t::try_from(size_of_val(values)) else {
        return Err(OptionRefused { error: io::ErrorKind::InvalidInput.into(), wanted: 0 });
    };
    // SAFETY: the descriptor is borrowed, so it is open; `values` is valid for `length` bytes, of which the
    // kernel writes at most that many; `Plain` makes whatever it writes a valid value.
    let code = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            values.as_mut_ptr().cast::<c_void>(),
            &raw mut length,
        )
    };
    let count = length as usize / size_of::<T>();
    match code {
        0 => Ok(count.min(values.len())),
        _ => Err(OptionRefused { error: io::Error::last_os_error(), wanted: count }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_socket_pair_shows_this_process() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let credentials = peer_credentials(ours.as_fd()).unwrap();
        assert_eq!(credentials.uid, effective_uid());
        assert_eq!(credentials.pid, std::process::id().cast_signed());
    }

    #[test]
    fn users_are_found_by_name() {
        assert_eq!(user_id(c"root").unwrap(), Some(0));
        assert_eq!(user_id(c"no-such-user-here").unwrap(), None);
    }

    #[test]
    fn a_test_is_linked_dynamically_like_most_programs() {
        assert_eq!(is_linked_statically(), cfg!(target_feature = "crt-static"));
    }

    #[test]
    fn users_of_this_host_are_found_in_its_file() {
        let passwd =
            b"root:x:0:0:root:/root:/bin/sh\n\n# broker:x:1:1\nbroker\nbroker:x:991:990::/:/bin/false";
        assert_eq!(user_in(passwd, b"root"), Some(0));
        assert_eq!(user_in(passwd, b"broker"), Some(991));
        assert_eq!(user_in(passwd, b"x"), None);
        assert_eq!(user_in(passwd, b""), None);
        let real = std::fs::read("/etc/passwd").unwrap();
        assert_eq!(user_in(&real, b"root"), user_id(c"root").unwrap());
    }
}
