//! Memory that was freed, and the system that could have it.
#![cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "the allocator is asked by a call to the C library")
)]

/// Gives what was freed back to the system, wherever it lies between what is in use.
///
/// glibc's allocator does so only at the end of a heap, and after large pieces not even there. To be called after work
/// that takes much memory for a short time and leaves something small behind; it takes milliseconds for each hundred
/// megabytes, in which other threads may wait for memory. Other allocators look after this themselves.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim may be called at any time and from any thread; it locks what it touches, and touches nothing that
    // is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
