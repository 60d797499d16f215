//! Memory of this process that is written to no disk and to no core file.
//!
//! [`install`] sets it aside once, before there are secrets; from then on they live there. Pages of it are taken as they are
//! used. What finds no room is on the heap, and [`usage`] counts it.
//!
//! Two kinds. [`Backing::SecretMemory`] is memfd_secret(2): the kernel takes such pages out of its own map of the memory, so
//! that not even root can read them through it, by ptrace(2) or in /proc/PID/mem; but a host on which one is in use does not
//! hibernate. [`Backing::Mlock`] is memory that is never swapped, and left out of core files; who may trace the process can
//! read it.
#![expect(unsafe_code, reason = "mapping memory takes system calls on raw addresses")]

use std::ffi::c_void;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::{fmt, io};

use crate::slab::{RUN, Slab};

/// More is not asked for: enough for some 30,000 tokens, and a limit that distributions are fine with. In bytes.
pub const MOST: usize = 64 * 1024 * 1024;

/// Less is no use. In bytes.
const LEAST: usize = 4 * RUN;

static SLAB: OnceLock<Slab> = OnceLock::new();

static SPILLED: AtomicUsize = AtomicUsize::new(0);
static SPILLS: AtomicU64 = AtomicU64::new(0);

/// How memory is kept from disks and core files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// memfd_secret(2), Linux 5.14 and, where it is not on by default, `secretmem.enable=1`.
    SecretMemory,
    /// mlock2(2) and MADV_DONTDUMP.
    Mlock,
}

impl fmt::Display for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecretMemory => "memfd_secret",
            Self::Mlock => "mlock",
        })
    }
}

/// No memory could be locked.
#[derive(Debug)]
pub struct NotLocked {
    /// What the kernel said to the last that was tried, which asks for the least.
    source: io::Error,
}

impl fmt::Display for NotLocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not even {} KiB of memory can be locked", LEAST / 1024)
    }
}

impl std::error::Error for NotLocked {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Sets memory aside for secrets: the first of these backings that can be had, and of it as much of [`MOST`] as the limit lets
/// it (RLIMIT_MEMLOCK), in halves. Only the first call counts.
///
/// # Errors
///
/// [`NotLocked`] if none can be had. Secrets are on the heap then.
pub fn install(backings: &[Backing]) -> Result<(), NotLocked> {
    let mut source = io::ErrorKind::Unsupported.into();
    for backing in backings {
        match largest(*backing) {
            Ok(memory) => {
                SLAB.get_or_init(|| Slab::new(memory));
                return Ok(());
            }
            Err(error) => source = error,
        }
    }
    Err(NotLocked { source })
}

fn largest(backing: Backing) -> io::Result<Mapping> {
    let mut length = MOST;
    loop {
        match Mapping::new(backing, length) {
            // The limit is for all that the process locks, and others may have a part of it.
            Err(_) if length > LEAST => length /= 2,
            outcome => return outcome,
        }
    }
}

pub(crate) fn is_installed() -> bool {
    SLAB.get().is_some()
}

pub(crate) fn slab() -> Option<&'static Slab> {
    SLAB.get()
}

/// What there is of locked memory, and how much of it is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// How it is locked.
    pub backing: Backing,
    /// How much there is, in bytes.
    pub size: usize,
    /// How many bytes of secrets are in it.
    pub held: usize,
    /// How many bytes of secrets are on the heap, for want of room.
    pub spilled: usize,
    /// How often one had to go there since the start.
    pub spills: u64,
}

/// `None` where no memory was set aside.
pub fn usage() -> Option<Usage> {
    let slab = SLAB.get()?;
    let memory = slab.memory();
    Some(Usage {
        backing: memory.backing?,
        size: memory.length(),
        held: slab.held(),
        spilled: SPILLED.load(Ordering::Relaxed),
        spills: SPILLS.load(Ordering::Relaxed),
    })
}

/// So many bytes of secrets are on the heap; until it is dropped.
pub(crate) struct Spilled(usize);

impl Spilled {
    pub(crate) fn count(length: usize) -> Self {
        SPILLED.fetch_add(length, Ordering::Relaxed);
        SPILLS.fetch_add(1, Ordering::Relaxed);
        Self(length)
    }
}

impl Drop for Spilled {
    fn drop(&mut self) {
        SPILLED.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// Zeroed memory that is this process's alone.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
    backing: Option<Backing>, // None in tests alone
}

// SAFETY: a mapping is memory that everybody in the process may use; who uses which part of it is the slab's to say.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(backing: Backing, length: usize) -> io::Result<Self> {
        let mut mapping = match backing {
            Backing::SecretMemory => Self::secret(length)?,
            Backing::Mlock => Self::locked(length)?,
        };
        // A child that runs no other program would have a copy, or the very pages.
        mapping.advise(libc::MADV_DONTFORK)?;
        mapping.advise(libc::MADV_DONTDUMP)?;
        mapping.backing = Some(backing);
        Ok(mapping)
    }

    /// The kernel locks it when it is mapped.
    fn secret(length: usize) -> io::Result<Self> {
        // SAFETY: the call takes one number, and makes a descriptor or fails.
        let made = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
        let descriptor =
            i32::try_from(made).ok().filter(|made| *made >= 0).ok_or_else(io::Error::last_os_error)?;
        // SAFETY: it was just made, and nobody else has it. The mapping outlives it.
        let file = unsafe { OwnedFd::from_raw_fd(descriptor) };
        // SAFETY: the call takes two numbers.
        let resized =
            unsafe { libc::ftruncate(file.as_raw_fd(), libc::off_t::try_from(length).unwrap_or(-1)) };
        if resized != 0 {
            return Err(io::Error::last_os_error());
        }
        Self::map(length, libc::MAP_SHARED, file.as_raw_fd())
    }

    fn locked(length: usize) -> io::Result<Self> {
        let mapping = Self::map(length, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)?;
        // A page of 2 MiB would be taken for the first secret. A kernel without them refuses the advice.
        let _ = mapping.advise(libc::MADV_NOHUGEPAGE);
        // SAFETY: the mapping is there, and whole pages.
        let locked = unsafe { libc::mlock2(mapping.address(), length, libc::MLOCK_ONFAULT) };
        if locked == 0 { Ok(mapping) } else { Err(io::Error::last_os_error()) }
    }

    /// Memory for tests of a slab: any amount can be had.
    #[cfg(test)]
    pub(crate) fn unlocked(length: usize) -> io::Result<Self> {
        Self::map(length, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)
    }

    fn map(length: usize, flags: i32, descriptor: i32) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the kernel chooses an address where nothing is yet.
        let start = unsafe { libc::mmap(ptr::null_mut(), length, access, flags, descriptor, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length, backing: None })
    }

    fn advise(&self, advice: i32) -> io::Result<()> {
        // SAFETY: the mapping is there, and none of the advice that is given here changes what is in it.
        let taken = unsafe { libc::madvise(self.address(), self.length, advice) };
        if taken == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn length(&self) -> usize {
        self.length
    }

    fn address(&self) -> *mut c_void {
        self.start.as_ptr().cast()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped here. Nothing points into it any more: what does borrows the slab whose it is for ever.
        unsafe { libc::munmap(self.address(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel says of the mapping at this address: the line `VmFlags` of smaps.
    fn flags(mapping: &Mapping) -> Vec<String> {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let start = format!("{:x}-", mapping.start().as_ptr().addr());
        let of_it = smaps.lines().skip_while(|line| !line.starts_with(&start));
        let flags = of_it.skip(1).find_map(|line| line.strip_prefix("VmFlags:")).unwrap();
        flags.split_whitespace().map(str::to_owned).collect()
    }

    /// The two-letter names are those of proc_pid_smaps(5).
    #[test]
    fn s57_what_is_locked_is_in_no_core_file_and_no_child() {
        for backing in [Backing::SecretMemory, Backing::Mlock] {
            let mapping = match Mapping::new(backing, LEAST) {
                Err(error) if backing == Backing::SecretMemory => {
                    eprintln!("memfd_secret can't be had here: {error}");
                    continue;
                }
                mapping => mapping.unwrap(),
            };
            let flags = flags(&mapping);
            for flag in ["lo", "dd", "dc"] {
                assert!(flags.iter().any(|there| there == flag), "{backing}: {flag} is not among {flags:?}");
            }
        }
    }

    #[test]
    fn what_is_installed_once_stays_and_secrets_live_in_it() {
        // Other tests of this process go on with either.
        install(&[Backing::Mlock]).unwrap();
        install(&[Backing::SecretMemory]).unwrap_or_default();
        let there = usage().unwrap();
        assert_eq!(there.backing, Backing::Mlock);
        assert!((LEAST..=MOST).contains(&there.size) && there.size.is_multiple_of(RUN), "{there:?}");

        let slab = slab().unwrap().memory();
        let range = slab.start().as_ptr().addr()..slab.start().as_ptr().addr() + slab.length();
        let secret = crate::Secret::new(b"hunter2".to_vec());
        for secret in
            [&secret, &secret.clone(), &crate::SecretString::from("hunter2").into_yielding().into_bytes()]
        {
            assert_eq!(secret.expose(), b"hunter2");
            assert!(range.contains(&secret.expose().as_ptr().addr()));
        }

        let too_large = crate::Secret::new(vec![1; there.size + 1]);
        assert!(!range.contains(&too_large.expose().as_ptr().addr()));
        assert!(usage().unwrap().spilled > there.size && usage().unwrap().spills > 0);
        drop(too_large);
        assert_eq!(usage().unwrap().spilled, 0);
    }
}
