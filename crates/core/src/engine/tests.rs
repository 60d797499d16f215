//! The engine in simulated time: a world of scripted servers, key stores and callers that jumps from wake-up to
//! wake-up.

mod budget;
mod credentials;
mod discovery;
mod harness;
mod lifetime;
mod outage;
mod random_events;
mod refusal;
mod reload;
mod waiting;
