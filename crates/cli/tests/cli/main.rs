//! The real binary against a daemon that answers as told.

mod credentials;
mod exit_codes;
mod fake;
mod get;
mod status;
mod usage;
