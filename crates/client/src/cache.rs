//! Tokens in this process's memory, kept fresh by subscriptions.
//!
//! A get looks here first. What it finds is served while three things hold: the daemon has said that this is the token,
//! the connection on which it would say otherwise is there, and the token's time is not over. Where one of them fails,
//! the get asks the daemon. A key that is asked for a second time is subscribed to from then on, so that a program that
//! asks once starts no thread; keys that are not used any more are let go.

mod entry;
mod keeper;
mod table;

use std::cmp::Reverse;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokenbroker_protocol::{FailureCode, Response};

use crate::builder::Destination;
use crate::clock::{Skew, boot_time};
use crate::key::{Complaint, Complaints, Key};
use crate::question::{Get, Patience};
use crate::session::Answer;
use crate::token::Origin;
use crate::{Error, ProtocolError, Token};
use entry::{Entry, Stage};
use keeper::Keeping;
use table::Table;

/// How many keys a broker knows at most.
const MOST_ENTRIES: usize = 1000;

/// How many of them go when there would be more: with one at a time every get of a key that is not known would look
/// through all that are.
const MAKING_ROOM: usize = MOST_ENTRIES / 8;

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

    /// A token from memory.
    pub(crate) fn fresh(&self, get: &Get<'_>) -> Option<Token> {
        let table = self.entries.table.load();
        table.find(table::hash(get), get)?.fresh(boot_time, get.min_ttl)
    }

    /// What to do where there is none that could be given without a word: most often, what to ask the daemon.
    #[cold]
    pub(crate) fn look_up<'a>(&'a self, get: Get<'a>) -> Found<'a> {
        let (hash, complaint) = (table::hash(&get), self.entries.complaints.of(&get));
        let mut lookup = Lookup { cache: self, get, hash, complaint, seen: None };
        let table = self.entries.table.load();
        let Some(entry) = table.find(lookup.hash, &get) else { return Found::Nothing(lookup) };
        lookup.seen = entry.current();
        if let (Some(complaint), Some(current)) = (&lookup.complaint, &lookup.seen)
            && !current.is_meant_by(complaint)
        {
            // It has been replaced without anybody's saying so.
            entry.key.settle(complaint);
            lookup.complaint = None;
            if let Some(token) = entry.fresh(boot_time, get.min_ttl) {
                return Found::Token(token);
            }
        }
        if let Some((_, is_orphan)) = entry.fallback(boot_time()) {
            let patience = if is_orphan { Patience::Little } else { Patience::ForAnswers };
            lookup.get = get.with_patience(patience);
        }
        Found::Nothing(lookup)
    }

    /// The same for somebody whose token a resource has refused.
    pub(crate) fn replace<'a>(&'a self, refused: &'a Token) -> Found<'a> {
        let get = Get::again(refused);
        let (hash, complaint) = (table::hash(&get), refused.complaint());
        let table = self.entries.table.load();
        let entry = table.find(hash, &get);
        match entry.and_then(|entry| entry.fresh(boot_time, Duration::ZERO)) {
            // Others have reported it, or it has been renewed meanwhile.
            Some(newer) if newer.succeeds(refused) && !newer.is_meant_by(&complaint) => Found::Token(newer),
            _ => {
                let (complaint, seen) = (Some(complaint), entry.and_then(|entry| entry.current()));
                Found::Nothing(Lookup { cache: self, get, hash, complaint, seen })
            }
        }
    }

    /// Where a token belongs, and whether that was known before. Without a cache nowhere.
    fn place(&self, get: &Get<'_>, hash: u64) -> Option<(Arc<Entry>, bool)> {
        match self.keeping {
            Some(_) => Some(self.entries.of(get, hash)),
            None => self.entries.table.load().find(hash, get).map(|entry| (Arc::clone(entry), true)),
        }
    }

    /// Has an entry kept fresh from now on.
    fn keep(&self, entry: &Entry) {
        let Some(keeping) = &self.keeping else { return };
        if entry.advance(Stage::Seen, Stage::Wanted) {
            keeping.wake();
        }
    }
}

/// What the cache has for a get.
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
    /// What was in the cache when the daemon was asked.
    seen: Option<Token>,
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
        let place = self.cache.place(&self.get, self.hash);
        let key = match &place {
            Some((entry, _)) => Arc::clone(&entry.key),
            None => Arc::new(Key::of(&self.get, &self.cache.entries.complaints)),
        };
        let token = self.token(answer, &key);
        let complaint = self.complaint.take();
        if let (Ok(token), Some(complaint)) = (&token, &complaint) {
            let of_another_daemon = token.complaint().instance != complaint.instance;
            if of_another_daemon && token.is_meant_by(complaint) {
                // The daemon was restarted and has kept it: there, too, it has to be reported.
                token.rejected();
                self.complaint = Some(token.complaint());
                return ControlFlow::Continue(());
            }
        }
        if let (Ok(token), Some((entry, is_known))) = (&token, place) {
            entry.offer(token);
            entry.touch();
            if is_known {
                self.cache.keep(&entry);
            }
        }
        // Not before there is something newer: others would take the one that was refused from memory.
        complaint.iter().for_each(|complaint| key.settle(complaint));
        ControlFlow::Break(token)
    }

    fn token(&self, answer: Answer, key: &Arc<Key>) -> Result<Token, Error> {
        let Answer { response: Response::Token(token), instance, asked } = answer else {
            return Err(ProtocolError::OtherResponse.into());
        };
        let read = boot_time();
        let answered = Skew::of(token.answered_at_ms, asked, read).ours(token.answered_at_ms, read);
        let origin = Origin { instance, answered, wait: self.get.wait };
        Ok(Token::new(token, origin, Arc::clone(key))?)
    }

    fn failed(&self, error: Error) -> Result<Token, Error> {
        let table = self.cache.entries.table.load();
        let entry = table.find(self.hash, &self.get);
        if error.is_of_reach() {
            let now = boot_time();
            return self.fallback(now).map(|token| token.for_min_ttl(now, self.get.min_ttl)).ok_or(error);
        }
        if let Some(complaint) = &self.complaint {
            self.cache.entries.complaints.settle(complaint);
        }
        if let Some(entry) = entry
            && self.is_taken_back(&error)
        {
            entry.forget_unless_replaced(self.seen.as_ref());
        }
        Err(error)
    }

    /// What may be served now that no daemon can be asked: what was taken back since the get began is not it.
    fn fallback(&self, now: Duration) -> Option<Token> {
        let table = self.cache.entries.table.load();
        let entry = table.find(self.hash, &self.get).filter(|_| self.complaint.is_none())?;
        entry.fallback(now).map(|(token, _)| token)
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
    complaints: Arc<Complaints>,
}

impl Default for Entries {
    fn default() -> Self {
        let table = ArcSwap::from_pointee(Table::of([].into_iter()));
        Self { table, changing: Mutex::default(), complaints: Arc::default() }
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
        let entry = Arc::new(Entry::new(Key::of(get, &self.complaints), hash));
        if table.len() >= MOST_ENTRIES {
            let mut entries: Vec<_> = table.entries().cloned().collect();
            entries.sort_by_cached_key(|entry| Reverse(entry.dispensability()));
            let dispensable: Vec<_> = entries.drain(..MAKING_ROOM).collect();
            entries.push(Arc::clone(&entry));
            self.table.store(Arc::new(Table::of(entries.into_iter())));
            dispensable.iter().for_each(|entry| entry.drop_out());
        } else if !table.add(&entry) {
            let entries: Vec<_> = table.entries().chain([&entry]).cloned().collect();
            self.table.store(Arc::new(Table::of(entries.into_iter())));
        }
        (entry, false)
    }

    /// Lets go of what has not been used for long.
    fn sweep(&self) {
        let _changing = self.change();
        let table = self.table.load();
        let (kept, idle): (Vec<_>, Vec<_>) =
            table.entries().cloned().partition(|entry| entry.sweep() < MOST_IDLE_SWEEPS);
        if !idle.is_empty() {
            self.table.store(Arc::new(Table::of(kept.into_iter())));
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

#[cfg(test)]
mod tests {
    use tokenbroker_protocol::Failure;

    use super::*;
    use crate::TokenRequest;
    use crate::builder::Builder;
    use crate::question::Question;
    use crate::token::tests::{answer, from};

    const SECOND: Duration = Duration::from_secs(1);

    fn cache() -> Cache {
        Builder::<()>::new().cache(false).parts().1
    }

    fn entry(cache: &Cache, client: &str) -> Arc<Entry> {
        let get = Get::new(client);
        cache.entries.of(&get, table::hash(&get)).0
    }

    /// Now, with so many seconds to live.
    fn token(text: &str, generation: u64, seconds: u64) -> Token {
        let key = Arc::new(Key::of(&Get::new("x"), &Arc::default()));
        let origin = Origin { instance: [1; 16], answered: boot_time(), wait: None };
        Token::new(answer(text, generation, seconds), origin, key).unwrap()
    }

    fn lookup<'a>(cache: &'a Cache, get: Get<'a>) -> Lookup<'a> {
        assert!(cache.fresh(&get).is_none());
        match cache.look_up(get) {
            Found::Nothing(lookup) => lookup,
            Found::Token(token) => panic!("{token:?}"),
        }
    }

    fn no(code: FailureCode) -> Result<Answer, Error> {
        Err(Failure::new(code, "no").into())
    }

    fn outcome(lookup: &mut Lookup<'_>, answer: Result<Answer, Error>) -> Result<Token, Error> {
        match lookup.answered(answer) {
            ControlFlow::Break(outcome) => outcome,
            ControlFlow::Continue(()) => panic!("it asks again"),
        }
    }

    #[test]
    fn a_daemon_that_is_there_has_all_the_time_of_the_get_and_one_that_is_gone_has_not() {
        let cache = cache();
        let entry = entry(&cache, "x");
        entry.publish(&token("a", 1, 60));
        let request = TokenRequest::new("x").min_ttl(90 * SECOND).wait(30 * SECOND);
        let longer = Get::with(&request);
        let waits = |lookup: &Lookup<'_>| {
            let question = Question::Get(lookup.question());
            (question.deadline(), question.absence())
        };
        assert_eq!(waits(&lookup(&cache, longer)), (32 * SECOND, None));
        entry.orphan();
        assert_eq!(waits(&lookup(&cache, longer)), (SECOND, None));
        entry.forget();
        assert_eq!(waits(&lookup(&cache, longer)), (32 * SECOND, Some(30 * SECOND)));
    }

    #[test]
    fn s69_what_is_fallen_back_on_says_that_it_does_not_live_long_enough() {
        let cache = cache();
        let entry = entry(&cache, "x");
        entry.publish(&token("a", 1, 60));
        for min_ttl in [30 * SECOND, 90 * SECOND] {
            entry.orphan();
            let request = TokenRequest::new("x").min_ttl(min_ttl);
            let mut lookup = lookup(&cache, Get::with(&request));
            let token = outcome(&mut lookup, no(FailureCode::ShuttingDown)).unwrap();
            assert_eq!((token.value(), token.min_ttl_met()), ("a", min_ttl < 60 * SECOND));
        }
    }

    #[test]
    fn s69_what_was_published_during_a_get_that_failed_is_fallen_back_on() {
        let cache = cache();
        let entry = entry(&cache, "x");
        let mut lookup = lookup(&cache, Get::new("x"));
        entry.publish(&token("a", 1, 60));
        entry.orphan();
        assert_eq!(outcome(&mut lookup, no(FailureCode::ShuttingDown)).unwrap().value(), "a");
    }

    #[test]
    fn s55_what_was_taken_back_during_a_get_that_failed_is_not_fallen_back_on() {
        let cache = cache();
        let entry = entry(&cache, "x");
        entry.publish(&token("a", 1, 60));
        entry.orphan();
        let mut lookup = lookup(&cache, Get::new("x"));
        entry.forget();
        assert!(outcome(&mut lookup, no(FailureCode::ShuttingDown)).is_err());
    }

    #[test]
    fn s48_what_has_expired_is_not_fallen_back_on() {
        let cache = cache();
        // Answered 1,000 seconds after boot, which is either long ago or still to come.
        let old = from(1, answer("a", 1, 0));
        entry(&cache, "x").publish(&old);
        let mut lookup = lookup(&cache, Get::new("x"));
        assert!(outcome(&mut lookup, no(FailureCode::ShuttingDown)).is_err());
    }

    #[test]
    fn a_no_that_is_not_about_the_token_leaves_it() {
        let cache = cache();
        let entry = entry(&cache, "x");
        let request = TokenRequest::new("x").min_ttl(90 * SECOND);
        let longer = Get::with(&request);
        for code in [FailureCode::NoToken, FailureCode::InvalidRequest, FailureCode::Internal] {
            entry.publish(&token("a", 1, 60));
            assert!(outcome(&mut lookup(&cache, longer), no(code)).is_err());
            assert!(cache.fresh(&Get::new("x")).is_some(), "{code:?}");
        }
        for code in [FailureCode::Denied, FailureCode::UnknownClient, FailureCode::Blocked] {
            entry.publish(&token("a", 1, 60));
            assert!(outcome(&mut lookup(&cache, longer), no(code)).is_err());
            assert!(cache.fresh(&Get::new("x")).is_none(), "{code:?}");
        }
    }

    #[test]
    fn s55_a_no_leaves_the_token_that_has_come_since_the_question() {
        let cache = cache();
        let entry = entry(&cache, "x");
        for code in [FailureCode::NoToken, FailureCode::Blocked, FailureCode::Denied] {
            entry.forget();
            let mut asked = lookup(&cache, Get::new("x"));
            entry.publish(&token("a", 1, 60));
            assert!(outcome(&mut asked, no(code)).is_err());
            assert!(cache.fresh(&Get::new("x")).is_some(), "{code:?}");
        }
    }

    #[test]
    fn s46_a_complaint_is_settled_by_any_answer_and_by_nothing_else() {
        let cache = cache();
        let entry = entry(&cache, "x");
        let token = token("a", 1, 60);
        entry.publish(&token);
        entry.key.complain(token.complaint(), Duration::MAX);
        let lost = Error::ConnectionLost { source: std::io::ErrorKind::BrokenPipe.into() };
        assert!(outcome(&mut lookup(&cache, Get::new("x")), Err(lost)).is_err());
        assert!(entry.key.is_accused());
        assert!(outcome(&mut lookup(&cache, Get::new("x")), no(FailureCode::NoToken)).is_err());
        assert_eq!(cache.fresh(&Get::new("x")).unwrap().value(), "a");
    }

    #[test]
    fn s61_the_least_used_keys_make_room() {
        let cache = cache();
        let entries = &cache.entries;
        let first = entry(&cache, "first");
        assert!(first.advance(Stage::Seen, Stage::Wanted));
        for number in 0..2 * MOST_ENTRIES {
            entry(&cache, &number.to_string());
        }
        let all = entries.table.load().entries().count();
        assert!((MOST_ENTRIES - MAKING_ROOM..=MOST_ENTRIES).contains(&all), "{all}");
        assert!(Arc::ptr_eq(&first, &entry(&cache, "first")), "what was asked for twice stays longer");

        for _ in 0..MOST_IDLE_SWEEPS {
            first.touch();
            entries.sweep();
        }
        assert_eq!(entries.table.load().entries().count(), all, "they were used before the first sweep");
        first.touch();
        entries.sweep();
        assert_eq!(entries.table.load().entries().count(), 1);
        (0..=MOST_IDLE_SWEEPS).for_each(|_| entries.sweep());
        assert_eq!(first.stage(), Stage::Dropped);
    }
}
