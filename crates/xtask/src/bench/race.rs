//! Contenders taking turns.

use super::report::Entry;
use crate::Result;
use crate::clock::Laps;
use crate::samples::Rounds;

/// What can be measured, by a caller of the kind that it is meant for.
pub(crate) trait Contender {
    /// What it is called in the report.
    fn name(&self) -> String;

    /// Asks so many times, and adds how long each took, in nanoseconds.
    fn round(&mut self, count: usize, nanoseconds: &mut Vec<u64>) -> Result;
}

/// How long a race is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Short rounds: whatever else the machine does meets every contender alike.
    pub(crate) rounds: usize,
    pub(crate) per_round: usize,
    pub(crate) warm_up: usize,
}

/// Lets each contender do its rounds, in one order and then in the other.
pub(crate) fn race(mut contenders: Vec<Box<dyn Contender>>, pace: Pace) -> Result<Vec<Entry>> {
    let mut entries: Vec<_> =
        contenders.iter().map(|contender| Entry::new(contender.name(), Rounds::default())).collect();
    for contender in &mut contenders {
        contender.round(pace.warm_up, &mut Vec::with_capacity(pace.warm_up))?;
    }
    for round in 0..pace.rounds {
        for turn in 0..contenders.len() {
            let turn = if round % 2 == 0 { turn } else { contenders.len() - 1 - turn };
            let mut nanoseconds = Vec::with_capacity(pace.per_round);
            contenders[turn].round(pace.per_round, &mut nanoseconds)?;
            entries[turn].rounds.push(nanoseconds);
        }
    }
    Ok(entries)
}

/// A round of something that blocks. The clock is read once for each exchange.
pub(crate) fn timed(
    count: usize,
    nanoseconds: &mut Vec<u64>,
    mut exchange: impl FnMut() -> Result,
) -> Result {
    let mut laps = Laps::start();
    for _ in 0..count {
        exchange()?;
        nanoseconds.push(laps.lap());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    struct Scribe(char, Rc<RefCell<String>>);

    impl Contender for Scribe {
        fn name(&self) -> String {
            self.0.to_string()
        }

        fn round(&mut self, count: usize, nanoseconds: &mut Vec<u64>) -> Result {
            timed(count, nanoseconds, || {
                self.1.borrow_mut().push(self.0);
                Ok(())
            })
        }
    }

    #[test]
    fn contenders_take_turns_and_nobody_is_always_first() {
        let written = Rc::new(RefCell::new(String::new()));
        let scribe = |letter| Box::new(Scribe(letter, Rc::clone(&written))) as Box<dyn Contender>;
        let pace = Pace { rounds: 2, per_round: 2, warm_up: 1 };
        let entries = race(vec![scribe('a'), scribe('b')], pace).unwrap();
        assert_eq!(*written.borrow(), "abaabbbbaa");
        assert_eq!(entries.iter().map(|entry| entry.rounds.samples()).collect::<Vec<_>>(), [4, 4]);
    }
}
