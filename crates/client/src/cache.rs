//! Tokens in this process's memory, kept fresh by subscriptions.
//!
//! A get looks here first. What it finds is served while three things hold: the daemon has said that this is the token,
//! the connection on which it would say otherwise is there, and the token's time is not over. Where one of them fails,
//! the get asks the daemon. A key that is asked for a second time is subscribed to from then on, so that a program that
//! asks once starts no thread; keys that are not used any more are let go.

mod entry;
mod keeper;
mod table;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokenbroker_protocol::{FailureCode, Response};

use crate::builder::Destination;
use crate::clock::{Skew, boot_time};
use crate::key::{Complaint, Key};
use crate::question::Get;
use crate::session::Answer;
use crate::token::Origin;
use crate::{Error, ProtocolError, Token};
use entry::{Entry, Stage};
use keeper::Keeping;
use table::Table;

/// How many keys a broker knows at most.
const MOST_ENTRIES: usize = 1000;

/// After so many sweeps without a use, a key is let go.
const MOST_IDLE_SWEEPS: u8 = 6;

/// The cache of one broker.
#[derive(Debug)]
pub(crate) struct Cache {
    entries: Arc<Entries>,
    /// `None` where the cache is switched off.
    keeping: Option<Keeping>,
}

impl Cache {
    pub(crate) fn new(destination: &Arc<Destination>, is_on: bool) -> Self {
        let entries = Arc::new(Entries::default());
        let keeping = is_on.then(|| Keeping::new(Arc::clone(&entries), Arc::clone(destination)));
        Self { entries, keeping }
    }

    /// A token from memory, or what to ask the daemon.
    pub(crate) fn get<'a>(&'a self, get: Get<'a>) -> Found<'a> {
        let hash = table::hash(&get);
        let table = self.entries.table.load();
        let Some(entry) = table.find(hash, &get) else {
            return Found::Nothing(Lookup { cache: self, get, hash, complaint: None, fallback: None });
        };
        match entry.fresh(boot_time, get.min_ttl) {
            Some(token) => Found::Token(token),
            None => self.miss(get, entry),
        }
    }

    /// The same for somebody whose token a resource has refused.
    pub(crate) fn replace<'a>(&'a self, refused: &'a Token) -> Found<'a> {
        let get = Get::again(refused);
        let (hash, complaint) = (table::hash(&get), refused.complaint());
        let table = self.entries.table.load();
        let current = table.find(hash, &get).and_then(|entry| entry.fresh(boot_time, Duration::ZERO));
        match current {
            // Others have reported it, or it has been renewed meanwhile.
            Some(newer) if newer.succeeds(refused) && !newer.is_meant_by(&complaint) => Found::Token(newer),
            _ => {
                Found::Nothing(Lookup { cache: self, get, hash, complaint: Some(complaint), fallback: None })
            }
        }
    }

    /// Has an entry kept fresh from now on.
    fn keep(&self, entry: &Entry) {
        let Some(keeping) = &self.keeping else { return };
        if entry.advance(Stage::Seen, Stage::Wanted) {
            keeping.wake();
        }
    }

    #[cold]
    fn miss<'a>(&'a self, get: Get<'a>, entry: &Arc<Entry>) -> Found<'a> {
        let mut complaint = entry.key.complaint();
        if let (Some(standing), Some(current)) = (&complaint, entry.current()) {
            if !current.is_meant_by(standing) {
                // It has been replaced without anybody's saying so.
                entry.key.settle(standing);
                complaint = None;
                if let Some(token) = entry.fresh(boot_time, get.min_ttl) {
                    return Found::Token(token);
                }
            }
        }
        let fallback = entry.fallback(boot_time());
        let get = if fallback.is_some() { get.in_a_hurry() } else { get };
        Found::Nothing(Lookup { cache: self, get, hash: entry.hash, complaint, fallback })
    }
}

/// What the cache has for a get.
#[expect(clippy::large_enum_variant, reason = "it lives for one call, on the stack")]
pub(crate) enum Found<'a> {
    Token(Token),
    Nothing(Lookup<'a>),
}

/// A get that has to ask the daemon.
pub(crate) struct Lookup<'a> {
    cache: &'a Cache,
    get: Get<'a>,
    hash: u64,
    complaint: Option<Complaint>,
    fallback: Option<Token>,
}

impl<'a> Lookup<'a> {
    /// What to ask.
    pub(crate) fn question(&self) -> Get<'a> {
        match &self.complaint {
            Some(complaint) => self.get.reporting(complaint),
            None => self.get,
        }
    }

    /// What comes of the answer. It may be that another question has to be asked.
    pub(crate) fn answered(&mut self, answer: Result<Answer, Error>) -> ControlFlow<Result<Token, Error>> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return ControlFlow::Break(self.failed(error)),
        };
        let (entry, is_known) = self.cache.entries.of(&self.get, self.hash);
        let token = match self.token(answer, &entry) {
            Ok(token) => token,
            Err(error) => return ControlFlow::Break(Err(error)),
        };
        if let Some(complaint) = self.complaint.take() {
            entry.key.settle(&complaint);
            let of_another_daemon = token.complaint().instance != complaint.instance;
            if of_another_daemon && token.is_meant_by(&complaint) {
                // The daemon was restarted and has kept it: there, too, it has to be reported.
                self.complaint = Some(token.complaint());
                return ControlFlow::Continue(());
            }
        }
        entry.offer(&token);
        entry.touch();
        if is_known {
            self.cache.keep(&entry);
        }
        ControlFlow::Break(Ok(token))
    }

    fn token(&self, answer: Answer, entry: &Entry) -> Result<Token, Error> {
        let Answer { response: Response::Token(token), instance, asked } = answer else {
            return Err(ProtocolError::OtherResponse.into());
        };
        let read = boot_time();
        let answered = Skew::of(token.answered_at_ms, asked, read).ours(token.answered_at_ms, read);
        let origin = Origin { instance, answered, wait: self.get.wait };
        Ok(Token::new(token, origin, Arc::clone(&entry.key))?)
    }

    fn failed(&self, error: Error) -> Result<Token, Error> {
        if error.is_of_reach() {
            let now = boot_time();
            let fallback = self.fallback.as_ref().filter(|token| token.is_fresh(now, Duration::ZERO));
            return fallback.map(|token| token.for_min_ttl(now, self.get.min_ttl)).ok_or(error);
        }
        let table = self.cache.entries.table.load();
        if let Some(entry) = table.find(self.hash, &self.get) {
            if let Some(complaint) = &self.complaint {
                entry.key.settle(complaint);
            }
            if self.is_taken_back(&error) {
                entry.forget();
            }
        }
        Err(error)
    }

    /// Whether the daemon has said that there is no token for this key, not only none of this kind or none that is newer.
    fn is_taken_back(&self, error: &Error) -> bool {
        match error.code() {
            Some(FailureCode::Denied | FailureCode::UnknownClient | FailureCode::Blocked) => true,
            Some(FailureCode::NoToken) => self.complaint.is_none() && self.get.min_ttl.is_zero(),
            _ => false,
        }
    }
}

/// All keys that a broker knows.
#[derive(Debug)]
pub(crate) struct Entries {
    table: ArcSwap<Table>,
    changing: Mutex<()>,
}

impl Default for Entries {
    fn default() -> Self {
        Self { table: ArcSwap::from_pointee(Table::of(&[])), changing: Mutex::new(()) }
    }
}

impl Entries {
    /// The entry of a key, and whether there was one before.
    fn of(&self, get: &Get<'_>, hash: u64) -> (Arc<Entry>, bool) {
        if let Some(entry) = self.table.load().find(hash, get) {
            return (Arc::clone(entry), true);
        }
        let _changing = self.change();
        let table = self.table.load();
        if let Some(entry) = table.find(hash, get) {
            return (Arc::clone(entry), true);
        }
        let mut entries: Vec<_> = table.entries().cloned().collect();
        if entries.len() >= MOST_ENTRIES {
            let least = (0..entries.len()).max_by_key(|index| entries[*index].dispensability());
            if let Some(index) = least {
                entries.swap_remove(index).drop_out();
            }
        }
        let entry = Arc::new(Entry::new(Key::of(get), hash));
        entries.push(Arc::clone(&entry));
        self.table.store(Arc::new(Table::of(&entries)));
        (entry, false)
    }

    /// Lets go of what has not been used for long.
    fn sweep(&self) {
        let _changing = self.change();
        let table = self.table.load();
        let (kept, idle): (Vec<_>, Vec<_>) =
            table.entries().cloned().partition(|entry| entry.sweep() < MOST_IDLE_SWEEPS);
        if !idle.is_empty() {
            self.table.store(Arc::new(Table::of(&kept)));
            idle.iter().for_each(|entry| entry.drop_out());
        }
    }

    /// Those that are at this stage.
    fn at(&self, stage: Stage) -> Vec<Arc<Entry>> {
        let table = self.table.load();
        table.entries().filter(|entry| entry.stage() == stage).cloned().collect()
    }

    /// The connection on which the daemon would say what has changed is gone.
    fn orphan(&self) {
        for entry in self.table.load().entries() {
            entry.orphan();
            entry.advance(Stage::Kept, Stage::Wanted);
        }
        self.reset(Stage::Refused);
    }

    /// Those that are at this stage are as if they had been asked for once.
    fn reset(&self, stage: Stage) {
        for entry in self.table.load().entries() {
            entry.advance(stage, Stage::Seen);
        }
    }

    /// Nothing panics with the lock held.
    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
