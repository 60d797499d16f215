//! Why it is not known who is at the other end of a connection.

use std::io;

/// Why a peer is not known. It gets nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// It closed the connection, or died, before it was identified.
    #[error("the peer was gone before it could be identified")]
    Gone,
    /// The kernel has no credentials for it.
    #[error("the kernel does not say who the peer is")]
    Unknown,
    /// The kernel could not be asked.
    #[error("asking the kernel for the peer's identity failed")]
    Io(#[from] io::Error),
}
