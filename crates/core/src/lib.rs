//! The life of a service token: when it is renewed and until when it is served, what happens when that fails,
//! how much an authorization server is asked, and who may have what.
//!
//! Nothing here does I/O, reads a clock, draws randomness of its own, touches a key or knows async. The
//! [`engine`] is a state machine: events and `now` go in, effects and the next deadline come out. The daemon
//! drives it with real parts, tests with simulated ones.

pub mod addresses;
pub mod certificate;
pub mod config;
pub mod engine;
pub mod mutation;
pub mod narrowing;
pub mod policy;
pub mod request;
pub mod slots;
pub mod time;
