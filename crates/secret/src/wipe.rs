//! Overwriting memory in a way that no compiler leaves out.
#![expect(unsafe_code, reason = "it writes through a pointer to memory that is about to be freed")]

/// Overwrites this memory with zeros, though it is never read again.
///
/// # Safety
///
/// The memory is allocated, writable, and nobody else's.
pub(crate) unsafe fn wipe(start: *mut u8, length: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: the caller vouches for the memory. The C library promises that this is not optimized away, and it is as fast as
    // memset, which a loop of volatile writes is not.
    unsafe {
        libc::explicit_bzero(start.cast(), length);
    }
    #[cfg(not(target_os = "linux"))]
    {
        for place in 0..length {
            // SAFETY: within the memory that the caller vouches for.
            unsafe { start.add(place).write_volatile(0) };
        }
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
    }
}
