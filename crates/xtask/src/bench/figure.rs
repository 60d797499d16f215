//! A figure that the benchmark must show: what was measured, and the limit it is held to.

use std::fmt;

use serde::Serialize;

/// One line of the summary.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    what: String,
    value: Value,
    unit: &'static str,
    limit: Option<Limit>,
    holds: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Value {
    Measured(f64),
    /// Why it was not measured.
    NotMeasured(String),
}

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Limit {
    fn allows(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl Figure {
    /// A value without a limit, `unit` being what it is counted in or compared with.
    pub(crate) fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value: Value::Measured(value), unit, limit: None, holds: true }
    }

    /// What could not be measured here breaks no limit, but is named.
    pub(crate) fn not_measured(what: impl Into<String>, why: impl fmt::Display) -> Self {
        let value = Value::NotMeasured(why.to_string());
        Self { what: what.into(), value, unit: "", limit: None, holds: true }
    }

    pub(crate) fn at_most(self, limit: f64) -> Self {
        self.limited(Limit::AtMost(limit))
    }

    pub(crate) fn at_least(self, limit: f64) -> Self {
        self.limited(Limit::AtLeast(limit))
    }

    fn limited(mut self, limit: Limit) -> Self {
        // A value that is no number at all is within no limit.
        self.holds = match self.value {
            Value::Measured(value) => limit.allows(value),
            Value::NotMeasured(_) => true,
        };
        self.limit = Some(limit);
        self
    }

    /// Whether it is within its limit, as far as it has one and was measured.
    pub(crate) fn holds(&self) -> bool {
        self.holds
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, value, unit, limit, holds } = self;
        let value = match value {
            Value::NotMeasured(why) => return write!(f, "{what:48} {:>10}  not measured: {why}", "-"),
            Value::Measured(value) => Rounded(*value),
        };
        write!(f, "{what:48} {value:>10}  {unit}")?;
        match limit {
            Some(Limit::AtMost(most)) => write!(f, ", at most {most}")?,
            Some(Limit::AtLeast(least)) => write!(f, ", at least {least}")?,
            None => {}
        }
        if *holds { Ok(()) } else { f.write_str("  BROKEN") }
    }
}

/// As many digits as mean something.
struct Rounded(f64);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.0.abs() {
            value if value >= 100.0 => 0,
            value if value >= 10.0 => 1,
            _ => 2,
        };
        f.pad(&format!("{:.digits$}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_part_of_what_is_allowed() {
        assert!(Figure::new("x", 1.3, "").at_most(1.3).holds());
        assert!(!Figure::new("x", 1.31, "").at_most(1.3).holds());
        assert!(Figure::new("x", 0.85, "").at_least(0.85).holds());
        assert!(!Figure::new("x", 0.84, "").at_least(0.85).holds());
        assert!(!Figure::new("x", f64::NAN, "").at_most(1.3).holds(), "nothing was measured");
    }

    #[test]
    fn what_was_not_measured_says_so_and_breaks_nothing() {
        let figure = Figure::not_measured("HTTP", "nginx is not installed").at_most(1.5);
        assert!(figure.holds());
        assert!(figure.to_string().ends_with("not measured: nginx is not installed"), "{figure}");
    }

    #[test]
    fn a_broken_limit_is_seen_in_its_line() {
        let broken = Figure::new("a get", 1.4, "x raw").at_most(1.3).to_string();
        assert!(broken.ends_with("1.40  x raw, at most 1.3  BROKEN"), "{broken}");
        assert!(!Figure::new("a get", 1.2, "x raw").at_most(1.3).to_string().contains("BROKEN"));
    }
}
