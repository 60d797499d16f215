//! The daemon and the command line, as users run them, against servers that misbehave on raw sockets: what the caller
//! sees, what the server saw, and that nothing of a token, a secret or a body comes out anywhere.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod answers;
mod callers;
mod discovery;
mod host;
mod pace;
mod state;
mod tls;
mod transport;

use std::time::Duration;

/// Ample: builds and other tests may be using the same processors.
const SOON: Duration = Duration::from_secs(30);

/// In every body that is not a token's.
const CANARY: &str = "c4n4ry-b0dy";

/// Every token that a server hands out here begins so.
const TOKEN: &str = "t0k3n";

/// Of every client.
const SECRET: &str = "s3cr3t-0f-a-client";
