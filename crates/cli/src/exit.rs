//! What can go wrong, in words and as an exit code.

use std::error::Error as _;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use tokenbroker_client::Error as BrokerError;
use tokenbroker_client::protocol::FailureCode;

use crate::duration;
use crate::input::InputError;
use crate::output::say;

/// The exit codes. Other programs act on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It was done.
    Done = 0,
    /// Anything that has no code of its own.
    Failed = 1,
    /// The arguments are wrong.
    Usage = 2,
    /// There is no daemon to talk to.
    NoDaemon = 3,
    /// The caller may not, or there is no such client.
    Denied = 4,
    /// There is no token now; the daemon keeps trying.
    NoToken = 5,
    /// There is no token until somebody acts.
    Blocked = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error("can't write to standard output")]
    Output(#[from] io::Error),
    #[error("the daemon's answer does not fit the question")]
    UnexpectedReply,
    // In the words that the daemon has for it when one is to be retired.
    #[error("{client} has no key with that key ID")]
    NoKey { client: String },
}

impl Error {
    /// What to do about it, if there is something.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Broker(error) => error.hint().map(str::to_owned),
            Self::Input(error) => error.hint().map(str::to_owned),
            Self::NoKey { client } => Some(format!("see which it has: tokenbroker key list {client}")),
            Self::UnexpectedReply => Some("are daemon and command line of the same release?".to_owned()),
            Self::Output(_) => None,
        }
    }

    fn next_try_in(&self) -> Option<Duration> {
        match self {
            Self::Broker(error) => error.retry_after(),
            Self::Input(_) | Self::Output(_) | Self::UnexpectedReply | Self::NoKey { .. } => None,
        }
    }
}

/// The one place that decides.
impl From<&Error> for Exit {
    fn from(error: &Error) -> Self {
        match error {
            Error::Broker(BrokerError::NoDaemon { .. } | BrokerError::UntrustedServer { .. }) => {
                Self::NoDaemon
            }
            Error::Broker(BrokerError::Failed(failure)) => match failure.code {
                FailureCode::Denied | FailureCode::UnknownClient => Self::Denied,
                FailureCode::NoToken => Self::NoToken,
                FailureCode::Blocked => Self::Blocked,
                FailureCode::ShuttingDown => Self::NoDaemon,
                FailureCode::InvalidRequest
                | FailureCode::Refused
                | FailureCode::KeyStore
                | FailureCode::TokenTooLarge
                | FailureCode::Internal
                | FailureCode::UnknownHandle
                | _ => Self::Failed,
            },
            Error::Broker(
                BrokerError::TimedOut { .. }
                | BrokerError::ConnectionLost { .. }
                | BrokerError::Incompatible
                | BrokerError::Protocol(_)
                | BrokerError::Unsendable(_)
                | _,
            ) => Self::Failed,
            // Whoever closed the pipe has seen enough.
            Error::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Self::Done,
            Error::Input(_) | Error::Output(_) | Error::UnexpectedReply | Error::NoKey { .. } => Self::Failed,
        }
    }
}

/// Says on standard error what went wrong, with the remedy if there is one, and in any case how to exit.
pub(crate) fn report(outcome: Result<Exit, Error>) -> Exit {
    let error = match outcome {
        Ok(exit) => return exit,
        Err(error) => error,
    };
    let exit = Exit::from(&error);
    if exit != Exit::Done {
        say(&format!("error: {}", sentence(&error)));
        if let Some(hint) = error.hint() {
            say(&format!("hint: {hint}"));
        }
    }
    exit
}

/// What went wrong, down to its cause, and when the daemon tries again.
pub(crate) fn sentence(error: &Error) -> String {
    let mut sentence = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        sentence.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    if let Some(next) = error.next_try_in() {
        let milliseconds = u64::try_from(next.as_millis()).unwrap_or(u64::MAX);
        sentence.push_str(&format!("; next try {}", duration::from_now(milliseconds)));
    }
    sentence
}

#[cfg(test)]
mod tests {
    use tokenbroker_client::protocol::Failure;

    use super::*;

    fn failed(code: FailureCode, next_try_in_ms: Option<u64>) -> Error {
        let failure = Failure { next_try_in_ms, ..Failure::new(code, "it did not work") };
        BrokerError::Failed(failure).into()
    }

    #[test]
    fn every_failure_has_its_exit_code() {
        let exit = |code| Exit::from(&failed(code, None)) as u8;
        assert_eq!(exit(FailureCode::Denied), 4);
        assert_eq!(exit(FailureCode::UnknownClient), 4);
        assert_eq!(exit(FailureCode::NoToken), 5);
        assert_eq!(exit(FailureCode::Blocked), 6);
        assert_eq!(exit(FailureCode::ShuttingDown), 3);
        assert_eq!(exit(FailureCode::InvalidRequest), 1);
        assert_eq!(exit(FailureCode::Refused), 1);
        assert_eq!(exit(FailureCode::KeyStore), 1);
        assert_eq!(exit(FailureCode::TokenTooLarge), 1);
        assert_eq!(exit(FailureCode::Internal), 1);
        assert_eq!(exit(FailureCode::UnknownHandle), 1);
    }

    #[test]
    fn a_full_disk_is_a_failure_and_a_closed_pipe_is_not() {
        let output = |kind: io::ErrorKind| Exit::from(&Error::from(io::Error::from(kind)));
        assert_eq!(output(io::ErrorKind::StorageFull), Exit::Failed);
        assert_eq!(output(io::ErrorKind::BrokenPipe), Exit::Done);
    }

    #[test]
    fn a_sentence_ends_with_the_cause_or_the_next_try() {
        let file = InputError::File { path: "key.pem".into(), source: io::ErrorKind::NotFound.into() };
        assert_eq!(sentence(&file.into()), "can't read key.pem: entity not found");
        assert_eq!(
            sentence(&failed(FailureCode::NoToken, Some(12_900))),
            "it did not work; next try in 12 s"
        );
        assert_eq!(sentence(&failed(FailureCode::NoToken, Some(300))), "it did not work; next try now");
        assert_eq!(sentence(&failed(FailureCode::NoToken, None)), "it did not work");
    }
}
