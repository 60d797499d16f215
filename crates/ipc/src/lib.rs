//! Local sockets between callers and the daemon: where they are, how they are made and reached safely, and
//! who is at the other end. On Windows, a socket is a named pipe.
//!
//! This crate knows nothing of messages. It never decides who may have what: it reports a
//! [`PeerIdentity`], taken once from the kernel when a connection is accepted, and checks on the caller's side
//! ([`ServerTrust`]) that the server is one to talk to.
//!
//! What differs between the systems is in one private module for each, behind the same names as far as the same things
//! exist; all `unsafe` is in a private module of theirs.

mod clock;
mod endpoint;
mod identity;
mod lock;
mod trust;
#[cfg(unix)]
mod unix;
mod wakeup;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

pub use clock::boot_time;
pub use endpoint::Endpoint;
pub use identity::IdentityError;
pub use lock::{LockError, StateLock};
#[cfg(feature = "tokio")]
pub use system::{BindError, Listener, Stream, connect};
pub use system::{PeerIdentity, UntrustedServer, Waker, Wakeups, blocking, wakeups};
pub use trust::{ConnectError, ServerTrust};
#[cfg(unix)]
pub use unix::{
    NoUnit, PathError, Process, Units, check_directory, check_file, check_parents, check_units, own_uid,
    passed_sockets, pins_callers,
};
pub use wakeup::Wakeup;
#[cfg(windows)]
pub use windows::{Sid, own_sid};
