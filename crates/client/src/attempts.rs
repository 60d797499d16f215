//! What to do after a setback: try again, and when, or give up.
//!
//! Callers pass how long the call has taken so far and do the waiting; nothing here reads a clock.

use std::io;
use std::time::Duration;

use tokenbroker_protocol::Failure;

use crate::question::Question;
use crate::{Error, Tried};

const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How often a call is repeated on new connections unless a wait was asked for.
const MOST_REPEATS: u32 = 5;

/// Why an attempt did not bring an answer.
#[derive(Debug)]
pub(crate) enum Setback {
    /// Nobody listens where a daemon may be.
    Absent(Vec<Tried>),
    /// A daemon listens and is too far behind to take one more connection.
    Busy,
    /// The connection broke.
    Lost {
        /// It was one that had been used before.
        kept: bool,
        /// Not a byte of the request was taken.
        unsent: bool,
        source: io::Error,
    },
    /// The daemon does not know the token that was reported: the question is another one now.
    Forgotten,
    /// The daemon is shutting down, and has done nothing.
    ShuttingDown(Failure),
    /// The daemon has no room for more of this user's callers now, and has done nothing.
    TooMuch(Failure),
    /// The call's time is over.
    TimedOut,
    /// Another attempt would bring nothing else.
    Final(Error),
}

impl Setback {
    /// What to say when this was the last attempt of a call that was given `deadline`.
    pub(crate) fn into_error(self, deadline: Duration) -> Error {
        match self {
            Self::Absent(tried) => Error::NoDaemon { tried },
            Self::Lost { source, .. } => Error::ConnectionLost { source },
            Self::ShuttingDown(failure) | Self::TooMuch(failure) => Error::Failed(failure),
            Self::Busy | Self::Forgotten | Self::TimedOut => Error::TimedOut { after: deadline },
            Self::Final(error) => error,
        }
    }
}

impl<E: Into<Error>> From<E> for Setback {
    fn from(error: E) -> Self {
        Self::Final(error.into())
    }
}

/// The attempts of one call.
#[derive(Debug)]
pub(crate) struct Attempts {
    deadline: Duration,
    absence: Option<Duration>,
    repeatable: bool,
    repeats: u32,
}

impl Attempts {
    pub(crate) fn new(question: &Question<'_>) -> Self {
        Self {
            deadline: question.deadline(),
            absence: question.absence(),
            repeatable: question.is_repeatable(),
            repeats: 0,
        }
    }

    /// How long to pause before the next attempt, or why there is none.
    pub(crate) fn after(&mut self, setback: Setback, elapsed: Duration) -> Result<Duration, Error> {
        let left = match &setback {
            Setback::Final(_) | Setback::TimedOut => Duration::ZERO,
            Setback::Absent(_) | Setback::TooMuch(_) => {
                self.absence.unwrap_or_default().saturating_sub(elapsed)
            }
            Setback::Lost { unsent: false, .. } if !self.repeatable => Duration::ZERO,
            // That a daemon went away since the last call says nothing about the one that is there now.
            Setback::Lost { kept: true, .. } if elapsed < self.deadline => return Ok(Duration::ZERO),
            Setback::Forgotten if elapsed < self.deadline => return Ok(Duration::ZERO),
            Setback::Forgotten => Duration::ZERO,
            Setback::Lost { .. } | Setback::ShuttingDown(_) if self.is_exhausted() => Duration::ZERO,
            Setback::Lost { .. } | Setback::ShuttingDown(_) | Setback::Busy => {
                self.deadline.saturating_sub(elapsed)
            }
        };
        if left.is_zero() { Err(setback.into_error(self.deadline)) } else { Ok(self.pause(left)) }
    }

    fn is_exhausted(&self) -> bool {
        self.absence.is_none() && self.repeats >= MOST_REPEATS
    }

    /// Doubles each time, less up to a half at random, so that many callers do not come back at once.
    fn pause(&mut self, left: Duration) -> Duration {
        let longest = SHORTEST_PAUSE.saturating_mul(1 << self.repeats.min(10)).min(LONGEST_PAUSE);
        self.repeats += 1;
        longest.mul_f64(1.0 - fastrand::f64() / 2.0).min(left)
    }
}

#[cfg(test)]
mod tests {
    use tokenbroker_protocol::{Command, FailureCode};

    use super::*;
    use crate::TokenRequest;
    use crate::question::Get;

    const SECOND: Duration = Duration::from_secs(1);

    fn get() -> Attempts {
        Attempts::new(&Question::Get(Get::new("x")))
    }

    fn get_waiting(wait: Duration) -> Attempts {
        Attempts::new(&Question::Get(Get::with(&TokenRequest::new("x").wait(wait))))
    }

    fn reload() -> Attempts {
        Attempts::new(&Question::Command { command: &Command::Reload, timeout: SECOND })
    }

    fn lost(kept: bool, unsent: bool) -> Setback {
        Setback::Lost { kept, unsent, source: io::ErrorKind::BrokenPipe.into() }
    }

    fn shutting_down() -> Setback {
        Setback::ShuttingDown(Failure::new(FailureCode::ShuttingDown, "shutting down"))
    }

    #[test]
    fn an_absent_daemon_is_waited_for_only_where_a_wait_was_given() {
        let absent = || Setback::Absent(Vec::new());
        assert!(matches!(get().after(absent(), Duration::ZERO), Err(Error::NoDaemon { .. })));
        let mut waiting = get_waiting(SECOND);
        assert!(waiting.after(absent(), Duration::ZERO).unwrap() >= SHORTEST_PAUSE / 2);
        assert!(
            waiting.after(absent(), SECOND - Duration::from_millis(1)).unwrap() <= Duration::from_millis(1)
        );
        assert!(matches!(waiting.after(absent(), SECOND), Err(Error::NoDaemon { .. })));
    }

    #[test]
    fn s10_room_is_waited_for_only_where_a_wait_was_given() {
        let too_much = || Setback::TooMuch(Failure::new(FailureCode::TooMuch, "too many connections"));
        let is_final = |error: Result<_, Error>| error.unwrap_err().code() == Some(FailureCode::TooMuch);
        assert!(is_final(get().after(too_much(), Duration::ZERO)));
        let mut waiting = get_waiting(SECOND);
        assert!((0..50).all(|_| waiting.after(too_much(), SECOND / 2).is_ok()));
        assert!(is_final(waiting.after(too_much(), SECOND)));
    }

    #[test]
    fn s69_a_get_is_repeated_at_once_when_a_kept_connection_is_dead() {
        assert_eq!(get().after(lost(true, true), Duration::ZERO).unwrap(), Duration::ZERO);
        assert_eq!(get().after(lost(true, false), Duration::ZERO).unwrap(), Duration::ZERO);
    }

    #[test]
    fn s69_repeats_on_new_connections_slow_down_and_end() {
        let mut attempts = get();
        let pauses: Vec<_> =
            std::iter::from_fn(|| attempts.after(lost(false, false), SECOND).ok()).take(100).collect();
        assert_eq!(pauses.len(), MOST_REPEATS as usize);
        assert!(pauses.iter().all(|pause| (SHORTEST_PAUSE / 2..=LONGEST_PAUSE).contains(pause)));

        let mut waiting = get_waiting(5 * SECOND);
        assert!((0..50).all(|_| waiting.after(shutting_down(), SECOND).is_ok()));
        assert!(matches!(waiting.after(shutting_down(), 7 * SECOND), Err(Error::Failed(_))));
        assert!(matches!(waiting.after(lost(true, true), 7 * SECOND), Err(Error::ConnectionLost { .. })));
    }

    #[test]
    fn what_changes_something_is_repeated_only_if_it_was_certainly_not_done() {
        assert!(matches!(
            reload().after(lost(true, false), Duration::ZERO),
            Err(Error::ConnectionLost { .. })
        ));
        assert!(reload().after(lost(true, true), Duration::ZERO).is_ok());
        assert!(reload().after(shutting_down(), Duration::ZERO).is_ok());
        assert!(matches!(reload().after(Setback::Busy, SECOND), Err(Error::TimedOut { .. })));
    }
}
