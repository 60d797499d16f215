//! What is found by looking for what is wrong.

use bincode::{Decode, Encode};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Check {
    /// What it was, in a word or two.
    pub subject: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub finding: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// How something is that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It could not be looked at, because of what was found before.
    Skipped,
    /// It works, and somebody should know.
    Warning,
    /// It does not work.
    Bad,
}
