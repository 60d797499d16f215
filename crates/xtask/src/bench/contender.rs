//! What can be measured.

use crate::Result;

/// Another process on this CPU, and a way to get something from it.
pub(crate) trait Contender {
    /// What it is called in the report.
    fn name(&self) -> &'static str;

    /// Asks once and waits for the answer; returns its length in bytes.
    fn exchange(&mut self) -> Result<usize>;
}
