//! The engine in simulated time: a world of scripted servers, key stores and callers that jumps from wake-up to
//! wake-up.

mod budget;
mod credentials;
mod discovery;
mod explanation;
mod harness;
mod lifetime;
mod narrowed;
mod outage;
mod random_events;
mod refusal;
mod rejection;
mod reload;
mod restart;
mod rotation;
mod server_clock;
mod waiting;
mod watching;
