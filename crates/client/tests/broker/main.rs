//! Both kinds of broker against daemons of every behaviour, over real sockets.
#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic, too")]

mod cache;
mod caller;
mod calls;
#[cfg(unix)]
mod examples;
mod fake;
mod http_client;
mod last_word;
#[cfg(any(unix, feature = "reqwest"))]
mod resource;
mod tasks;
#[cfg(unix)]
mod trust;
