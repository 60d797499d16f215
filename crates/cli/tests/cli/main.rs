//! The real binary against a daemon that answers as told.

mod certificates;
mod checks;
mod credentials;
mod exit_codes;
mod fake;
mod get;
mod moving;
mod rotation;
mod status;
mod usage;
