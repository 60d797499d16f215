//! The deadlines of everything the engine waits for, earliest first.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::WaiterId;
use crate::time::Moment;

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// A token key is to be renewed, or tried again.
    Token(u64),
    /// A caller waits no longer.
    Waiter(WaiterId),
    /// An issuer's pace lets the next request start.
    Issuer(Arc<str>),
    /// The key store is asked again.
    Inventory,
    /// What an earlier daemon kept is waited for no longer.
    Loading,
    /// The tokens are written down.
    Keeping,
    /// The key store is told again which next credentials are in use.
    Promotions,
    /// It is looked which credentials expire soon.
    Expiries,
}

/// A set of deadlines. Each is named in full when it is removed, so that none outlives its reason.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(Moment, Due)>);

impl Timers {
    pub(crate) fn add(&mut self, at: Moment, due: Due) {
        self.0.insert((at, due));
    }

    pub(crate) fn remove(&mut self, at: Moment, due: Due) {
        self.0.remove(&(at, due));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The earliest deadline.
    pub(crate) fn earliest(&self) -> Option<Moment> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes the earliest if it is due.
    pub(crate) fn pop(&mut self, now: Moment) -> Option<Due> {
        if self.earliest()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, due)| due)
    }
}

#[cfg(test)]
impl Timers {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Moment, Due)> {
        self.0.iter()
    }
}
