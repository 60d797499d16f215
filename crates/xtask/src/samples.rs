//! What was timed, and what is said of it: medians, 99th percentiles, and ratios of one to the other.

/// Durations in nanoseconds, round by round: those who take turns have their rounds next to each other.
#[derive(Debug, Default)]
pub(crate) struct Rounds(Vec<Vec<u64>>);

impl Rounds {
    pub(crate) fn push(&mut self, nanoseconds: Vec<u64>) {
        self.0.push(nanoseconds);
    }

    /// How many durations there are.
    pub(crate) fn samples(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// A percentile of all of them, in microseconds.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let mut all = self.0.concat();
        all.sort_unstable();
        percentile(&all, percent)
    }

    /// How many times the other's median this one's is: the median over the rounds. Whatever else the machine did while a
    /// round ran, it did to both.
    pub(crate) fn median_ratio(&self, to: &Self) -> f64 {
        median(self.medians().zip(to.medians()).map(|(ours, theirs)| ours / theirs).collect())
    }

    /// How many times the other's percentile this one's is, of all durations: one round has too few that are long.
    pub(crate) fn percentile_ratio(&self, to: &Self, percent: usize) -> f64 {
        self.percentile(percent) / to.percentile(percent)
    }

    fn medians(&self) -> impl Iterator<Item = f64> {
        self.0.iter().map(|round| {
            let mut sorted = round.clone();
            sorted.sort_unstable();
            percentile(&sorted, 50)
        })
    }
}

impl From<Vec<u64>> for Rounds {
    fn from(nanoseconds: Vec<u64>) -> Self {
        Self(vec![nanoseconds])
    }
}

/// Of sorted nanoseconds, in microseconds; zero when there are none.
pub(super) fn percentile(sorted: &[u64], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(0.0, |nanoseconds| *nanoseconds as f64 / 1_000.0)
}

/// The middle one; zero when there are none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same durations in every round, as many times as long as the machine was slow in it.
    fn rounds(step: u64, slow: &[u64]) -> Rounds {
        let mut rounds = Rounds::default();
        for slow in slow {
            rounds.push((1..=100).rev().map(|n| n * step * slow * 1_000).collect());
        }
        rounds
    }

    #[test]
    fn percentiles_are_of_all_samples_in_microseconds() {
        let rounds = rounds(1, &[1]);
        assert_eq!((rounds.percentile(50), rounds.percentile(99), rounds.samples()), (51.0, 100.0, 100));
        assert_eq!(Rounds::default().percentile(99), 0.0);
    }

    #[test]
    fn a_machine_that_is_slow_in_some_rounds_does_not_show_in_the_ratio() {
        let (raw, ours) = (rounds(1, &[1, 9, 2]), rounds(2, &[1, 9, 2]));
        assert_eq!(ours.median_ratio(&raw), 2.0);
        assert_eq!(ours.percentile_ratio(&raw, 99), 2.0);
        // One round in which only one of them was disturbed.
        assert_eq!(rounds(2, &[1, 9, 90]).median_ratio(&raw), 2.0);
    }
}
