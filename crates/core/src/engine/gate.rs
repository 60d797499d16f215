//! An issuer's budget: how many token requests may be under way at once, and how many may start in a second.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Moment;

/// The queue of token keys that wait for their turn, and what decides whose turn it is.
///
/// A token key that callers wait for goes before those renewed in the background; within each, first come first
/// served.
#[derive(Debug)]
pub(crate) struct Gate {
    max_in_flight: usize,
    pace: Option<Pace>,
    in_flight: usize,
    urgent: VecDeque<u64>,
    routine: VecDeque<u64>,
}

/// Spaces starts so that no second, wherever it begins, sees more than the limit and a tenth.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    burst: Duration,
    /// When the next start would be due if starts were evenly spaced.
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
        let pace = (max_per_second > 0).then(|| {
            let interval = Duration::from_secs(1) / max_per_second;
            Pace { interval, burst: interval * (max_per_second / 10), next: Moment::BOOT }
        });
        Self { max_in_flight, pace, in_flight: 0, urgent: VecDeque::new(), routine: VecDeque::new() }
    }

    /// Changes the limits; what is queued, under way or was started a moment ago stays counted.
    pub(crate) fn set_limits(&mut self, max_in_flight: usize, max_per_second: u32) {
        let Self { max_in_flight, mut pace, .. } = Self::new(max_in_flight, max_per_second);
        if let (Some(pace), Some(before)) = (&mut pace, &self.pace) {
            pace.next = before.next;
        }
        (self.max_in_flight, self.pace) = (max_in_flight, pace);
    }

    /// Queues a token key. One that became urgent while it waited may be queued again: `is_waiting` of
    /// [`next`](Self::next) skips its older entry.
    pub(crate) fn queue(&mut self, token: u64, urgent: bool) {
        if urgent { self.urgent.push_back(token) } else { self.routine.push_back(token) }
    }

    /// Takes the next token key whose turn it is, of those that still wait.
    pub(crate) fn next(&mut self, now: Moment, is_waiting: impl Fn(u64) -> bool) -> Turn {
        for queue in [&mut self.urgent, &mut self.routine] {
            while queue.front().is_some_and(|token| !is_waiting(*token)) {
                queue.pop_front();
            }
        }
        let queue = if self.urgent.is_empty() { &mut self.routine } else { &mut self.urgent };
        if queue.is_empty() || self.in_flight >= self.max_in_flight {
            return Turn::None;
        }
        if let Some(pace) = &mut self.pace {
            let earliest =
                Moment::from_nanos(pace.next.as_nanos().saturating_sub(pace.burst.as_nanos() as u64));
            if now < earliest {
                return Turn::Later(earliest);
            }
            pace.next = pace.next.max(now).after(pace.interval);
        }
        match queue.pop_front() {
            Some(token) => {
                self.in_flight += 1;
                Turn::Now(token)
            }
            None => Turn::None,
        }
    }

    /// A token key that had its turn is done. Without a `request_sent` its start is not counted.
    pub(crate) fn done(&mut self, request_sent: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(pace) = self.pace.as_mut().filter(|_| !request_sent) {
            let interval = pace.interval.as_nanos() as u64;
            pace.next = Moment::from_nanos(pace.next.as_nanos().saturating_sub(interval));
        }
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
        gate.queue(1, false);
        gate.queue(2, false);
        gate.queue(3, true);
        assert_eq!(gate.next(at(0), |_| true), Turn::Now(3));
        assert_eq!(gate.next(at(0), |_| true), Turn::Now(1));
        assert_eq!(gate.next(at(0), |_| true), Turn::None, "two are under way");
        gate.done(true);
        assert_eq!(gate.next(at(0), |_| true), Turn::Now(2));
    }

    #[test]
    fn an_entry_that_waits_no_more_is_skipped() {
        let mut gate = Gate::new(8, 0);
        gate.queue(1, false);
        gate.queue(1, true);
        gate.queue(2, false);
        assert_eq!(gate.next(at(0), |_| true), Turn::Now(1));
        assert_eq!(gate.next(at(0), |token| token != 1), Turn::Now(2));
        assert_eq!(gate.next(at(0), |_| true), Turn::None);
    }

    #[test]
    fn s23_no_second_sees_more_starts_than_the_limit_and_a_tenth() {
        let mut gate = Gate::new(usize::MAX, 20);
        (0..200).for_each(|token| gate.queue(token, false));
        let mut starts = Vec::new();
        let mut now = at(0);
        while starts.len() < 200 {
            match gate.next(now, |_| true) {
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
            gate.queue(token, false);
            assert_eq!(gate.next(at(token), |_| true), Turn::Now(token));
            gate.done(false);
        }
    }
}
