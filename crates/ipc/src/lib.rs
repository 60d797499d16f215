//! Local sockets between callers and the daemon: where they are, how they are made and reached safely, and
//! who is at the other end.
//!
//! This crate knows nothing of messages. It never decides who may have what: it reports a
//! [`PeerIdentity`], taken once from the kernel when a connection is accepted, and checks on the caller's side
//! ([`ServerTrust`]) that the server is one to talk to.
//!
//! It is for Unix; all its `unsafe` is in one private module.

pub mod blocking;
mod clock;
mod endpoint;
mod identity;
#[cfg(feature = "tokio")]
mod listener;
mod lock;
mod passed;
mod path;
#[cfg(feature = "tokio")]
mod stream;
mod sys;
mod trust;
#[cfg(unix)]
mod wakeup;

pub use clock::boot_time;
pub use endpoint::Endpoint;
pub use identity::{IdentityError, PeerIdentity};
#[cfg(feature = "tokio")]
pub use listener::{BindError, Listener};
pub use lock::{LockError, StateLock};
pub use passed::passed_sockets;
pub use path::{PathError, check_directory, check_file, check_parents};
#[cfg(feature = "tokio")]
pub use stream::{Stream, connect};
pub use trust::{ConnectError, ServerTrust, UntrustedServer};
#[cfg(unix)]
pub use wakeup::{Waker, Wakeup, Wakeups, wakeups};

/// The effective user of this process: whom it acts as.
pub fn own_uid() -> u32 {
    sys::effective_uid()
}
