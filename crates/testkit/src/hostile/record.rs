//! What the server saw and did, for tests to assert on.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use url::form_urlencoded;

use crate::Stopwatch;

/// The most that is kept of what came in on a port that reads nothing as HTTP.
const MOST_HEARD: usize = 1024 * 1024;

/// A request that arrived whole.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which one to its path it is, from 1.
    pub number: usize,
    /// When it had arrived, counted from the start of the server.
    pub at: Duration,
    /// Its method.
    pub method: String,
    /// Its path, with the query.
    pub path: String,
    /// Its headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body, read as a form.
    pub form: Vec<(String, String)>,
}

impl Seen {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    /// The value of a field of the form.
    pub fn field(&self, name: &str) -> Option<&str> {
        value(&self.form, name)
    }
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

pub(super) struct Record {
    started: Stopwatch,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    connections: usize,
    at_once: usize,
    most_at_once: usize,
    written: HashMap<String, u64>,
    heard: Vec<u8>,
}

impl Default for Record {
    fn default() -> Self {
        Self { started: Stopwatch::start(), state: Mutex::default() }
    }
}

impl Record {
    pub(super) fn running_for(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn connected(&self) {
        self.state().connections += 1;
    }

    /// Notes a request, and that it is being answered.
    pub(super) fn asked(
        &self,
        method: String,
        path: String,
        headers: Vec<(String, String)>,
        body: &[u8],
    ) -> Seen {
        let mut state = self.state();
        state.at_once += 1;
        state.most_at_once = state.most_at_once.max(state.at_once);
        let number = state.seen.iter().filter(|seen| seen.path == path).count() + 1;
        let form = form_urlencoded::parse(body).into_owned().collect();
        let seen = Seen { number, at: self.started.elapsed(), method, path, headers, form };
        state.seen.push(seen.clone());
        seen
    }

    pub(super) fn answered(&self) {
        self.state().at_once -= 1;
    }

    pub(super) fn wrote(&self, path: &str, bytes: usize) {
        *self.state().written.entry(path.into()).or_default() += bytes as u64;
    }

    pub(super) fn hear(&self, bytes: &[u8]) {
        let heard = &mut self.state().heard;
        let room = MOST_HEARD.saturating_sub(heard.len()).min(bytes.len());
        heard.extend_from_slice(&bytes[..room]);
    }

    pub(super) fn seen(&self, path: &str) -> Vec<Seen> {
        self.state().seen.iter().filter(|seen| seen.path == path).cloned().collect()
    }

    pub(super) fn all_seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.state().connections
    }

    pub(super) fn most_at_once(&self) -> usize {
        self.state().most_at_once
    }

    pub(super) fn written(&self, path: &str) -> u64 {
        self.state().written.get(path).copied().unwrap_or(0)
    }

    pub(super) fn heard(&self) -> Vec<u8> {
        self.state().heard.clone()
    }

    pub(super) fn forget(&self) {
        let mut state = self.state();
        let at_once = state.at_once;
        *state = State { at_once, most_at_once: at_once, ..State::default() };
    }

    /// Nothing here panics with the lock held.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
