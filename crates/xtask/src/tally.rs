//! Counts tests from what `cargo test` prints, while it is passed on.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::Result;

/// What became of the tests of several test programs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    failures: Vec<String>,
}

impl Tally {
    /// Runs `cargo test` as given, its output going where ours goes.
    pub(crate) fn run(&mut self, cargo_test: &mut Command) -> Result {
        let mut child = cargo_test
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cargo test can't be started: {error}"))?;
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).split(b'\n') {
                let line = String::from_utf8_lossy(&line?).into_owned();
                println!("{line}");
                self.count(&line);
            }
        }
        let status = child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("cargo test failed: {status}").into()) }
    }

    /// The names of the tests that failed.
    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    fn count(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += number_before(counts, " passed");
            self.failed += number_before(counts, " failed");
        } else if let Some(name) =
            line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failures.push(name.into());
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

fn number_before(counts: &str, word: &str) -> u64 {
    let before = counts.split(word).next().unwrap_or_default();
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_add_up() {
        let output = "\
running 3 tests
test frame::tests::one ... ok
test frame::tests::two ... FAILED
test frame::tests::three ... ignored

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

test result: ok. 41 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 1.50s
";
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.count(line));
        assert_eq!(tally, Tally { passed: 42, failed: 1, failures: vec!["frame::tests::two".into()] });
        assert_eq!(tally.to_string(), "42 passed, 1 failed");
    }
}
