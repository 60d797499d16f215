//! What makes a token what it is to a caller, and what callers have to say against it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokenbroker_secret::SecretString;

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
    complaint: Mutex<Option<Complaint>>,
}

/// That a resource refused a token, which the daemon was not told yet.
#[derive(Debug, Clone)]
pub(crate) struct Complaint {
    pub(crate) instance: Instance,
    pub(crate) handle: u64,
    pub(crate) generation: u64,
    /// As in a header.
    pub(crate) text: Arc<SecretString>,
}

impl Key {
    pub(crate) fn of(get: &Get<'_>) -> Self {
        Self {
            client: get.client.into(),
            scope: get.scope.map(Into::into),
            resource: get.resource.into(),
            audience: get.audience.map(Into::into),
            accused: AtomicBool::new(false),
            complaint: Mutex::new(None),
        }
    }

    pub(crate) fn is_of(&self, get: &Get<'_>) -> bool {
        *self.client == *get.client
            && self.scope.as_deref() == get.scope
            && *self.resource == *get.resource
            && self.audience.as_deref() == get.audience
    }

    pub(crate) fn complain(&self, complaint: Complaint) {
        *self.complaints() = Some(complaint);
        self.accused.store(true, Ordering::Release);
    }

    /// Whether there is a complaint; costs next to nothing.
    pub(crate) fn is_accused(&self) -> bool {
        self.accused.load(Ordering::Acquire)
    }

    pub(crate) fn complaint(&self) -> Option<Complaint> {
        if self.is_accused() { self.complaints().clone() } else { None }
    }

    /// The daemon has answered to this complaint, or it is of no interest any more. A later one stays.
    pub(crate) fn settle(&self, settled: &Complaint) {
        let mut complaint = self.complaints();
        if complaint.as_ref().is_some_and(|complaint| Arc::ptr_eq(&complaint.text, &settled.text)) {
            *complaint = None;
            self.accused.store(false, Ordering::Release);
        }
    }

    /// Nothing panics with the lock held.
    fn complaints(&self) -> MutexGuard<'_, Option<Complaint>> {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokenRequest;

    fn complaint(text: &str) -> Complaint {
        Complaint { instance: [1; 16], handle: 1, generation: 1, text: Arc::new(text.into()) }
    }

    #[test]
    fn every_part_of_a_request_that_changes_the_token_counts() {
        let request = TokenRequest::new("x").scope("a").resource("r").audience("b");
        let key = Key::of(&Get::with(&request));
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
        let key = Key::of(&Get::new("x"));
        let (first, second) = (complaint("first"), complaint("second"));
        key.complain(first.clone());
        key.complain(second.clone());
        key.settle(&first);
        assert!(key.is_accused());
        key.settle(&second);
        assert!(!key.is_accused() && key.complaint().is_none());
    }
}
