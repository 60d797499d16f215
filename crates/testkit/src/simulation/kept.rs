//! The file of tokens that outlives the daemon, as the daemon writes and reads it.

use std::time::Duration;

use tokenbroker_core::engine::KeptToken;
use tokenbroker_core::time::Moment;

use super::clock::{At, Clock};

/// How many earlier versions of the file there may be to roll back to.
const VERSIONS: usize = 6;

/// So far apart its earlier versions are, at least.
const APART: Duration = Duration::from_secs(2 * 3600);

/// The file, and what it held before.
#[derive(Debug, Default)]
pub(crate) struct KeptFile {
    versions: Vec<Version>,
}

#[derive(Debug, Clone)]
struct Version {
    tokens: Vec<KeptToken>,
    written: tokenbroker_core::time::Now,
    boot: u64,
    at: At,
}

impl KeptFile {
    /// Writes it anew.
    pub(crate) fn write(&mut self, clock: &Clock, tokens: Vec<KeptToken>) {
        if self.versions.len() == VERSIONS {
            self.versions.remove(0);
        }
        self.versions.push(Version { tokens, written: clock.now(), boot: clock.boot, at: clock.at() });
    }

    /// Whether it was not written for long, or never.
    pub(crate) fn is_old(&self, at: At) -> bool {
        self.versions.last().is_none_or(|version| version.at + APART < at)
    }

    /// Nobody can read it any more.
    pub(crate) fn damage(&mut self) {
        self.versions.clear();
    }

    /// Somebody restores it from a backup.
    pub(crate) fn roll_back(&mut self) {
        let oldest = self.versions.first().cloned();
        self.versions = oldest.into_iter().collect();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.versions.last().is_none_or(|version| version.tokens.is_empty())
    }

    /// What is in it. After another boot the wall clock is believed, unless it is before the time of writing.
    pub(crate) fn read(&self, clock: &Clock) -> Vec<KeptToken> {
        let Some(Version { tokens, written, boot, .. }) = self.versions.last() else { return Vec::new() };
        if *boot == clock.boot {
            return tokens.clone();
        }
        let now = clock.now();
        let Some(passed) = now.unix.checked_sub(written.unix) else { return Vec::new() };
        let after_boot = |token: &KeptToken| {
            let left = written.boot.until(token.expires).saturating_sub(Duration::from_secs(passed));
            KeptToken { expires: Moment::after(now.boot, left), same_boot: false, ..token.clone() }
        };
        tokens.iter().map(after_boot).collect()
    }
}
