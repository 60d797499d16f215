//! When to try again after a failure.
//!
//! A transient failure is tried again soon, at random times that spread ever wider. A refusal is tried again rarely:
//! the answer will be the same until somebody changes something, and every attempt with a wrong secret may count
//! against the client at the authorization server.

use std::time::Duration;

use rand::Rng;
use tokenbroker_oauth::Class;

use crate::mutation::{self, Mutation};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Upper bounds of the first and of every later wait after transient failures.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Full jitter may draw a wait of nothing; this keeps even the luckiest series of draws from being a tight loop.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// Waits after refusals of a credential that was accepted before: servers and gateways have bad days.
const AFTER_ACCEPTANCE: [Duration; 4] =
    [MINUTE, Duration::from_secs(5 * 60), Duration::from_secs(15 * 60), HOUR];

/// Waits after refusals of a credential that was never accepted: two attempts in the first hour, then one an hour.
const NEVER_ACCEPTED: [Duration; 2] = [MINUTE, HOUR];

/// A server may ask for a longer wait than ours, up to this.
const LONGEST_REQUESTED_WAIT: Duration = HOUR;

/// The failures in a row of one token key, of one client's credential or of one issuer's discovery.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Retry {
    transient: u32,
    refused: u32,
}

impl Retry {
    /// How long to wait after one more failure.
    ///
    /// `accepted_before` tells whether the same credential was accepted at some time; `requested` is what the
    /// server asked for (Retry-After).
    pub(crate) fn failed(
        &mut self,
        class: Class,
        accepted_before: bool,
        requested: Option<Duration>,
        random: &mut impl Rng,
    ) -> Duration {
        let own = match class {
            Class::Transient => self.back_off(random),
            Class::Credential | Class::Request | Class::Demand => self.ladder(accepted_before),
        };
        let requested = requested.filter(|_| !mutation::is(Mutation::IgnoreRetryAfter));
        own.max(requested.unwrap_or_default().min(LONGEST_REQUESTED_WAIT))
    }

    /// Exponential back-off with full jitter.
    fn back_off(&mut self, random: &mut impl Rng) -> Duration {
        let bound = FIRST_WAIT.saturating_mul(1 << self.transient.min(6)).min(LONGEST_WAIT);
        self.transient = self.transient.saturating_add(1);
        let part = if mutation::is(Mutation::ForgetJitter) { 1.0 } else { random.random() };
        bound.mul_f64(part).max(SHORTEST_WAIT)
    }

    fn ladder(&mut self, accepted_before: bool) -> Duration {
        let waits: &[Duration] = if accepted_before { &AFTER_ACCEPTANCE } else { &NEVER_ACCEPTED };
        let wait = waits.get(self.refused as usize).copied().unwrap_or(HOUR);
        self.refused = self.refused.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn waits(class: Class, accepted_before: bool, count: usize) -> Vec<Duration> {
        let mut random = StdRng::seed_from_u64(1);
        let mut retry = Retry::default();
        (0..count).map(|_| retry.failed(class, accepted_before, None, &mut random)).collect()
    }

    #[test]
    fn s25_transient_failures_back_off_with_full_jitter_up_to_a_minute() {
        for (attempt, wait) in waits(Class::Transient, false, 50).into_iter().enumerate() {
            let bound = Duration::from_secs(1 << attempt.min(6)).min(Duration::from_secs(60));
            assert!(wait >= SHORTEST_WAIT && wait <= bound, "attempt {attempt}: {wait:?}");
        }
        let long = waits(Class::Transient, false, 500);
        assert!(long[10..].iter().any(|wait| *wait < Duration::from_secs(10)), "low draws occur");
        assert!(long[10..].iter().any(|wait| *wait > Duration::from_secs(50)), "high draws occur");
    }

    #[test]
    fn s26_a_credential_never_accepted_makes_two_requests_in_the_first_hour_then_one_an_hour() {
        let waits = waits(Class::Credential, false, 5);
        assert_eq!(waits, [MINUTE, HOUR, HOUR, HOUR, HOUR]);
    }

    #[test]
    fn s26_a_credential_accepted_before_is_tried_after_1_5_and_15_minutes_then_hourly() {
        let waits = waits(Class::Credential, true, 6);
        assert_eq!(waits, [MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, HOUR, HOUR]);
    }

    #[test]
    fn s24_a_requested_wait_is_obeyed_and_clamped() {
        let mut random = StdRng::seed_from_u64(1);
        let mut wait = |requested| {
            Retry::default().failed(
                Class::Transient,
                false,
                Some(Duration::from_secs(requested)),
                &mut random,
            )
        };
        assert_eq!(wait(30), Duration::from_secs(30));
        assert_eq!(wait(1_000_000), HOUR);
        assert!(wait(0) >= SHORTEST_WAIT, "never shorter than our own");
    }
}
