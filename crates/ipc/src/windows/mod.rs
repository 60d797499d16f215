//! Named pipes: the peer is known by its SID, and who may connect is decided by a security descriptor.

pub mod blocking;
mod endpoint;
mod identity;
#[cfg(feature = "tokio")]
mod listener;
mod lock;
mod pipe;
#[cfg(feature = "tokio")]
mod security;
mod sid;
#[cfg(feature = "tokio")]
mod stream;
mod sys;
mod user;
mod wakeup;

pub(crate) use endpoint::places;
pub use identity::PeerIdentity;
#[cfg(feature = "tokio")]
pub use listener::{BindError, Listener};
pub(crate) use lock::open_lock;
pub use sid::Sid;
#[cfg(feature = "tokio")]
pub use stream::{Stream, connect};
pub(crate) use sys::boot_time;
pub(crate) use user::{SERVER_USER, User, find_user, is_always_trusted};
pub use user::{UntrustedServer, own_sid};
pub use wakeup::{Waker, Wakeups, wakeups};
