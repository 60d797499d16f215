//! What meets a connection before it has said anything.

use super::Script;
use crate::certificates::{Flaw, ServerCertificate};

/// What is behind a port.
pub enum Port {
    /// Plain HTTP, by the scripts of the paths.
    Http,
    /// HTTPS, by the scripts of the paths.
    Https(Identity),
    /// Whatever comes, each connection gets this at once.
    Says(Script),
    /// Nobody: connections are made by the kernel, and never accepted.
    Deaf,
}

/// Who a TLS server says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// 127.0.0.1 and localhost, by the authority in [`ca_file`](super::HostileServer::ca_file).
    Right,
    /// The same, by an authority of the same name that nobody knows.
    UnknownAuthority,
    /// Some other host.
    OtherName,
    /// The right one, until some years ago.
    Expired,
    /// The right one, in some years.
    NotYetValid,
    /// The right one, signed by itself.
    SelfSigned,
}

impl Identity {
    pub(super) fn certificate(self) -> ServerCertificate {
        ServerCertificate::flawed(match self {
            Self::Right => None,
            Self::UnknownAuthority => Some(Flaw::UnknownAuthority),
            Self::OtherName => Some(Flaw::OtherName),
            Self::Expired => Some(Flaw::Expired),
            Self::NotYetValid => Some(Flaw::NotYetValid),
            Self::SelfSigned => Some(Flaw::SelfSigned),
        })
    }
}
