//! What the processes of one user may take of the daemon: connections, requests under way, and bytes held for them.
//!
//! One user who wants everything gets as much as the quota says, and nobody else notices. Many users who want everything
//! together leave room for some connections of everybody else, and at last for root and the daemon's own user, who may
//! have to look into it. What is counted is given back by dropping the guard that stands for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokenbroker_core::config::CallerLimits;
use tokenbroker_protocol::{Failure, FailureCode};

/// Requests under way and subscriptions, for each connection that a user may have.
const UNDER_WAY_PER_CONNECTION: u32 = 16;

/// Bytes held, for each connection that a user may have: a few connections may take much, or many a little.
const BYTES_PER_CONNECTION: usize = 16 * 1024;

/// What a user may still have, when others have taken most of the descriptors.
const IN_NEED: u32 = 16;

/// The quotas in force, and what each user has of them.
#[derive(Debug)]
pub(crate) struct Quotas {
    connections: AtomicU32,
    together: Together,
    users: Mutex<Users>,
    /// The operator was told that there is hardly any room left.
    told_of_all: AtomicBool,
}

/// How many connections all users may have together.
#[derive(Debug, Clone, Copy)]
struct Together {
    /// From so many on, nobody begins another if it has [`IN_NEED`].
    crowded: u32,
    /// From so many on, only root and the daemon's own user.
    full: u32,
    own_uid: u32,
}

impl Together {
    /// Three quarters and seven eighths of the descriptors: the rest is for the servers, files and pidfds.
    fn of(descriptors: u32, own_uid: u32) -> Self {
        Self { crowded: descriptors / 4 * 3, full: descriptors / 8 * 7, own_uid }
    }

    /// How many connections a user may have, when all have `taken` so many.
    fn most(self, uid: u32, taken: u32) -> u32 {
        let is_in_charge = uid == 0 || uid == self.own_uid;
        match taken {
            taken if taken < self.crowded || is_in_charge => u32::MAX,
            taken if taken < self.full => IN_NEED,
            _ => 0,
        }
    }
}

/// Who has connections.
#[derive(Debug, Default)]
struct Users {
    usage: HashMap<u32, Arc<Usage>>,
    /// Connections of all of them.
    taken: u32,
}

/// What a user has taken.
#[derive(Debug, Default)]
struct Usage {
    connections: AtomicU32,
    under_way: AtomicU32,
    bytes: AtomicUsize,
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The operator was told that this user wants too much; once, since it may go on for long.
    told: AtomicBool,
}

impl Quotas {
    /// For a daemon with so many descriptors, of this user.
    pub(crate) fn new(limits: CallerLimits, descriptors: u32, own_uid: u32) -> Arc<Self> {
        Arc::new(Self {
            connections: AtomicU32::new(limits.connections_per_uid),
            together: Together::of(descriptors, own_uid),
            users: Mutex::default(),
            told_of_all: AtomicBool::new(false),
        })
    }

    /// Other limits from now on; nobody loses what it has.
    pub(crate) fn limit(&self, limits: CallerLimits) {
        self.connections.store(limits.connections_per_uid, Ordering::Relaxed);
    }

    /// One more connection of this user.
    ///
    /// # Errors
    ///
    /// If it has as many as it may have, or all users together have nearly all there are.
    pub(crate) fn admit(self: &Arc<Self>, uid: u32) -> Result<Admission, Failure> {
        let limit = self.connections.load(Ordering::Relaxed);
        let mut users = self.users();
        let taken = users.taken;
        let most = self.together.most(uid, taken);
        let usage = users.usage.get(&uid).map(Arc::clone).unwrap_or_default();
        let has = usage.connections.load(Ordering::Relaxed);
        if has >= limit {
            return Err(self.too_much(uid, &usage, &format!("{limit} connections")));
        }
        if has >= most {
            return Err(self.too_many_together(taken));
        }
        usage.connections.fetch_add(1, Ordering::Relaxed);
        users.usage.insert(uid, Arc::clone(&usage));
        users.taken += 1;
        drop(users);
        Ok(Admission { quotas: Arc::clone(self), uid, usage, bytes: 0, known: None })
    }

    fn too_many_together(&self, taken: u32) -> Failure {
        let message =
            format!("all users together have {taken} connections with the daemon, nearly all it can have");
        if !self.told_of_all.swap(true, Ordering::Relaxed) {
            tracing::warn!("{message}; others are refused or get few (said once until there is room again)");
        }
        let hint = "have max_connections_per_uid of [daemon] lowered, or LimitNOFILE= of the service raised";
        Failure::new(FailureCode::TooMuch, message).with_hint(hint)
    }

    fn too_much(&self, uid: u32, usage: &Usage, what: &str) -> Failure {
        let message = format!("uid {uid} has {what} with the daemon, and can't have more");
        if !usage.told.swap(true, Ordering::Relaxed) {
            tracing::warn!("{message}; what comes beyond is refused (said once while the user is connected)");
        }
        let hint =
            "use fewer connections and requests at once, or have max_connections_per_uid of [daemon] raised";
        Failure::new(FailureCode::TooMuch, message).with_hint(hint)
    }

    /// Nothing here panics with the lock held.
    fn users(&self) -> MutexGuard<'_, Users> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that counts for its user, with what is held for it.
#[derive(Debug)]
pub(crate) struct Admission {
    quotas: Arc<Quotas>,
    uid: u32,
    usage: Arc<Usage>,
    bytes: usize,
    known: Option<Room>,
}

impl Admission {
    /// A request that is not answered at once, or a subscription.
    ///
    /// # Errors
    ///
    /// If the user has as many as it may have.
    pub(crate) fn begin(&self) -> Result<UnderWay, Failure> {
        let limit = self.quotas.connections.load(Ordering::Relaxed).saturating_mul(UNDER_WAY_PER_CONNECTION);
        if self.usage.under_way.fetch_add(1, Ordering::Relaxed) >= limit {
            self.usage.under_way.fetch_sub(1, Ordering::Relaxed);
            let what = format!("{limit} requests and subscriptions under way");
            return Err(self.quotas.too_much(self.uid, &self.usage, &what));
        }
        Ok(UnderWay(Arc::clone(&self.usage)))
    }

    /// What takes long, though the request for it is short, is done for one request of a user at a time: for the one that
    /// has locked this.
    pub(crate) fn turn(&self) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.usage.turn)
    }

    /// Room for so many bytes, besides what the connection [holds](Self::hold), until what is returned is dropped.
    ///
    /// # Errors
    ///
    /// If that is too much for the user, together with its other connections.
    pub(crate) fn room(&self, bytes: usize) -> Result<Room, Failure> {
        self.take(bytes)?;
        Ok(Room { usage: Arc::clone(&self.usage), bytes })
    }

    /// Counts what is known of the caller as held while it is connected: it can be in 65,536 groups.
    ///
    /// # Errors
    ///
    /// If that is too much for the user, together with its other connections.
    pub(crate) fn knowing(mut self, groups: &[u32]) -> Result<Self, Failure> {
        self.known = Some(self.room(size_of_val(groups))?);
        Ok(self)
    }

    /// How many bytes the connection holds now.
    ///
    /// # Errors
    ///
    /// If that is too much for the user, together with its other connections.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), Failure> {
        if bytes == self.bytes {
            return Ok(());
        }
        if bytes > self.bytes {
            self.take(bytes - self.bytes)?;
        } else {
            self.usage.bytes.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
        Ok(())
    }

    fn take(&self, more: usize) -> Result<(), Failure> {
        let held = self.usage.bytes.fetch_add(more, Ordering::Relaxed) + more;
        let connections = self.quotas.connections.load(Ordering::Relaxed) as usize;
        let limit = connections.saturating_mul(BYTES_PER_CONNECTION);
        if held <= limit {
            return Ok(());
        }
        self.usage.bytes.fetch_sub(more, Ordering::Relaxed);
        Err(self.quotas.too_much(self.uid, &self.usage, &format!("{limit} bytes")))
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.usage.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        let mut users = self.quotas.users();
        users.taken -= 1;
        if users.taken < self.quotas.together.crowded {
            self.quotas.told_of_all.store(false, Ordering::Relaxed);
        }
        if self.usage.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
            users.usage.remove(&self.uid);
        }
    }
}

/// Something that counts as under way until it is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Usage>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes that count as held until it is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    usage: Arc<Usage>,
    bytes: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.usage.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 990;

    fn quotas(connections: u32) -> Arc<Quotas> {
        with_descriptors(connections, 65_536)
    }

    fn with_descriptors(connections: u32, descriptors: u32) -> Arc<Quotas> {
        let limits = CallerLimits { connections_per_uid: connections, ..CallerLimits::default() };
        Quotas::new(limits, descriptors, OWN)
    }

    #[test]
    fn s10_one_user_has_so_many_connections_and_another_its_own() {
        let quotas = quotas(2);
        let (first, second) = (quotas.admit(1000).unwrap(), quotas.admit(1000).unwrap());
        let refused = quotas.admit(1000).unwrap_err();
        assert_eq!(refused.code, FailureCode::TooMuch);
        assert_eq!(refused.message, "uid 1000 has 2 connections with the daemon, and can't have more");
        assert!(quotas.admit(1001).is_ok());
        drop(first);
        let third = quotas.admit(1000).unwrap();
        assert!(quotas.admit(1000).is_err());
        quotas.limit(CallerLimits { connections_per_uid: 3, ..CallerLimits::default() });
        assert!(quotas.admit(1000).is_ok());
        drop((second, third));
        let users = quotas.users();
        assert!(users.usage.is_empty() && users.taken == 0, "who is gone is forgotten");
    }

    #[test]
    fn s10_many_users_together_leave_room_for_everybody_and_at_last_for_who_is_in_charge() {
        let quotas = with_descriptors(1024, 2048);
        let take = |uid, count| -> Vec<_> { (0..count).map(|_| quotas.admit(uid).unwrap()).collect() };
        let (first, second) = (take(1000, 1024), take(1001, 512));
        let refused = quotas.admit(1001).unwrap_err();
        assert_eq!(refused.code, FailureCode::TooMuch);
        assert!(
            refused.message.starts_with("all users together have 1536 connections"),
            "{}",
            refused.message
        );
        let third = take(1002, IN_NEED);
        assert!(quotas.admit(1002).is_err(), "so many, and no more");
        let others: Vec<_> = (2000..).map_while(|uid| quotas.admit(uid).ok()).collect();
        assert_eq!(others.len(), 2048 / 8 - IN_NEED as usize);
        assert!(take(0, 100).len() == 100 && take(OWN, 1).len() == 1);
        drop(first);
        assert!(quotas.admit(1001).is_ok() && quotas.admit(5000).is_ok());
        drop((second, third, others));
    }

    #[test]
    fn s10_requests_under_way_are_counted_over_all_connections_of_a_user() {
        let quotas = quotas(1);
        let connection = quotas.admit(1000).unwrap();
        let mut under_way: Vec<_> =
            (0..UNDER_WAY_PER_CONNECTION).map(|_| connection.begin().unwrap()).collect();
        assert_eq!(connection.begin().unwrap_err().code, FailureCode::TooMuch);
        under_way.pop();
        assert!(connection.begin().is_ok());
        assert!(quotas.admit(1001).unwrap().begin().is_ok());
    }

    #[test]
    fn s10_a_user_has_one_turn_at_a_time_and_another_its_own() {
        let quotas = quotas(2);
        let (one, other) = (quotas.admit(1000).unwrap(), quotas.admit(1000).unwrap());
        let turn = one.turn();
        let held = turn.try_lock().unwrap();
        assert!(other.turn().try_lock().is_err());
        assert!(quotas.admit(1001).unwrap().turn().try_lock().is_ok());
        drop(held);
        assert!(other.turn().try_lock().is_ok());
    }

    #[test]
    fn s10_a_caller_in_very_many_groups_has_fewer_connections() {
        let (quotas, groups) = (quotas(32), vec![7; 65_536]);
        let admit = || quotas.admit(1000).and_then(|admission| admission.knowing(&groups));
        let admitted = [admit().unwrap(), admit().unwrap()];
        assert_eq!(admit().unwrap_err().code, FailureCode::TooMuch);
        assert!(quotas.admit(1001).unwrap().knowing(&groups).is_ok());
        drop(admitted);
        assert!(admit().is_ok() && quotas.users().usage.is_empty());
    }

    #[test]
    fn s61_bytes_are_counted_as_they_are_held() {
        let quotas = quotas(2);
        let (mut one, mut other) = (quotas.admit(1000).unwrap(), quotas.admit(1000).unwrap());
        one.hold(2 * BYTES_PER_CONNECTION).unwrap();
        assert_eq!(other.hold(1).unwrap_err().code, FailureCode::TooMuch);
        one.hold(10).unwrap();
        other.hold(2 * BYTES_PER_CONNECTION - 10).unwrap();
        drop(one);
        assert!(other.room(11).is_err());
        drop(other.room(10).unwrap());
        other.hold(2 * BYTES_PER_CONNECTION).unwrap();
        assert_eq!(other.usage.bytes.load(Ordering::Relaxed), 2 * BYTES_PER_CONNECTION);
    }
}
