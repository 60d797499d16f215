//! Who is to be told when what is published of a token key changes.
//!
//! The event loop says which token key it was; each connection finds the ids of its subscriptions in its mailbox, and
//! looks up what there is now. An id is in a mailbox once however often there was news: a caller that reads slowly costs
//! no memory, and gets the last of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// All subscriptions, by the handle of their token key.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    by_handle: Mutex<HashMap<u64, HashMap<Key, Arc<Mailbox>>>>,
    last_mailbox: AtomicU64,
}

/// A mailbox and the id of a subscription of its connection.
type Key = (u64, u32);

/// The news for one connection.
#[derive(Debug)]
pub(crate) struct Mailbox {
    number: u64,
    changed: Mutex<BTreeSet<u32>>,
    arrived: Notify,
}

impl Subscribers {
    /// A connection's mailbox.
    pub(crate) fn mailbox(&self) -> Arc<Mailbox> {
        let number = self.last_mailbox.fetch_add(1, Ordering::Relaxed);
        Arc::new(Mailbox { number, changed: Mutex::default(), arrived: Notify::new() })
    }

    /// Has a subscription told of this token key until what is returned is dropped.
    pub(crate) fn register(self: &Arc<Self>, handle: u64, mailbox: &Arc<Mailbox>, id: u32) -> Registration {
        let key = (mailbox.number, id);
        self.by_handle().entry(handle).or_default().insert(key, Arc::clone(mailbox));
        Registration { subscribers: Arc::clone(self), handle, key }
    }

    /// What is published of this token key has changed.
    pub(crate) fn changed(&self, handle: u64) {
        for ((_, id), mailbox) in self.by_handle().get(&handle).into_iter().flatten() {
            mailbox.put(*id);
        }
    }

    /// Who may have what has changed, or which token keys there are.
    pub(crate) fn all_changed(&self) {
        for ((_, id), mailbox) in self.by_handle().values().flatten() {
            mailbox.put(*id);
        }
    }

    /// Nothing here panics with the lock held.
    fn by_handle(&self) -> MutexGuard<'_, HashMap<u64, HashMap<Key, Arc<Mailbox>>>> {
        self.by_handle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox {
    /// There is news for this subscription, or may be.
    pub(crate) fn put(&self, id: u32) {
        self.changed().insert(id);
        self.arrived.notify_one();
    }

    /// Waits for news, those that came before included.
    pub(crate) async fn arrives(&self) {
        self.arrived.notified().await;
    }

    /// The subscriptions for which there is news since the last time.
    pub(crate) fn take(&self) -> BTreeSet<u32> {
        std::mem::take(&mut self.changed())
    }

    /// Nothing here panics with the lock held.
    fn changed(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A subscription is told of a token key.
#[derive(Debug)]
pub(crate) struct Registration {
    subscribers: Arc<Subscribers>,
    handle: u64,
    key: Key,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut by_handle = self.subscribers.by_handle();
        let Some(of_handle) = by_handle.get_mut(&self.handle) else { return };
        of_handle.remove(&self.key);
        if of_handle.is_empty() {
            by_handle.remove(&self.handle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn only_who_is_registered_for_a_token_key_is_told_and_once_for_all_that_happened() {
        let subscribers = Arc::new(Subscribers::default());
        let (one, other) = (subscribers.mailbox(), subscribers.mailbox());
        let first = subscribers.register(7, &one, 1);
        let _second = subscribers.register(7, &one, 2);
        let _theirs = subscribers.register(8, &other, 1);

        subscribers.changed(7);
        subscribers.changed(7);
        one.arrives().await;
        assert_eq!(one.take(), BTreeSet::from([1, 2]));
        assert!(one.take().is_empty() && other.take().is_empty());

        drop(first);
        subscribers.all_changed();
        other.arrives().await;
        assert_eq!((one.take(), other.take()), (BTreeSet::from([2]), BTreeSet::from([1])));
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let subscribers = Arc::new(Subscribers::default());
        let mailbox = subscribers.mailbox();
        drop(subscribers.register(7, &mailbox, 1));
        assert!(subscribers.by_handle().is_empty());
        subscribers.changed(7);
        assert!(mailbox.take().is_empty());
    }
}
