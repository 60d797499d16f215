//! The caller's end of a pipe.

use std::fs::OpenOptions;
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::OwnedHandle;
use std::path::Path;
use std::time::Duration;

use windows_sys::Win32::Foundation::ERROR_PIPE_BUSY;
use windows_sys::Win32::Storage::FileSystem::{
    FILE_CREATE_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, FILE_GENERIC_READ, FILE_GENERIC_WRITE,
    SECURITY_IDENTIFICATION,
};

use super::endpoint::check_name;
use super::sys;
use crate::boot_time;

/// Reading and writing, and not what `GENERIC_WRITE` has besides: making more ends for others to connect to. A pipe for
/// everybody grants that to its owner alone.
pub(super) const CONNECT: u32 = FILE_GENERIC_READ | (FILE_GENERIC_WRITE & !FILE_CREATE_PIPE_INSTANCE);

/// How long a server may take to get ready for one more caller. It does so each time it has accepted one, and until then
/// its pipe is busy: unlike a socket, a pipe has no queue in which to wait.
const BUSY: Duration = Duration::from_millis(100);

/// Opens a pipe of this host. Whoever serves it can tell who this is, and can't act as this user: identification is
/// all that the handle grants. (interprocess opens pipes in a way that lets the server impersonate the caller.)
///
/// # Errors
///
/// [`NotFound`](io::ErrorKind::NotFound) without a server, [`WouldBlock`](io::ErrorKind::WouldBlock) if it is busy.
pub(super) fn open(name: &Path) -> io::Result<OwnedHandle> {
    check_name(name)?;
    let opened = OpenOptions::new()
        .access_mode(CONNECT)
        .custom_flags(FILE_FLAG_OVERLAPPED)
        .security_qos_flags(SECURITY_IDENTIFICATION)
        .open(name);
    match opened {
        Ok(pipe) => Ok(pipe.into()),
        Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY.cast_signed()) => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        Err(error) => Err(error),
    }
}

/// Opens a pipe, and gives a busy server a moment.
pub(super) fn open_waiting(name: &Path) -> io::Result<OwnedHandle> {
    let deadline = boot_time() + BUSY;
    loop {
        match open(name) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let left = deadline.saturating_sub(boot_time());
                if left.is_zero() {
                    return Err(error);
                }
                // When it is ready, another caller may be quicker: that is no reason to wait any longer than this.
                sys::wait_for_server(name, left)?;
            }
            opened => return opened,
        }
    }
}
