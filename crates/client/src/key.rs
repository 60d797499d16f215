//! What makes a token what it is to a caller, and what callers have to say against it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokenbroker_secret::SecretString;

use crate::TokenRequest;
use crate::clock::boot_time;
use crate::question::Get;
use crate::session::Instance;

/// What a token is asked for by. Tokens and the cache share it.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) client: Box<str>,
    pub(crate) scope: Option<Box<str>>,
    pub(crate) resource: Box<[String]>,
    pub(crate) audience: Option<Box<str>>,
    /// As of which [version](Complaints::version) of all complaints there is one about this, or not: see
    /// [`verdict`].
    verdict: AtomicU64,
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
            verdict: AtomicU64::new(verdict(0, false)),
            complaints: Arc::clone(complaints),
        }
    }

    pub(crate) fn is_of(&self, get: &Get<'_>) -> bool {
        Get::of(self).is_for_the_same(get)
    }

    /// About a token that expires then, by the boot clock.
    pub(crate) fn complain(&self, complaint: Complaint, expires: Duration) {
        self.complaints.add(Open { about: Get::of(self).to_request(), complaint, expires }, boot_time());
    }

    /// Whether there is a complaint. Costs next to nothing while there is no other than at the last look.
    pub(crate) fn is_accused(&self) -> bool {
        let (version, last) = (self.complaints.version(), self.verdict.load(Ordering::Acquire));
        match last {
            _ if last == verdict(version, false) => false,
            _ if last == verdict(version, true) => true,
            _ => self.look_again(),
        }
    }

    #[cold]
    fn look_again(&self) -> bool {
        let open = self.complaints.open();
        let accused = open.iter().any(|open| self.is_of(&Get::with(&open.about)));
        // With the lock held nothing is added or removed.
        self.verdict.store(verdict(self.complaints.version(), accused), Ordering::Release);
        accused
    }

    pub(crate) fn complaint(&self) -> Option<Complaint> {
        self.complaints.of(&Get::of(self))
    }

    /// The daemon has answered to this complaint, or it is of no interest any more. A later one stays.
    pub(crate) fn settle(&self, settled: &Complaint) {
        self.complaints.settle(settled);
    }
}

/// What a key remembers of a look at the complaints.
fn verdict(version: u64, accused: bool) -> u64 {
    version << 1 | u64::from(accused)
}

/// How many complaints a broker keeps at most.
const MOST_COMPLAINTS: usize = 1000;

/// All complaints of the callers of one broker: one for each key, whether the cache knows that or not.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    /// Counts up with each change of what is open; changed with the lock held.
    version: AtomicU64,
    open: Mutex<Vec<Open>>,
}

/// A complaint that the daemon was not told yet.
#[derive(Debug)]
struct Open {
    /// Not the key, which would keep the complaints in memory that keep it.
    about: TokenRequest,
    complaint: Complaint,
    expires: Duration,
}

impl Complaints {
    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// What was said last against the token of this key.
    pub(crate) fn of(&self, get: &Get<'_>) -> Option<Complaint> {
        // Nobody has ever complained.
        if self.version() == 0 {
            return None;
        }
        let open = self.open();
        let open = open.iter().find(|open| Get::with(&open.about).is_for_the_same(get));
        open.map(|open| open.complaint.clone())
    }

    fn add(&self, new: Open, now: Duration) {
        let about = Get::with(&new.about);
        let mut open = self.open();
        open.retain(|old| old.expires > now && !Get::with(&old.about).is_for_the_same(&about));
        if open.len() >= MOST_COMPLAINTS {
            drop(open.remove(0));
        }
        open.push(new);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// See [`Key::settle`].
    pub(crate) fn settle(&self, settled: &Complaint) {
        let mut open = self.open();
        let is_meant = |open: &Open| Arc::ptr_eq(&open.complaint.value, &settled.value);
        if let Some(place) = open.iter().position(is_meant) {
            drop(open.remove(place));
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Nothing panics with the lock held.
    fn open(&self) -> MutexGuard<'_, Vec<Open>> {
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
        key.complain(first.clone(), Duration::MAX);
        key.complain(second.clone(), Duration::MAX);
        key.settle(&first);
        assert!(key.is_accused());
        key.settle(&second);
        assert!(!key.is_accused() && key.complaint().is_none());
    }

    #[test]
    fn s46_a_complaint_is_heard_whichever_key_it_was_made_with() {
        let complaints = Arc::default();
        let key = |client| Key::of(&Get::new(client), &complaints);
        let (old, new) = (key("x"), key("x"));
        assert!(!new.is_accused());
        old.complain(complaint("first"), Duration::MAX);
        assert!(new.is_accused() && key("x").is_accused() && !key("y").is_accused());
        new.settle(&new.complaint().unwrap());
        assert!(!new.is_accused() && !old.is_accused());
    }

    #[test]
    fn s61_complaints_that_nobody_asks_about_are_forgotten_in_the_end_and_accuse_nobody_then() {
        let complaints = Arc::default();
        let keys: Vec<_> = (0..=MOST_COMPLAINTS)
            .map(|number| Key::of(&Get::new(&number.to_string()), &complaints))
            .collect();
        keys.iter().for_each(|key| key.complain(complaint("x"), Duration::MAX));
        assert!(!keys[0].is_accused() && keys[1].is_accused());
    }

    #[test]
    fn s46_complaints_end_with_their_tokens() {
        let complaints: Arc<Complaints> = Arc::default();
        let key = |client| Key::of(&Get::new(client), &complaints);
        key("x").complain(complaint("old"), Duration::ZERO);
        key("y").complain(complaint("new"), Duration::MAX);
        assert!(!key("x").is_accused() && key("y").is_accused());
    }

    #[test]
    fn s46_threads_that_complain_and_settle_leave_nobody_accused() {
        let complaints: Arc<Complaints> = Arc::default();
        let key = Key::of(&Get::new("x"), &complaints);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..2_000).for_each(|_| key.complain(complaint("x"), Duration::MAX)));
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        key.is_accused();
                        key.complaint().iter().for_each(|said| key.settle(said));
                    }
                });
            }
        });
        key.complaint().iter().for_each(|said| key.settle(said));
        assert!(!key.is_accused());
        key.complain(complaint("last"), Duration::MAX);
        assert!(key.is_accused());
    }
}
