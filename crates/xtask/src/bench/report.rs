//! Percentiles and ratios, as a table and as JSON.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::Serialize;

use super::warm_start::WarmStart;
use crate::Result;

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    cpu: usize,
    token_bytes: usize,
    contenders: Vec<Measured>,
    warm_start: WarmStart,
}

/// One contender. Ratios are to the first one.
#[derive(Debug, Serialize)]
struct Measured {
    name: &'static str,
    exchanges: usize,
    p50_us: f64,
    p99_us: f64,
    p50_ratio: f64,
    p99_ratio: f64,
}

impl Report {
    /// From the duration of every exchange, in nanoseconds.
    pub(crate) fn new(
        cpu: usize,
        token_bytes: usize,
        samples: impl IntoIterator<Item = (&'static str, Vec<u64>)>,
        warm_start: WarmStart,
    ) -> Self {
        let mut contenders: Vec<Measured> = Vec::new();
        for (name, mut nanoseconds) in samples {
            nanoseconds.sort_unstable();
            let (p50_us, p99_us) = (percentile(&nanoseconds, 50), percentile(&nanoseconds, 99));
            let (first_p50, first_p99) =
                contenders.first().map_or((p50_us, p99_us), |first| (first.p50_us, first.p99_us));
            contenders.push(Measured {
                name,
                exchanges: nanoseconds.len(),
                p50_us,
                p99_us,
                p50_ratio: p50_us / first_p50,
                p99_ratio: p99_us / first_p99,
            });
        }
        Self { cpu, token_bytes, contenders, warm_start }
    }

    pub(crate) fn write(&self, path: &Path) -> Result {
        Ok(fs::write(path, serde_json::to_vec_pretty(self)?)?)
    }

    /// An error if a contender's p50 is over so many times the first one's, or a start takes too long.
    pub(crate) fn check(&self, name: &str, limit: f64) -> Result {
        let measured = self.contenders.iter().find(|measured| measured.name == name);
        let ratio = measured.ok_or_else(|| format!("{name} was not measured"))?.p50_ratio;
        if ratio > limit {
            return Err(format!(
                "a {name} costs {ratio:.2} times the raw exchange; at most {limit} is allowed"
            )
            .into());
        }
        self.warm_start.check()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "A token of {} bytes, everything on CPU {}, taking turns:", self.token_bytes, self.cpu)?;
        writeln!(f)?;
        writeln!(
            f,
            "{:16} {:>9} {:>9} {:>6} {:>9} {:>6}",
            "", "exchanges", "p50 us", "ratio", "p99 us", "ratio"
        )?;
        for measured in &self.contenders {
            let Measured { name, exchanges, p50_us, p99_us, p50_ratio, p99_ratio } = measured;
            writeln!(f, "{name:16} {exchanges:9} {p50_us:9.1} {p50_ratio:6.2} {p99_us:9.1} {p99_ratio:6.2}")?;
        }
        writeln!(f)?;
        self.warm_start.fmt(f)
    }
}

/// Of sorted nanoseconds, in microseconds; zero when there are none.
pub(super) fn percentile(sorted: &[u64], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(0.0, |nanoseconds| *nanoseconds as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let hundred = |step: u64| (1..=100).rev().map(move |n| n * step * 1_000).collect();
        Report::new(
            1,
            1_200,
            [("raw", hundred(1)), ("get", hundred(2))],
            WarmStart::of(vec![10_000_000], vec![20_000_000]),
        )
    }

    #[test]
    fn ratios_are_to_the_first_contender() {
        let report = report();
        let [raw, get] = &report.contenders[..] else { panic!("two were measured") };
        assert_eq!((raw.p50_us, raw.p99_us, raw.p50_ratio), (51.0, 100.0, 1.0));
        assert_eq!((get.p50_us, get.p50_ratio, get.p99_ratio), (102.0, 2.0, 2.0));
    }

    #[test]
    fn a_contender_over_the_limit_is_an_error() {
        assert!(report().check("get", 2.0).is_ok());
        assert!(report().check("get", 1.6).is_err());
        assert!(report().check("absent", 1.6).is_err());
    }
}
