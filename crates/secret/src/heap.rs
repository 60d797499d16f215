//! Memory that was freed: what was in it, and the system that could have it.
#![expect(unsafe_code, reason = "an allocator, and a call to the one of the C library")]

use std::alloc::{GlobalAlloc, Layout, System};

use crate::wipe::wipe;

/// The system's allocator, which overwrites what is freed.
///
/// For a program whose libraries hold secrets in buffers of their own: what an HTTP library, TLS or a parser frees is gone, not
/// left for whoever reads the memory later. What grows is copied to another place, and wiped where it was. It is not for what
/// C libraries allocate: they ask the C library themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wiping;

// SAFETY: it adds nothing to what `System` does but writing to memory that is still allocated. `realloc` is the trait's own:
// `alloc`, a copy, `dealloc`.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller gives up what was allocated with this layout: it is there, writable, and nobody else's.
        unsafe {
            wipe(place, layout.size());
            System.dealloc(place, layout);
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    /// An allocator gives at once what the same thread freed last of a small size; what it writes there itself is at the
    /// beginning.
    #[test]
    fn s57_what_is_freed_or_grows_is_overwritten() {
        let layout = Layout::array::<u8>(500).unwrap();
        let content = || {
            // SAFETY: the layout has a size.
            let place = unsafe { Wiping.alloc(layout) };
            assert!(!place.is_null());
            // SAFETY: it was just allocated with this length.
            unsafe { place.write_bytes(0xa5, layout.size()) };
            place
        };
        let is_wiped = |place: *mut u8| {
            // SAFETY: the layout has a size.
            let again = unsafe { System.alloc(layout) };
            assert_eq!(again, place, "the place that was freed last");
            // SAFETY: it is allocated, and what is in it was written before it was freed.
            let found = unsafe { std::slice::from_raw_parts(again.add(64), layout.size() - 64) };
            let is_wiped = found.iter().all(|byte| *byte == 0);
            // SAFETY: it was allocated with this layout.
            unsafe { System.dealloc(again, layout) };
            is_wiped
        };
        let place = content();
        // SAFETY: it was allocated with this layout.
        unsafe { Wiping.dealloc(place, layout) };
        assert!(is_wiped(place));

        let place = content();
        // SAFETY: it was allocated with this layout, and the new size is not zero.
        let grown = unsafe { Wiping.realloc(place, layout, 2 * layout.size()) };
        assert_ne!(grown, place);
        // SAFETY: what was copied is at its beginning.
        assert_eq!(unsafe { grown.read() }, 0xa5);
        assert!(is_wiped(place));
        // SAFETY: it was allocated with this length.
        unsafe { Wiping.dealloc(grown, Layout::array::<u8>(2 * layout.size()).unwrap()) };
    }
}
