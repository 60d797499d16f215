//! What the tests of tokenbroker run against. Nothing here is part of the product.
//!
//! - [`AuthServer`]: an authorization server with a protected resource, in process, with faults on demand.
//! - [`HostileServer`]: a server on raw sockets that misbehaves by scripts.
//! - [`OidcProvider`]: the npm package `oidc-provider` as a real peer, with strict rules for assertions.
//! - [`Keyring`]: a real gnome-keyring on a session bus of its own.
//! - [`Install`]: a directory with a configuration, a daemon that runs on it, and the command line.
//! - [`configuration`]: the tables that most tests start from.
//! - [`Workers`]: the test program again, as many processes at once.
//! - [`wait_until`] and [`require_or_skip`]: how tests wait, and how they do without what a host lacks.
//!
//! Everything listens on loopback or in a temporary directory, and ends with the value that stands for it.

#![expect(clippy::expect_used, reason = "a fixture that breaks fails its test, and panicking is how")]

pub mod auth_server;
mod binaries;
mod certificates;
mod client;
mod clock;
pub mod configuration;
pub mod hostile;
pub mod install;
mod jwk;
mod keyring;
mod oidc_provider;
mod resource;
mod suites;
mod wait;
mod workers;

pub use auth_server::{Asked, AuthServer, Counts, Discovery, Fault};
pub use binaries::binary;
pub use client::Client;
pub use clock::{Stopwatch, http_date};
pub use hostile::HostileServer;
pub use install::{Daemon, Install, Output, Run};
pub use keyring::Keyring;
pub use oidc_provider::OidcProvider;
pub use resource::data;
pub use suites::{programs, require_or_skip, root};
pub use wait::{wait_for, wait_until};
pub use workers::{Start, Workers, work};
