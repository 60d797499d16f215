//! Values that wipe themselves when dropped and never print.
//!
//! [`Secret`] holds bytes, [`SecretString`] holds text. Neither has a `Display`; their `Debug` says
//! `[redacted]`; both compare in constant time; reading one takes a call to `expose`, so that every place
//! where a secret leaves its wrapper can be found by searching for that word. This crate does no I/O.
//!
//! Where a process has set memory aside for them (`locked`), they live there: never on a disk, in no core file. Elsewhere,
//! and in whatever links the crate without that feature, they live on the heap.

mod bytes;
#[cfg(feature = "heap")]
pub mod heap;
#[cfg(feature = "locked")]
pub mod locked;
#[cfg(feature = "locked")]
mod slab;
mod storage;
mod text;
#[cfg(any(feature = "heap", feature = "locked"))]
mod wipe;
#[cfg(feature = "bincode")]
mod wire;

pub use self::bytes::Secret;
pub use self::text::{NotText, SecretString};

/// Takes the same time wherever the two differ; only a difference in length ends it early.
fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |seen, (x, y)| seen | (x ^ y));
    a.len() == b.len() && std::hint::black_box(difference) == 0
}
