//! What happened, as text: the same for the same seed, byte for byte.

use std::collections::VecDeque;
use std::fmt;

use super::clock::{At, shown};

/// How many lines lead up to a failure in its report.
const KEPT_LINES: usize = 60;

/// The lines so far: the last ones, a hash of all, and all of them if somebody wants to read them.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    last: VecDeque<String>,
    all: Option<Vec<String>>,
    hash: Fnv,
    lines: u64,
}

impl Trace {
    pub(crate) fn new(keep_all: bool) -> Self {
        Self { all: keep_all.then(Vec::new), ..Self::default() }
    }

    pub(crate) fn line(&mut self, at: At, text: fmt::Arguments<'_>) {
        // Lines are reused: there are tens of thousands in a day.
        let mut line =
            if self.last.len() >= KEPT_LINES { self.last.pop_front() } else { None }.unwrap_or_default();
        line.clear();
        let _never_fails = fmt::write(&mut line, format_args!("{} {text}", shown(at)));
        self.hash.add(line.as_bytes());
        self.hash.add(b"\n");
        self.lines += 1;
        if let Some(all) = &mut self.all {
            all.push(line.clone());
        }
        self.last.push_back(line);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.0
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// The last lines.
    pub(crate) fn tail(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }

    pub(crate) fn into_all(self) -> Vec<String> {
        self.all.unwrap_or_default()
    }
}

/// FNV-1a: short, and the same everywhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fnv(pub(crate) u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(crate) fn of(parts: &[&[u8]]) -> u64 {
        let mut hash = Self::default();
        parts.iter().for_each(|part| hash.add(part));
        hash.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_hash_is_that_of_the_published_algorithm_and_the_tail_is_bounded() {
        assert_eq!(Fnv::of(&[b"foo", b"bar"]), 0x85944171f73967e8);
        let mut trace = Trace::new(true);
        (0..200).for_each(|number| trace.line(Duration::ZERO, format_args!("line {number}")));
        assert_eq!(trace.tail().len(), KEPT_LINES);
        assert_eq!(trace.tail().last().map(String::as_str), Some(" 0:00:00.000 line 199"));
        assert_eq!(trace.into_all().len(), 200);
    }
}
