//! What is said, in numbered lines, and waiting for the next thing to say.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use tokenbroker_testkit::wait_for;

use crate::Result;

/// Where lines end; the number is in front of them.
const WIDTH: usize = 96;

/// Where what a program printed is broken: it has a width of its own, but not everything in it has an end.
const SHOWN_WIDTH: usize = 120;

/// The lines so far. Ends early, but in good order, if the program is interrupted.
pub(crate) struct Story {
    line: usize,
    interrupted: Arc<AtomicBool>,
}

impl Story {
    /// From now on an interruption is something to notice, so that everything is cleaned up after it.
    pub(crate) fn begin() -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
        }
        println!();
        Ok(Self { line: 0, interrupted })
    }

    /// Prints the next numbered line.
    pub(crate) fn tell(&mut self, text: fmt::Arguments<'_>) -> Result {
        self.go_on()?;
        self.line += 1;
        for (index, row) in wrapped(&text.to_string(), WIDTH).iter().enumerate() {
            match index {
                0 => println!("{:3}  {row}", self.line),
                _ => println!("     {row}"),
            }
        }
        Ok(())
    }

    /// Prints what a program printed, below the line.
    pub(crate) fn show(&self, output: &str) {
        println!();
        for row in output.lines().flat_map(|line| wrapped(line, SHOWN_WIDTH)) {
            println!("     {row}");
        }
        println!();
    }

    /// What `attempt` returns as soon as it returns something.
    pub(crate) fn wait<T>(
        &self,
        deadline: Duration,
        what: &str,
        mut attempt: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let outcome = wait_for(deadline, || self.go_on().and_then(|()| attempt()).transpose());
        outcome.unwrap_or_else(|| Err(format!("there was not {what} within {} s", deadline.as_secs()).into()))
    }

    fn go_on(&self) -> Result {
        if self.interrupted.load(Ordering::Relaxed) { Err("interrupted".into()) } else { Ok(()) }
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match rows.last_mut() {
            Some(row) if row.chars().count() + 1 + word.chars().count() <= width => {
                row.push(' ');
                row.push_str(word);
            }
            _ => rows.push(word.into()),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_full_but_not_over_the_width() {
        assert_eq!(wrapped("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrapped("CLIENT   STATE", 20), ["CLIENT   STATE"], "columns stay where they are");
        assert_eq!(wrapped("a-word-longer-than-that and", 9), ["a-word-longer-than-that", "and"]);
    }
}
