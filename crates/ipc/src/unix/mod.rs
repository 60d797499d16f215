//! Unix sockets: the peer is known by its user and groups, and who may connect is decided by a file's mode.

pub mod blocking;
mod endpoint;
mod hierarchy;
mod identity;
#[cfg(feature = "tokio")]
mod listener;
mod lock;
mod passed;
mod path;
mod process;
#[cfg(feature = "tokio")]
mod stream;
mod sys;
mod unit;
mod user;
mod wakeup;

pub(crate) use endpoint::places;
pub use identity::PeerIdentity;
#[cfg(feature = "tokio")]
pub use listener::{BindError, Listener};
pub(crate) use lock::open_lock;
pub use passed::passed_sockets;
pub use path::{PathError, check_directory, check_file, check_parents};
pub use process::{Process, check_units, pins_callers};
#[cfg(feature = "tokio")]
pub use stream::{Stream, connect};
pub(crate) use sys::boot_time;
pub use unit::{NoUnit, Units};
pub(crate) use user::{SERVER_USER, User, find_user, is_always_trusted};
pub use user::{UntrustedServer, own_uid};
pub use wakeup::{Waker, Wakeups, wakeups};
