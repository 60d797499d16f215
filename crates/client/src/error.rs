//! Why there is no answer, by what can be done about it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokenbroker_ipc::UntrustedServer;
use tokenbroker_protocol::hello::{self, NotAHello};
use tokenbroker_protocol::{DecodeError, EncodeError, Failure, FailureCode, Oversize, Party};

/// Why a call failed. Never holds a token or a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No daemon answers at any place where one may be.
    #[error("no tokenbroker daemon can be reached: {}", Listed(.tried))]
    NoDaemon {
        /// Where it was looked for, in order.
        tried: Vec<Tried>,
    },
    /// Somebody else's server listens on the socket. Nothing was sent to it.
    #[error(transparent)]
    UntrustedServer(#[from] UntrustedServer),
    /// The daemon said no: [`code`](Failure::code) says what kind of no.
    #[error("{}", .0.message)]
    Failed(Failure),
    /// The daemon did not answer in time.
    #[error("the daemon did not answer within {:.1} s", .after.as_secs_f64())]
    TimedOut {
        /// How long it was given.
        after: Duration,
    },
    /// The connection broke, and the request could not be repeated, or not in time. A request that changes
    /// something may have been done.
    #[error("the connection to the daemon broke before it answered")]
    ConnectionLost {
        /// What the system said.
        source: io::Error,
    },
    /// The daemon and this program have no version of the protocol in common.
    #[error(
        "the daemon speaks none of this program's protocol versions ({} to {})",
        hello::LOWEST,
        hello::HIGHEST
    )]
    Incompatible,
    /// What came back makes no sense.
    #[error("the daemon's answer makes no sense")]
    Protocol(#[from] ProtocolError),
    /// The request is too long to be sent.
    #[error("the request can't be sent")]
    Unsendable(#[from] EncodeError),
}

impl Error {
    /// What to do about it, if there is something.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::NoDaemon { tried } => Some(match tried.last().map(|tried| tried.source.kind()) {
                Some(io::ErrorKind::PermissionDenied) => {
                    "ask for access to the socket, or run this as a user that has it"
                }
                _ => "start tokenbrokerd, or name its socket in TOKENBROKER_SOCKET",
            }),
            Self::UntrustedServer(_) => Some(
                "if that is the daemon's user, name it in TOKENBROKER_SERVER_USER; if not, find out who listens there",
            ),
            Self::Failed(failure) => failure.hint.as_deref(),
            Self::TimedOut { .. } => Some("see the daemon's log; it may be overloaded or stopped"),
            Self::Incompatible => Some("bring the daemon and this program to the same release"),
            Self::Protocol(_) => Some("check that the socket is that of tokenbrokerd"),
            Self::ConnectionLost { .. } | Self::Unsendable(_) => None,
        }
    }

    /// The daemon's own words, if it was the daemon that said no.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// What kind of no the daemon said.
    pub fn code(&self) -> Option<FailureCode> {
        self.failure().map(|failure| failure.code)
    }

    /// Who can put it right: the program that asks, who runs the daemon and its host, or the authorization server.
    /// `None` where nobody needs to: it passes by itself.
    pub fn fixed_by(&self) -> Option<Party> {
        match self {
            Self::Failed(failure) => failure.fixed_by,
            Self::Unsendable(_) => Some(Party::Caller),
            Self::NoDaemon { .. }
            | Self::UntrustedServer(_)
            | Self::TimedOut { .. }
            | Self::Incompatible
            | Self::Protocol(_) => Some(Party::Operator),
            Self::ConnectionLost { .. } => None,
        }
    }

    /// Whether it says nothing about the token: no daemon could be reached, or none with time for this caller.
    pub(crate) fn is_of_reach(&self) -> bool {
        match self {
            Self::NoDaemon { .. } | Self::TimedOut { .. } | Self::ConnectionLost { .. } => true,
            Self::Failed(failure) => {
                matches!(failure.code, FailureCode::ShuttingDown | FailureCode::TooMuch)
            }
            _ => false,
        }
    }

    /// In how long the daemon itself tries again to get a token; asking earlier is of no use.
    pub fn retry_after(&self) -> Option<Duration> {
        self.failure()?.next_try_in_ms.map(Duration::from_millis)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A socket where no daemon answered.
#[derive(Debug)]
#[non_exhaustive]
pub struct Tried {
    /// The socket.
    pub socket: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.socket.display())?;
        match self.source.kind() {
            io::ErrorKind::NotFound => f.write_str("no such socket"),
            io::ErrorKind::ConnectionRefused => f.write_str("nobody is listening"),
            io::ErrorKind::PermissionDenied => f.write_str("permission denied"),
            _ => write!(f, "{}", self.source),
        }
    }
}

struct Listed<'a>(&'a [Tried]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, tried) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{tried}")?;
        }
        Ok(())
    }
}

/// What is wrong with what the daemon sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// Its first words are not those of a daemon.
    #[error(transparent)]
    Hello(#[from] NotAHello),
    /// A frame is too long.
    #[error(transparent)]
    Oversize(#[from] Oversize),
    /// A frame can't be read.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// It answers a request that was not made.
    #[error("the answer is to another request")]
    OtherRequest,
    /// It answers something that was not asked.
    #[error("the answer does not fit the request")]
    OtherResponse,
    /// It gave a token that no header can carry.
    #[error("the token has characters that can't be part of a header")]
    Unpresentable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_that_was_tried_is_named() {
        let tried = |socket: &str, kind: io::ErrorKind| Tried { socket: socket.into(), source: kind.into() };
        let error = Error::NoDaemon {
            tried: vec![
                tried("/run/user/7/x.sock", io::ErrorKind::NotFound),
                tried("/run/x.sock", io::ErrorKind::ConnectionRefused),
            ],
        };
        assert_eq!(
            error.to_string(),
            "no tokenbroker daemon can be reached: /run/user/7/x.sock: no such socket; /run/x.sock: nobody is listening"
        );
        assert!(error.hint().unwrap().contains("TOKENBROKER_SOCKET"));
    }

    #[test]
    fn the_daemons_words_hint_and_next_try_are_handed_on() {
        let failure = Failure {
            next_try_in_ms: Some(1500),
            ..Failure::new(FailureCode::NoToken, "the authorization server is down").with_hint("wait")
        };
        let error = Error::Failed(failure);
        assert_eq!(error.to_string(), "the authorization server is down");
        assert_eq!(error.hint(), Some("wait"));
        assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
        assert_eq!(error.code(), Some(FailureCode::NoToken));
    }

    #[test]
    fn every_error_says_who_can_put_it_right() {
        let failed = |code| Error::Failed(Failure::new(code, "no"));
        let lost = Error::ConnectionLost { source: io::ErrorKind::BrokenPipe.into() };
        assert_eq!(failed(FailureCode::TooMuch).fixed_by(), Some(Party::Caller));
        assert_eq!(failed(FailureCode::Denied).fixed_by(), Some(Party::Operator));
        let served = Failure { fixed_by: Some(Party::Server), ..Failure::new(FailureCode::NoToken, "no") };
        assert_eq!(Error::Failed(served).fixed_by(), Some(Party::Server));
        assert_eq!(Error::NoDaemon { tried: Vec::new() }.fixed_by(), Some(Party::Operator));
        assert_eq!(lost.fixed_by(), None);
    }
}
