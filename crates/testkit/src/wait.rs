//! Waiting for a condition, with a deadline.

use std::thread;
use std::time::Duration;

use crate::clock;

const PAUSE: Duration = Duration::from_millis(5);

/// Returns once the condition holds.
///
/// # Panics
///
/// If it still does not hold when the deadline, counted from now, is over.
#[track_caller]
pub fn wait_until(deadline: Duration, mut condition: impl FnMut() -> bool) {
    let held = wait_for(deadline, || condition().then_some(()));
    assert!(held.is_some(), "the condition did not hold within {deadline:?}");
}

/// What `attempt` returns as soon as it returns something; `None` when the deadline, counted from now, is over.
pub fn wait_for<T>(deadline: Duration, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let started = clock::now();
    loop {
        // Looked at before the attempt, so that there is one after the deadline, however long a pause took.
        let last = clock::now().duration_since(started) >= deadline;
        match attempt() {
            Some(value) => return Some(value),
            None if last => return None,
            None => thread::sleep(PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_time_is_returned() {
        let mut attempts = 0..;
        assert_eq!(wait_for(Duration::from_secs(60), || attempts.next().filter(|n| *n == 3)), Some(3));
    }

    #[test]
    fn there_is_one_attempt_even_without_time() {
        let mut attempts = 0;
        let value: Option<()> = wait_for(Duration::ZERO, || {
            attempts += 1;
            None
        });
        assert_eq!((value, attempts), (None, 1));
    }

    #[test]
    #[should_panic(expected = "the condition did not hold within 20ms")]
    fn what_never_holds_is_a_panic() {
        wait_until(Duration::from_millis(20), || false);
    }
}
