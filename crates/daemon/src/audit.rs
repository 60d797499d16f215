//! Who got which token, who was denied, and what administrators did: one record for each caller, decision and generation
//! handed out, and not for each get.
//!
//! A caller never waits for it. What a record says is in `records`; `memory` knows what was said before, `budget` how much one
//! user may cause, and `writer` takes records to the `journal` or a `file` on a thread of its own. docs/audit.md is for those
//! who read them.

mod administration;
mod budget;
mod file;
mod journal;
mod json;
mod memory;
mod records;
mod writer;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokenbroker_core::slots::Published;
use tokenbroker_ipc::PeerIdentity;
use tokenbroker_protocol::FailureCode;

pub(crate) use self::administration::Undertaking;
use self::budget::Budgets;
pub(crate) use self::memory::Seen;
use self::memory::{Mark, Memory};
pub(crate) use self::records::Action;
use self::records::{Caller, Event, Fingerprint, Kind, Outcome, Record, Text};
use self::writer::Queue;
pub(crate) use self::writer::{Place, Sink, State};
use crate::clock;

/// Takes down what is decided, from any thread.
#[derive(Debug)]
pub(crate) struct Audit {
    queue: Arc<Queue>,
    memory: Mutex<Memory>,
    budgets: Arc<Mutex<Budgets>>,
    /// Counts up with each configuration: whoever is denied by another one is denied anew.
    configuration: AtomicU64,
    hasher: RandomState,
    ended: Mutex<Receiver<()>>,
}

impl Audit {
    /// Starts the thread that writes.
    ///
    /// # Errors
    ///
    /// If there is no thread to be had.
    pub(crate) fn start(sink: Sink) -> io::Result<Self> {
        let (queue, budgets) = (Arc::new(Queue::new()), Arc::new(Mutex::new(Budgets::default())));
        let summed_up = Arc::clone(&budgets);
        let sum_up = move || {
            let more = lock(&summed_up).sum_up();
            more.into_iter().map(|(uid, of, count)| now(None, Event::More { of, uid, count })).collect()
        };
        let ended = Queue::start(sink, sum_up, &queue)?;
        queue.put(now(None, Event::Started));
        Ok(Self {
            queue,
            memory: Mutex::default(),
            budgets,
            configuration: AtomicU64::new(0),
            hasher: RandomState::new(),
            ended: Mutex::new(ended),
        })
    }

    /// A caller gets a token, on the connection that saw what `seen` says.
    pub(crate) fn handed_out(
        &self,
        peer: &PeerIdentity,
        seen: &Seen,
        client: &str,
        handle: u64,
        token: &Published,
    ) {
        self.once(peer, seen, Kind::Token, Mark::Token { handle, generation: token.generation }, || {
            Event::Token {
                client: Text::new(client),
                generation: token.generation,
                scope: token.scope.as_deref().map(Text::new),
                fingerprint: Fingerprint::of(token),
            }
        });
    }

    /// A caller may not have what it asked for. That costs the same whether there is such a client or not.
    pub(crate) fn denied(&self, peer: &PeerIdentity, seen: &Seen, action: Action) {
        let configuration = self.configuration.load(Ordering::Relaxed);
        let mark = Mark::Denied { hash: self.hasher.hash_one(&action), configuration };
        self.once(peer, seen, Kind::Denied, mark, || Event::Denied(action));
    }

    /// The configuration was read again because a signal said so: nobody knows whose.
    pub(crate) fn reloaded_by_signal(&self, failure: Option<FailureCode>) {
        self.administered(None, Action::RELOAD, administration::outcome(failure));
    }

    /// Each time, since each time something may have changed.
    fn administered(&self, peer: Option<&PeerIdentity>, action: Action, outcome: Outcome) {
        self.each(peer, Kind::Administration, || Event::Administration { action, outcome });
    }

    /// A connection was not served, of a caller that the kernel names or of one that it doesn't.
    pub(crate) fn refused(&self, peer: Option<&PeerIdentity>, reason: &'static str) {
        self.each(peer, Kind::Refused, || Event::Refused { reason });
    }

    /// A new configuration is in force. A file was opened anew, so that one that was moved away is let go of.
    pub(crate) fn configured(&self, sink: Sink) {
        self.configuration.fetch_add(1, Ordering::Relaxed);
        let (before, after) = (self.state().place, sink.place());
        if before != after {
            self.queue.put(now(None, Event::Stopped));
        }
        if before != after || !matches!(after, Place::Journal) {
            self.queue.replace(sink);
            self.queue.put(now(None, Event::Started));
        }
    }

    /// How it is doing.
    pub(crate) fn state(&self) -> State {
        self.queue.state()
    }

    /// The daemon ends: what waits is written, if that can be done soon.
    pub(crate) fn stop(&self) {
        self.queue.put(now(None, Event::Stopped));
        self.queue.close(&lock(&self.ended));
    }

    /// Takes it down unless that was done before, on this connection or on another one of the same caller.
    fn once(&self, peer: &PeerIdentity, seen: &Seen, kind: Kind, mark: Mark, event: impl FnOnce() -> Event) {
        if seen.saw(mark) {
            return;
        }
        let caller = self.hasher.hash_one(Caller::of(peer));
        if !lock(&self.memory).has(caller, mark) && self.each(Some(peer), kind, event) {
            lock(&self.memory).put(caller, mark);
        }
    }

    /// Takes it down if the budget has room for it, and says whether it has.
    fn each(&self, peer: Option<&PeerIdentity>, kind: Kind, event: impl FnOnce() -> Event) -> bool {
        let has_room = lock(&self.budgets).spend(peer.map(|peer| peer.uid), kind, clock::moment());
        if has_room {
            self.queue.put(now(peer.map(Caller::of), event()));
        }
        has_room
    }
}

fn now(caller: Option<Caller>, event: Event) -> Record {
    Record { time: clock::since_epoch(), caller, event }
}

/// Nothing here panics with a lock held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
