//! The few system calls that neither std nor interprocess offers. All `unsafe` of this crate on Windows is here.
#![expect(
    unsafe_code,
    reason = "identities and timed pipe I/O have no safe interface in std or interprocess"
)]

use std::ffi::c_void;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::path::Path;
use std::ptr;
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    ERROR_INSUFFICIENT_BUFFER, ERROR_IO_PENDING, ERROR_NONE_MAPPED, ERROR_OPERATION_ABORTED,
    ERROR_SEM_TIMEOUT, HANDLE, LocalFree, WAIT_OBJECT_0,
};
use windows_sys::Win32::Security::Authorization::{GetSecurityInfo, SE_KERNEL_OBJECT};
use windows_sys::Win32::Security::{
    GetLengthSid, GetTokenInformation, LookupAccountNameW, OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR,
    PSID, RevertToSelf, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::Storage::FileSystem::{ReadFile, WriteFile};
use windows_sys::Win32::System::IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED};
use windows_sys::Win32::System::Pipes::{
    GetNamedPipeClientProcessId, ImpersonateNamedPipeClient, PeekNamedPipe, WaitNamedPipeW,
};
use windows_sys::Win32::System::SystemInformation::GetTickCount64;
use windows_sys::Win32::System::Threading::{
    CreateEventW, GetCurrentProcess, GetCurrentThread, INFINITE, OpenProcessToken, OpenThreadToken, SetEvent,
    WaitForMultipleObjects, WaitForSingleObject,
};
use windows_sys::core::BOOL;

use super::Sid;
use crate::Wakeup;

/// What GetTickCount64 shows: it goes on in suspend, and is read from memory that every process shares with the kernel.
pub(crate) fn boot_time() -> Duration {
    // SAFETY: takes nothing, touches no memory of ours and can't fail.
    Duration::from_millis(unsafe { GetTickCount64() })
}

/// The user of this process.
pub(super) fn own_user() -> io::Result<Sid> {
    let mut token: HANDLE = ptr::null_mut();
    // SAFETY: the pseudo handle of this process needs no closing; `token` is valid for writing a handle.
    succeeded(unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) })?;
    // SAFETY: the call succeeded, so `token` is an open handle that nothing else owns.
    token_user(&unsafe { OwnedHandle::from_raw_handle(token) })
}

/// The user of the caller at the other end of a server's pipe.
pub(super) fn client_user(pipe: BorrowedHandle<'_>) -> io::Result<Sid> {
    token_user(&client_token(pipe)?)
}

/// The token is opened as the caller and read as ourselves.
fn client_token(pipe: BorrowedHandle<'_>) -> io::Result<OwnedHandle> {
    // SAFETY: the handle is borrowed, so it is open; any other than a server's end of a pipe is an error.
    succeeded(unsafe { ImpersonateNamedPipeClient(pipe.as_raw_handle()) })?;
    let _reverted_when_dropped = Impersonation;
    let mut token: HANDLE = ptr::null_mut();
    let as_self = 1; // as the caller, this thread need not be allowed to look at the token
    // SAFETY: the pseudo handle of this thread needs no closing; `token` is valid for writing a handle.
    succeeded(unsafe { OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, as_self, &raw mut token) })?;
    // SAFETY: the call succeeded, so `token` is an open handle that nothing else owns.
    Ok(unsafe { OwnedHandle::from_raw_handle(token) })
}

/// This thread acts as somebody else until this is dropped.
struct Impersonation;

impl Drop for Impersonation {
    fn drop(&mut self) {
        // SAFETY: takes nothing and touches no memory of ours.
        if unsafe { RevertToSelf() } == 0 {
            // Whatever this process did next would be done as the caller.
            std::process::abort();
        }
    }
}

fn token_user(token: &OwnedHandle) -> io::Result<Sid> {
    // In words, since a TOKEN_USER begins with a pointer. It is followed by a SID of 68 bytes at most.
    let mut words = [0_u64; 32];
    let mut length = 0;
    // SAFETY: the handle is open; `words` is valid for the length passed, of which the kernel writes at most that much,
    // and `length` for writing a number.
    succeeded(unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenUser,
            words.as_mut_ptr().cast::<c_void>(),
            size_of_val(&words) as u32,
            &raw mut length,
        )
    })?;
    // SAFETY: the call succeeded, so there is a TOKEN_USER at the start of `words`, which is aligned for one. Its SID is
    // in `words` too, which live until this function returns.
    unsafe { copy((*words.as_ptr().cast::<TOKEN_USER>()).User.Sid) }
}

/// The process that opened the other end of a server's pipe.
pub(super) fn client_process(pipe: BorrowedHandle<'_>) -> io::Result<u32> {
    let mut process = 0;
    // SAFETY: the handle is borrowed, so it is open; `process` is valid for writing a number.
    succeeded(unsafe { GetNamedPipeClientProcessId(pipe.as_raw_handle(), &raw mut process) })?;
    Ok(process)
}

/// Whether the other end is closed, with nothing left to be read.
pub(super) fn has_hung_up(pipe: BorrowedHandle<'_>) -> io::Result<bool> {
    let nothing = ptr::null_mut();
    // SAFETY: the handle is borrowed, so it is open; a buffer of no length is not touched, and the rest may be null.
    let peeked = succeeded(unsafe {
        PeekNamedPipe(pipe.as_raw_handle(), ptr::null_mut(), 0, nothing, nothing, nothing)
    });
    match peeked {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whose a pipe is: only the owner's processes and those that can do as they like anyway can have made it, since
/// Windows lets nobody give away what is theirs.
pub(super) fn owner(pipe: BorrowedHandle<'_>) -> io::Result<Sid> {
    let (mut owner, mut descriptor): (PSID, PSECURITY_DESCRIPTOR) = (ptr::null_mut(), ptr::null_mut());
    let nothing = ptr::null_mut();
    // SAFETY: the handle is borrowed, so it is open; `owner` and `descriptor` are valid for writing a pointer, and what
    // was not asked for may be null.
    let code = unsafe {
        GetSecurityInfo(
            pipe.as_raw_handle(),
            SE_KERNEL_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &raw mut owner,
            nothing,
            ptr::null_mut(),
            ptr::null_mut(),
            &raw mut descriptor,
        )
    };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code.cast_signed()));
    }
    // SAFETY: the call succeeded, so `owner` is null or points to a SID in `descriptor`, which is freed below.
    let sid = unsafe { copy(owner) };
    // SAFETY: GetSecurityInfo allocated `descriptor` with LocalAlloc for its caller to free; nothing points there any more.
    unsafe { LocalFree(descriptor) };
    sid
}

/// The SID of an account; `None` if there is none of this name.
pub(super) fn account(name: &str) -> io::Result<Option<Sid>> {
    if name.is_empty() || name.contains('\0') {
        return Ok(None);
    }
    let name: Vec<u16> = name.encode_utf16().chain([0]).collect();
    let (mut sid, mut domain) = (vec![0_u64; 9], vec![0_u16; 256]);
    for _ in 0..2 {
        let (mut sid_length, mut domain_length) = (size_of_val(&*sid) as u32, domain.len() as u32);
        let mut kind = 0;
        // SAFETY: `name` ends with a NUL; `sid` and `domain` are valid for the lengths passed, of which the system
        // writes at most that much; the lengths and `kind` are valid for writing a number.
        let found = succeeded(unsafe {
            LookupAccountNameW(
                ptr::null(),
                name.as_ptr(),
                sid.as_mut_ptr().cast::<c_void>(),
                &raw mut sid_length,
                domain.as_mut_ptr(),
                &raw mut domain_length,
                &raw mut kind,
            )
        });
        match found {
            // SAFETY: the call succeeded, so there is a SID at the start of `sid`, which lives until this function returns.
            Ok(()) => return unsafe { copy(sid.as_mut_ptr().cast::<c_void>()) }.map(Some),
            Err(error) if is(&error, ERROR_NONE_MAPPED) => return Ok(None),
            Err(error) if is(&error, ERROR_INSUFFICIENT_BUFFER) => {
                sid.resize(sid_length.div_ceil(8).max(9) as usize, 0);
                domain.resize(domain_length.max(256) as usize, 0);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from_raw_os_error(ERROR_INSUFFICIENT_BUFFER.cast_signed()))
}

/// Waits until the server of a pipe is ready for one more caller, or the time is over.
pub(super) fn wait_for_server(name: &Path, timeout: Duration) -> io::Result<()> {
    let name: Vec<u16> = name.as_os_str().encode_wide().chain([0]).collect();
    let timeout = milliseconds(timeout).max(1); // none would be the server's choice
    // SAFETY: `name` ends with a NUL.
    match succeeded(unsafe { WaitNamedPipeW(name.as_ptr(), timeout) }) {
        Err(error) if is(&error, ERROR_SEM_TIMEOUT) => Ok(()),
        waited => waited,
    }
}

/// Set by an overlapped operation that is over, or by another thread.
#[derive(Debug)]
pub(super) struct Event(OwnedHandle);

impl Event {
    /// One that stays set until the next operation begins.
    pub(super) fn new() -> io::Result<Self> {
        Self::create(1)
    }

    /// One that is reset by whoever waited for it.
    pub(super) fn reset_by_waiting() -> io::Result<Self> {
        Self::create(0)
    }

    fn create(manual_reset: BOOL) -> io::Result<Self> {
        let is_set = 0;
        // SAFETY: attributes and name may be null.
        let event = unsafe { CreateEventW(ptr::null(), manual_reset, is_set, ptr::null()) };
        if event.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so `event` is an open handle that nothing else owns.
        Ok(Self(unsafe { OwnedHandle::from_raw_handle(event) }))
    }

    /// Can't fail: the handle is one of an event that may be set.
    pub(super) fn set(&self) {
        // SAFETY: the handle is open.
        unsafe { SetEvent(self.0.as_raw_handle()) };
    }

    /// Waits until it is set, and says whether it was in time.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> bool {
        let timeout = timeout.map_or(INFINITE, milliseconds);
        // SAFETY: the handle is open.
        unsafe { WaitForSingleObject(self.0.as_raw_handle(), timeout) == WAIT_OBJECT_0 }
    }
}

/// Reads from a pipe that was opened for overlapped operations. [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing came
/// in time; what comes at the last moment is not lost.
pub(super) fn read(
    pipe: BorrowedHandle<'_>,
    done: &mut Event,
    buffer: &mut [u8],
    timeout: Option<Duration>,
) -> io::Result<usize> {
    let (start, length) = (buffer.as_mut_ptr(), u32::try_from(buffer.len()).unwrap_or(u32::MAX));
    let begin = |overlapped: *mut OVERLAPPED| {
        // SAFETY: `operate` keeps to what is said there: until the operation is over, the buffer stays borrowed by this
        // function, and `overlapped` stays where it is. The length passed is the buffer's at most.
        unsafe { ReadFile(pipe.as_raw_handle(), start, length, ptr::null_mut(), overlapped) }
    };
    operate(pipe, done, begin, || done.wait(timeout))
}

/// Writes to such a pipe. [`WouldBlock`](io::ErrorKind::WouldBlock) if it was not taken in time; then part of it may have
/// been, and the connection is of no more use.
pub(super) fn write(
    pipe: BorrowedHandle<'_>,
    done: &mut Event,
    bytes: &[u8],
    timeout: Option<Duration>,
) -> io::Result<usize> {
    let (start, length) = (bytes.as_ptr(), u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    let begin = |overlapped: *mut OVERLAPPED| {
        // SAFETY: as for a read; the kernel only reads the bytes.
        unsafe { WriteFile(pipe.as_raw_handle(), start, length, ptr::null_mut(), overlapped) }
    };
    operate(pipe, done, begin, || done.wait(timeout))
}

/// Waits until something can be read from such a pipe, until `woken` is set, which resets it, or for `timeout`.
///
/// A read of no bytes is over when there are some, and takes none.
pub(super) fn wait_readable(
    pipe: BorrowedHandle<'_>,
    woken: &Event,
    timeout: Duration,
) -> io::Result<Wakeup> {
    let done = Event::new()?;
    let mut is_woken = false;
    let begin = |overlapped: *mut OVERLAPPED| {
        // SAFETY: as for a read; no bytes are written anywhere.
        unsafe { ReadFile(pipe.as_raw_handle(), ptr::dangling_mut(), 0, ptr::null_mut(), overlapped) }
    };
    let is_over = || {
        let (events, all) = ([woken.0.as_raw_handle(), done.0.as_raw_handle()], 0);
        // SAFETY: two open handles are passed with a count of two.
        let first = unsafe { WaitForMultipleObjects(2, events.as_ptr(), all, milliseconds(timeout)) };
        is_woken = first == WAIT_OBJECT_0;
        first == WAIT_OBJECT_0 + 1
    };
    match operate(pipe, &done, begin, is_over) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Ok(if is_woken { Wakeup::Woken } else { Wakeup::TimedOut })
        }
        // An error, the end among them, is the next read's to find.
        _ => Ok(Wakeup::Readable),
    }
}

/// Begins an operation, waits until `is_over` says that it is or gives up, cancels it in that case, and returns when
/// it is over and not before: until then the kernel uses the buffer and the `OVERLAPPED`.
fn operate(
    pipe: BorrowedHandle<'_>,
    done: &Event,
    begin: impl FnOnce(*mut OVERLAPPED) -> BOOL,
    is_over: impl FnOnce() -> bool,
) -> io::Result<usize> {
    // SAFETY: OVERLAPPED is a C struct of integers and pointers, for which all zeroes is a valid value.
    let mut overlapped: OVERLAPPED = unsafe { std::mem::zeroed() };
    overlapped.hEvent = done.0.as_raw_handle();
    let overlapped = &raw mut overlapped;
    match succeeded(begin(overlapped)) {
        Err(error) if is(&error, ERROR_IO_PENDING) => {
            if !is_over() {
                // That there is nothing to cancel any more is no failure: then the result counts.
                // SAFETY: the handle is open, and `overlapped` is that of an operation on it.
                unsafe { CancelIoEx(pipe.as_raw_handle(), overlapped) };
            }
        }
        begun => begun?,
    }
    let (mut count, wait) = (0, 1);
    // SAFETY: the handle is open, `overlapped` is that of an operation on it whose event is open, and `count` is valid for
    // writing a number. It returns when the operation is over: one that was cancelled is so soon.
    match succeeded(unsafe { GetOverlappedResult(pipe.as_raw_handle(), overlapped, &raw mut count, wait) }) {
        Ok(()) => Ok(count as usize),
        Err(error) if is(&error, ERROR_OPERATION_ABORTED) => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) => Err(error),
    }
}

/// At least as long as `duration`, and never for ever.
fn milliseconds(duration: Duration) -> u32 {
    let milliseconds = duration.as_nanos().div_ceil(1_000_000);
    u32::try_from(milliseconds).unwrap_or(u32::MAX).min(INFINITE - 1)
}

fn succeeded(code: BOOL) -> io::Result<()> {
    if code == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn is(error: &io::Error, code: u32) -> bool {
    error.raw_os_error() == Some(code.cast_signed())
}

/// Takes a SID out of the system's memory.
///
/// # Safety
///
/// `sid` must be null or point to a SID that the system wrote.
unsafe fn copy(sid: PSID) -> io::Result<Sid> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "the system has no valid SID");
    if sid.is_null() {
        return Err(invalid());
    }
    // SAFETY: by this function's contract there is a SID, and it is as long as GetLengthSid finds.
    let bytes = unsafe { std::slice::from_raw_parts(sid.cast::<u8>(), GetLengthSid(sid) as usize) };
    Sid::from_bytes(bytes).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use std::os::windows::io::AsHandle;

    use interprocess::os::windows::named_pipe::PipeListenerOptions;
    use interprocess::os::windows::named_pipe::pipe_mode::Bytes;
    use windows_sys::Win32::Foundation::ERROR_NO_TOKEN;

    use super::*;
    use crate::windows::pipe;

    #[test]
    fn timeouts_are_rounded_up_and_end() {
        assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
        assert_eq!(milliseconds(Duration::from_micros(1001)), 2);
        assert_eq!(milliseconds(Duration::MAX), INFINITE - 1);
    }

    /// Whether this thread acts as somebody else than its process.
    fn is_impersonating() -> bool {
        let mut token: HANDLE = ptr::null_mut();
        // SAFETY: the pseudo handle of this thread needs no closing; `token` is valid for writing a handle.
        match succeeded(unsafe { OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, 1, &raw mut token) }) {
            Ok(()) => {
                // SAFETY: the call succeeded, so `token` is an open handle that nothing else owns.
                drop(unsafe { OwnedHandle::from_raw_handle(token) });
                true
            }
            Err(error) => {
                assert!(is(&error, ERROR_NO_TOKEN), "{error}");
                false
            }
        }
    }

    #[test]
    fn s74_a_thread_is_itself_again_whether_or_not_the_caller_could_be_told() {
        let name = format!(r"\\.\pipe\tokenbroker-{}-s74", std::process::id());
        let listener = PipeListenerOptions::new().path(&*name).create_duplex::<Bytes>().unwrap();
        let caller = pipe::open(Path::new(&name)).unwrap();
        let accepted = listener.accept().unwrap();

        assert_eq!(client_user(accepted.as_handle()).unwrap(), own_user().unwrap());
        assert!(!is_impersonating());
        assert!(client_user(caller.as_handle()).is_err(), "a server is nobody's caller");
        assert!(!is_impersonating());
        {
            // SAFETY: the handle is that of a server's end, and open.
            succeeded(unsafe { ImpersonateNamedPipeClient(accepted.as_raw_handle()) }).unwrap();
            let _reverted_when_dropped = Impersonation;
            assert!(is_impersonating(), "or this test shows nothing");
        }
        assert!(!is_impersonating());
    }

    #[test]
    fn this_process_has_a_user() {
        let own = own_user().unwrap();
        assert_eq!(own.to_string().parse::<Sid>().unwrap(), own);
    }
}
