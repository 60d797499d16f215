//! An issuer's budget: how many token requests may be under way at once, and how many may start in a second.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::mutation::{self, Mutation};
use crate::time::Moment;

/// One turn in so many is for those that nobody waits for, or a stream of impatient callers would let every other token
/// of the issuer expire.
const ROUTINE_TURN: u32 = 10;

/// The queue of token keys that wait for their turn, and what decides whose turn it is.
///
/// A token key that callers wait for goes before those renewed in the background. Within each, the order is by place:
/// when its token ends, or since when it has waited without one.
#[derive(Debug)]
pub(crate) struct Gate {
    max_in_flight: usize,
    /// Of those let in.
    starts: Option<Pace>,
    /// Of the requests: a key store that hung answers all at once.
    sends: Option<Pace>,
    in_flight: usize,
    /// Let in, and ready to be sent.
    ready: VecDeque<u64>,
    urgent: BTreeSet<(Moment, u64)>,
    routine: BTreeSet<(Moment, u64)>,
    /// How many urgent ones went first since a routine one had its turn.
    passed_over: u32,
}

/// Spaces turns so that no second, wherever it begins, sees more than the limit and a tenth.
#[derive(Debug, Clone, Copy)]
struct Pace {
    interval: Duration,
    burst: Duration,
    /// When the next would be due if they were evenly spaced.
    next: Moment,
}

/// Whether a queued token key may start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// This one, now.
    Now(u64),
    /// One can start at this time.
    Later(Moment),
    /// Nobody waits, or the end of a request under way will tell.
    None,
}

impl Gate {
    /// `max_per_second` of 0 is no limit.
    pub(crate) fn new(max_in_flight: usize, max_per_second: u32) -> Self {
        let pace = Pace::new(max_per_second);
        Self {
            max_in_flight,
            starts: pace,
            sends: pace,
            in_flight: 0,
            ready: VecDeque::new(),
            urgent: BTreeSet::new(),
            routine: BTreeSet::new(),
            passed_over: 0,
        }
    }

    /// Changes the limits; what is queued, under way or was started a moment ago stays counted.
    pub(crate) fn set_limits(&mut self, max_in_flight: usize, max_per_second: u32) {
        self.max_in_flight = max_in_flight;
        for pace in [&mut self.starts, &mut self.sends] {
            let next = pace.map(|pace| pace.next);
            *pace = Pace::new(max_per_second);
            if let (Some(pace), Some(next)) = (pace, next) {
                pace.next = next;
            }
        }
    }

    /// Queues a token key that is not queued yet.
    pub(crate) fn queue(&mut self, token: u64, urgent: bool, place: Moment) {
        self.queue_of(urgent).insert((place, token));
    }

    /// Callers wait now for a token key that was queued without.
    pub(crate) fn hurry(&mut self, token: u64, place: Moment) {
        self.withdraw(token, false, place);
        self.queue(token, true, place);
    }

    /// Takes a token key out of the queue.
    pub(crate) fn withdraw(&mut self, token: u64, urgent: bool, place: Moment) {
        self.queue_of(urgent).remove(&(place, token));
    }

    fn queue_of(&mut self, urgent: bool) -> &mut BTreeSet<(Moment, u64)> {
        if urgent { &mut self.urgent } else { &mut self.routine }
    }

    /// Takes the next token key whose turn it is.
    pub(crate) fn next(&mut self, now: Moment) -> Turn {
        let unlimited = mutation::is(Mutation::HerdAfterOutage);
        if self.urgent.is_empty() && self.routine.is_empty() {
            return Turn::None;
        }
        if self.in_flight >= self.max_in_flight && !unlimited {
            return Turn::None;
        }
        if let Some(pace) = self.starts.as_mut().filter(|_| !unlimited)
            && let Err(earliest) = pace.take(now)
        {
            return Turn::Later(earliest);
        }
        let is_routines = !self.routine.is_empty() && self.passed_over + 1 >= ROUTINE_TURN;
        let urgent = !self.urgent.is_empty() && !is_routines;
        self.passed_over = if urgent && !self.routine.is_empty() { self.passed_over + 1 } else { 0 };
        match self.queue_of(urgent).pop_first() {
            Some((_, token)) => {
                self.in_flight += 1;
                Turn::Now(token)
            }
            None => Turn::None,
        }
    }

    /// The request of a token key that had its turn can be sent.
    pub(crate) fn is_ready(&mut self, token: u64) {
        self.ready.push_back(token);
    }

    /// Takes the next token key whose request may be sent.
    pub(crate) fn next_to_send(&mut self, now: Moment) -> Turn {
        let Some(token) = self.ready.front().copied() else { return Turn::None };
        if let Some(pace) = self.sends.as_mut().filter(|_| !mutation::is(Mutation::HerdAfterOutage))
            && let Err(earliest) = pace.take(now)
        {
            return Turn::Later(earliest);
        }
        self.ready.pop_front();
        Turn::Now(token)
    }

    /// A token key that had its turn is done. Without a `request_sent` its start is not counted.
    pub(crate) fn done(&mut self, token: u64, request_sent: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.ready.retain(|ready| *ready != token);
        if let Some(pace) = self.starts.as_mut().filter(|_| !request_sent) {
            pace.give_back();
        }
    }
}

impl Pace {
    /// 0 is no limit.
    fn new(max_per_second: u32) -> Option<Self> {
        (max_per_second > 0).then(|| {
            let interval = Duration::from_secs(1) / max_per_second;
            Self { interval, burst: interval * (max_per_second / 10), next: Moment::BOOT }
        })
    }

    /// Takes a turn, or says when there is one.
    fn take(&mut self, now: Moment) -> Result<(), Moment> {
        let earliest = self.next.before(self.burst);
        if now < earliest {
            return Err(earliest);
        }
        self.next = self.next.max(now).after(self.interval);
        Ok(())
    }

    fn give_back(&mut self) {
        self.next = self.next.before(self.interval);
    }
}

#[cfg(test)]
impl Gate {
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn queued(&self) -> usize {
        self.urgent.len() + self.routine.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::BOOT.after(Duration::from_millis(3_600_000 + millis))
    }

    #[test]
    fn s19_those_with_waiting_callers_go_first_and_no_more_than_the_limit_at_once() {
        let mut gate = Gate::new(2, 0);
        gate.queue(1, false, at(0));
        gate.queue(2, false, at(0));
        gate.queue(3, true, at(9));
        assert_eq!(gate.next(at(0)), Turn::Now(3));
        assert_eq!(gate.next(at(0)), Turn::Now(1));
        assert_eq!(gate.next(at(0)), Turn::None, "two are under way");
        gate.done(0, true);
        assert_eq!(gate.next(at(0)), Turn::Now(2));
    }

    #[test]
    fn one_that_is_hurried_goes_first_and_one_that_is_withdrawn_does_not_go() {
        let mut gate = Gate::new(8, 0);
        (1..=4).for_each(|token| gate.queue(token, false, at(token)));
        gate.hurry(3, at(3));
        gate.withdraw(1, false, at(1));
        let order: Vec<_> = std::iter::from_fn(|| match gate.next(at(0)) {
            Turn::Now(token) => Some(token),
            _ => None,
        })
        .collect();
        assert_eq!(order, [3, 2, 4]);
    }

    #[test]
    fn the_token_that_ends_first_is_renewed_first() {
        let mut gate = Gate::new(8, 0);
        for (token, ends) in [(1, 30), (2, 10), (3, 20)] {
            gate.queue(token, false, at(ends));
        }
        assert_eq!([gate.next(at(0)), gate.next(at(0))], [Turn::Now(2), Turn::Now(3)]);
    }

    #[test]
    fn s19_those_that_nobody_waits_for_are_not_passed_over_for_ever() {
        let mut gate = Gate::new(usize::MAX, 0);
        gate.queue(0, false, at(0));
        let turns_until_it = (1..100)
            .find(|token| {
                gate.queue(*token, true, at(0));
                gate.next(at(0)) == Turn::Now(0)
            })
            .unwrap();
        assert_eq!(turns_until_it, u64::from(ROUTINE_TURN));
    }

    #[test]
    fn a_change_of_limits_does_not_forget_what_was_started_a_moment_ago() {
        let mut gate = Gate::new(8, 1);
        (0..3).for_each(|token| gate.queue(token, false, at(0)));
        assert_eq!(gate.next(at(0)), Turn::Now(0));
        gate.set_limits(1, 5);
        assert_eq!(gate.next(at(0)), Turn::None, "one is under way");
        gate.done(0, true);
        assert_eq!(gate.next(at(0)), Turn::Later(at(1_000)));
        assert_eq!(gate.next(at(1_000)), Turn::Now(1));
        gate.done(0, true);
        assert_eq!(gate.next(at(1_000)), Turn::Later(at(1_200)));
    }

    #[test]
    fn s23_no_second_sees_more_starts_than_the_limit_and_a_tenth() {
        let mut gate = Gate::new(usize::MAX, 20);
        (0..200).for_each(|token| gate.queue(token, false, at(0)));
        let mut starts = Vec::new();
        let mut now = at(0);
        while starts.len() < 200 {
            match gate.next(now) {
                Turn::Now(_) => starts.push(now),
                Turn::Later(time) => now = time,
                Turn::None => unreachable!("tokens are queued and nothing limits those under way"),
            }
        }
        for (index, start) in starts.iter().enumerate() {
            let second_later = start.after(Duration::from_secs(1));
            let within = starts[index..].iter().take_while(|later| **later < second_later).count();
            assert!(within <= 22, "{within} starts within a second");
        }
        let took = starts[199].since(starts[0]);
        assert!(took <= Duration::from_secs(10), "the limit is used: {took:?}");
    }

    #[test]
    fn a_start_without_a_request_is_not_counted() {
        let mut gate = Gate::new(1, 1);
        for token in 0..100 {
            gate.queue(token, false, at(token));
            assert_eq!(gate.next(at(token)), Turn::Now(token));
            gate.done(0, false);
        }
    }
}
