//! Where a connection can't be read and written at the same time, nothing is kept: every get asks the daemon.
//!
//! That is so on Windows: a synchronous handle of a named pipe does one thing at a time.

use std::sync::Arc;

use super::Entries;
use crate::builder::Destination;

#[derive(Debug)]
pub(super) struct Keeping;

impl Keeping {
    pub(super) fn new(_: Arc<Entries>, _: Arc<Destination>) -> Self {
        Self
    }

    pub(super) fn wake(&self) {}
}
