//! What makes a token what it is to a caller, and what callers have to say against it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokenbroker_secret::SecretString;

use crate::TokenRequest;
use crate::question::Get;
use crate::session::Instance;

/// What a token is asked for by. Tokens and the cache share it.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) client: Box<str>,
    pub(crate) scope: Option<Box<str>>,
    pub(crate) resource: Box<[String]>,
    pub(crate) audience: Option<Box<str>>,
    /// Whether there is a complaint, so that a get need not lock anything to know that there is none.
    accused: AtomicBool,
    complaints: Arc<Complaints>,
}

/// That a resource refused a token, which the daemon was not told yet.
#[derive(Debug, Clone)]
pub(crate) struct Complaint {
    pub(crate) instance: Instance,
    pub(crate) handle: u64,
    pub(crate) generation: u64,
    /// The token itself.
    pub(crate) value: Arc<SecretString>,
}

impl Key {
    /// A key of a broker, to which these complaints are made.
    pub(crate) fn of(get: &Get<'_>, complaints: &Arc<Complaints>) -> Self {
        Self {
            client: get.client.into(),
            scope: get.scope.map(Into::into),
            resource: get.resource.into(),
            audience: get.audience.map(Into::into),
            accused: AtomicBool::new(complaints.of(get).is_some()),
            complaints: Arc::clone(complaints),
        }
    }

    pub(crate) fn is_of(&self, get: &Get<'_>) -> bool {
        Get::of(self).is_for_the_same(get)
    }

    pub(crate) fn complain(&self, complaint: Complaint) {
        self.complaints.add(&Get::of(self), complaint);
        self.accused.store(true, Ordering::Release);
    }

    /// Whether there is a complaint; costs next to nothing.
    pub(crate) fn is_accused(&self) -> bool {
        self.accused.load(Ordering::Acquire)
    }

    pub(crate) fn complaint(&self) -> Option<Complaint> {
        if self.is_accused() { self.complaints.of(&Get::of(self)) } else { None }
    }

    /// The daemon has answered to this complaint, or it is of no interest any more. A later one stays.
    pub(crate) fn settle(&self, settled: &Complaint) {
        if self.complaints.remove(settled) {
            self.accused.store(false, Ordering::Release);
        }
    }
}

/// How many complaints a broker keeps at most.
const MOST_COMPLAINTS: usize = 1000;

/// All complaints of the callers of one broker: one for each key, whether the cache knows that or not.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    are_there: AtomicBool,
    /// With what they are about; not with keys, which would keep each other in memory.
    open: Mutex<Vec<(TokenRequest, Complaint)>>,
}

impl Complaints {
    /// What was said last against the token of this key.
    pub(crate) fn of(&self, get: &Get<'_>) -> Option<Complaint> {
        if !self.are_there.load(Ordering::Acquire) {
            return None;
        }
        let open = self.open();
        open.iter().find(|(about, _)| Get::with(about).is_for_the_same(get)).map(|(_, said)| said.clone())
    }

    fn add(&self, about: &Get<'_>, complaint: Complaint) {
        let mut open = self.open();
        open.retain(|(other, _)| !Get::with(other).is_for_the_same(about));
        if open.len() >= MOST_COMPLAINTS {
            drop(open.remove(0));
        }
        open.push((about.to_request(), complaint));
        self.are_there.store(true, Ordering::Release);
    }

    /// As [`Key::settle`], where there is no key.
    pub(crate) fn settle(&self, settled: &Complaint) {
        self.remove(settled);
    }

    /// Says whether it was there.
    fn remove(&self, complaint: &Complaint) -> bool {
        let mut open = self.open();
        let place = open.iter().position(|(_, other)| Arc::ptr_eq(&other.value, &complaint.value));
        if let Some(place) = place {
            drop(open.remove(place));
            self.are_there.store(!open.is_empty(), Ordering::Release);
        }
        place.is_some()
    }

    /// Nothing panics with the lock held.
    fn open(&self) -> MutexGuard<'_, Vec<(TokenRequest, Complaint)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(value: &str) -> Complaint {
        Complaint { instance: [1; 16], handle: 1, generation: 1, value: Arc::new(value.into()) }
    }

    #[test]
    fn every_part_of_a_request_that_changes_the_token_counts() {
        let request = TokenRequest::new("x").scope("a").resource("r").audience("b");
        let key = Key::of(&Get::with(&request), &Arc::default());
        assert!(key.is_of(&Get::with(&request)));
        let others = [
            TokenRequest::new("y").scope("a").resource("r").audience("b"),
            TokenRequest::new("x").scope("a b").resource("r").audience("b"),
            TokenRequest::new("x").scope("a").resource("r").resource("r").audience("b"),
            TokenRequest::new("x").scope("a").resource("r"),
            TokenRequest::new("x"),
        ];
        assert!(others.iter().all(|other| !key.is_of(&Get::with(other))));
    }

    #[test]
    fn a_complaint_that_came_while_another_was_reported_stays() {
        let key = Key::of(&Get::new("x"), &Arc::default());
        let (first, second) = (complaint("first"), complaint("second"));
        key.complain(first.clone());
        key.complain(second.clone());
        key.settle(&first);
        assert!(key.is_accused());
        key.settle(&second);
        assert!(!key.is_accused() && key.complaint().is_none());
    }

    #[test]
    fn s46_a_complaint_outlives_the_key_that_it_was_made_with() {
        let complaints = Arc::default();
        let key = |client| Key::of(&Get::new(client), &complaints);
        key("x").complain(complaint("first"));
        assert!(key("x").is_accused() && !key("y").is_accused());
        let said = key("x").complaint().unwrap();
        key("x").settle(&said);
        assert!(!key("x").is_accused());
    }

    #[test]
    fn s61_complaints_that_nobody_asks_about_are_forgotten_in_the_end() {
        let complaints = Arc::default();
        for number in 0..=MOST_COMPLAINTS {
            Key::of(&Get::new(&number.to_string()), &complaints).complain(complaint("x"));
        }
        assert!(complaints.of(&Get::new("0")).is_none() && complaints.of(&Get::new("1")).is_some());
    }
}
