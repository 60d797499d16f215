//! Both kinds of broker against daemons of every behaviour, over real sockets.
#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic, too")]

mod calls;
#[cfg(unix)]
mod examples;
mod fake;
mod tasks;
#[cfg(unix)]
mod trust;
