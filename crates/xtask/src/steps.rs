//! Steps one after the other, and what became of them as a table at the end.

use std::fmt;
use std::time::Duration;

use crate::Result;
use crate::clock::Stopwatch;

/// The steps that were taken.
#[derive(Default)]
pub(crate) struct Steps(Vec<Step>);

struct Step {
    name: &'static str,
    took: Duration,
    failed: bool,
}

impl Steps {
    /// Announces a step, takes it, and says whether it succeeded. Why it did not is said at once.
    pub(crate) fn take(&mut self, name: &'static str, step: impl FnOnce() -> Result) -> bool {
        eprintln!("\n=== {name}");
        let stopwatch = Stopwatch::start();
        let outcome = step();
        if let Err(error) = &outcome {
            eprintln!("error: {error}");
        }
        self.0.push(Step { name, took: stopwatch.elapsed(), failed: outcome.is_err() });
        outcome.is_ok()
    }

    /// An error that names the steps that failed, if some did.
    pub(crate) fn outcome(&self) -> Result {
        let failed: Vec<_> = self.0.iter().filter(|step| step.failed).map(|step| step.name).collect();
        if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", ")).into()) }
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|step| step.name.len()).max().unwrap_or(0);
        for Step { name, took, failed } in &self.0 {
            let result = if *failed { "FAILED" } else { "ok" };
            writeln!(f, "{name:width$}  {result:6}  {:7.1} s", took.as_secs_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_named_and_does_not_hide_the_others() {
        let mut steps = Steps::default();
        assert!(steps.take("format", || Ok(())));
        assert!(steps.outcome().is_ok());
        assert!(!steps.take("clippy", || Err("it found something".into())));
        assert!(steps.take("tests", || Ok(())));

        assert_eq!(steps.outcome().unwrap_err().to_string(), "failed: clippy");
        let table = steps.to_string();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("clippy  FAILED"), "{table}");
        assert!(lines[2].starts_with("tests   ok"), "{table}");
    }
}
