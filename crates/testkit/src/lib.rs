//! What the tests of tokenbroker run against. Nothing here is part of the product.
//!
//! - [`AuthServer`]: an authorization server with a protected resource, in process, with faults on demand.
//! - [`HostileServer`]: a server on raw sockets that misbehaves by scripts.
//! - [`OidcProvider`]: the npm package `oidc-provider` as a real peer, with strict rules for assertions, and for clients with
//!   certificates.
//! - [`Authlib`] and [`OAuth2Server`]: other real peers, from PyPI and npm, which want other audiences in assertions and another
//!   encoding of secrets.
//! - [`ClientAuthority`] and [`ClientCertificate`]: the certificates by which clients authenticate.
//! - [`HttpCaller`]: programs in Python and Node that ask the HTTP socket.
//! - [`Keyring`]: a real gnome-keyring on a session bus of its own.
//! - [`Install`]: a directory with a configuration, a daemon that runs on it, and the command line.
//! - [`configuration`]: the tables that most tests start from.
//! - [`Crowd`]: another user, with as many connections as it can get.
//! - [`Wire`]: a connection to a daemon, for bytes and requests of a test's own.
//! - [`Workers`]: the test program again, as many processes at once.
//! - [`simulation`]: days in the life of a token, with both clocks, servers, key store and callers simulated.
//! - [`wait_until`] and [`require_or_skip`]: how tests wait, and how they do without what a host lacks.
//!
//! Everything listens on loopback or in a temporary directory, and ends with the value that stands for it.

#![cfg_attr(
    feature = "servers",
    expect(clippy::expect_used, reason = "a fixture that breaks fails its test, and panicking is how")
)]

#[cfg(feature = "servers")]
pub mod auth_server;
#[cfg(feature = "servers")]
mod authlib;
#[cfg(feature = "servers")]
mod binaries;
#[cfg(feature = "servers")]
mod certificates;
#[cfg(feature = "servers")]
mod client;
mod clock;
#[cfg(feature = "servers")]
pub mod configuration;
#[cfg(feature = "servers")]
mod crowd;
#[cfg(feature = "servers")]
pub mod hostile;
#[cfg(feature = "servers")]
mod http_callers;
#[cfg(feature = "servers")]
pub mod install;
#[cfg(feature = "servers")]
mod jwk;
#[cfg(feature = "servers")]
mod keyring;
#[cfg(feature = "servers")]
mod oauth2_server;
#[cfg(feature = "servers")]
mod oidc_provider;
#[cfg(feature = "servers")]
mod peers;
#[cfg(feature = "servers")]
mod resource;
#[cfg(feature = "simulation")]
pub mod simulation;
#[cfg(feature = "servers")]
mod suites;
#[cfg(feature = "servers")]
mod wait;
#[cfg(feature = "servers")]
pub mod wire;
#[cfg(feature = "servers")]
mod workers;

pub use clock::Stopwatch;

#[cfg(feature = "servers")]
pub use self::{
    auth_server::{Asked, AuthServer, Counts, Discovery, Fault},
    authlib::{AssertionAudience, Authlib},
    binaries::binary,
    certificates::{ClientAuthority, ClientCertificate, Validity},
    client::Client,
    clock::http_date,
    crowd::Crowd,
    hostile::HostileServer,
    http_callers::HttpCaller,
    install::{Daemon, Install, Output, Run},
    keyring::Keyring,
    oauth2_server::OAuth2Server,
    oidc_provider::OidcProvider,
    resource::data,
    suites::{programs, require_or_skip, root},
    wait::{wait_for, wait_until},
    wire::Wire,
    workers::{Start, Workers, work},
};
