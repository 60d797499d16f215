//! The queue of records, and the thread that takes them to where they belong.
//!
//! Who puts one in never waits: a queue that is full drops it, and what was dropped is counted. While a record can't be
//! written it is tried again, and those behind it wait with it; when one can be, it is said how many were dropped.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokenbroker_core::config;

use super::file::{LogFile, OpenError};
use super::journal::{self, Journal};
use super::records::{Event, Record};
use crate::clock;

/// Records that wait to be written, at most; each takes a few hundred bytes.
const MOST_WAITING: usize = 1024;

/// Of them, those that say only that somebody got nothing: however many there are, what was handed out finds room.
const MOST_REFUSALS_WAITING: usize = MOST_WAITING / 4 * 3;

/// How long it is waited after a record could not be written.
const PAUSE: Duration = Duration::from_secs(1);

/// How often it is looked whether there is something to sum up.
const LOOK: Duration = Duration::from_secs(10);

/// How long the daemon's end waits for records to be written.
const LAST_WAIT: Duration = Duration::from_secs(3);

/// Where records go.
#[derive(Debug)]
pub(crate) enum Sink {
    Journal(Journal),
    File(LogFile),
    Off,
}

impl Sink {
    /// Opens what the configuration names.
    ///
    /// # Errors
    ///
    /// If the file is not safe to use, or can't be opened. A journal that is not there is no error: it may come.
    pub(crate) fn open(choice: &config::Audit) -> Result<Self, OpenError> {
        match choice {
            config::Audit::Off => Ok(Self::Off),
            config::Audit::File(path) => LogFile::open(path).map(Self::File),
            config::Audit::Journal => Journal::open()
                .map(Self::Journal)
                .map_err(|source| OpenError::Io { path: journal::SOCKET.into(), source }),
        }
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        match self {
            Self::Journal(journal) => journal.write(record),
            Self::File(file) => file.write(record),
            Self::Off => Ok(()),
        }
    }

    pub(super) fn place(&self) -> Place {
        match self {
            Self::Journal(_) => Place::Journal,
            Self::File(file) => Place::File(file.path().display().to_string()),
            Self::Off => Place::Off,
        }
    }
}

/// Where records go, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Journal,
    File(String),
    Off,
}

/// How the audit is doing.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) place: Place,
    /// Records that were written since the daemon started.
    pub(crate) written: u64,
    /// Records that were lost since then.
    pub(crate) dropped: u64,
    /// Why none can be written now.
    pub(crate) trouble: Option<String>,
}

/// What both sides see.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug)]
struct Waiting {
    records: VecDeque<Record>,
    /// Another place, after so many of the records.
    sink: Option<Sink>,
    ahead: usize,
    seen: State,
    /// Of what was dropped, so many are not said yet.
    unsaid: u64,
    is_closing: bool,
}

impl Queue {
    /// Starts the thread. It has the other value dropped when it ends.
    pub(super) fn start(
        sink: Sink,
        sum_up: impl Fn() -> Vec<Record> + Send + 'static,
        queue: &Arc<Self>,
    ) -> io::Result<Receiver<()>> {
        let (ends, ended) = mpsc::channel();
        let queue = Arc::clone(queue);
        queue.replace(sink);
        std::thread::Builder::new().name("audit".into()).spawn(move || {
            let _ends = ends;
            Writer { queue: &queue, sink: Sink::Off, sum_up }.run();
        })?;
        Ok(ended)
    }

    pub(super) fn new() -> Self {
        let seen = State { place: Place::Off, written: 0, dropped: 0, trouble: None };
        let waiting =
            Waiting { records: VecDeque::new(), sink: None, ahead: 0, seen, unsaid: 0, is_closing: false };
        Self { state: Mutex::new(waiting), changed: Condvar::new() }
    }

    /// Puts a record in, or drops it if there is no room.
    pub(super) fn put(&self, record: Record) {
        let mut waiting = self.lock();
        if waiting.seen.place == Place::Off {
            return;
        }
        let room = if record.event.is_a_refusal() { MOST_REFUSALS_WAITING } else { MOST_WAITING };
        if waiting.records.len() >= room {
            waiting.dropped(1);
            return;
        }
        waiting.records.push_back(record);
        drop(waiting);
        self.changed.notify_one();
    }

    /// Writes to another place from now on, or to the same one, opened anew. What waits goes to where it would have gone,
    /// unless that can't be written.
    pub(super) fn replace(&self, sink: Sink) {
        let mut waiting = self.lock();
        waiting.seen.place = sink.place();
        waiting.seen.trouble = None;
        waiting.sink = Some(sink);
        waiting.ahead = waiting.records.len();
        drop(waiting);
        self.changed.notify_one();
    }

    pub(super) fn state(&self) -> State {
        self.lock().seen.clone()
    }

    /// Has what waits written, for as long as that takes, but not for long.
    pub(super) fn close(&self, ended: &Receiver<()>) {
        self.lock().is_closing = true;
        self.changed.notify_one();
        let _ended_or_hangs = ended.recv_timeout(LAST_WAIT);
        let left = self.lock().records.len();
        if left > 0 {
            tracing::warn!("{left} records of the audit could not be written before the end");
        }
    }

    /// A record was written: says whether that could not be done before.
    fn written(&self) -> bool {
        let mut waiting = self.lock();
        waiting.seen.written += 1;
        waiting.sink.is_none() && waiting.seen.trouble.take().is_some()
    }

    /// A record could not be written: says why, if that is news.
    fn failed(&self, why: String) -> Option<String> {
        let mut waiting = self.lock();
        if waiting.sink.is_some() || waiting.seen.trouble.is_some() {
            return None;
        }
        waiting.seen.trouble = Some(why.clone());
        Some(why)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing here panics with the lock held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until there is something new, for this long at most. `is_nothing` says what is not.
    fn wait<'a>(
        &self,
        waiting: MutexGuard<'a, Waiting>,
        timeout: Duration,
        is_nothing: impl FnMut(&mut Waiting) -> bool,
    ) -> MutexGuard<'a, Waiting> {
        let waited = self.changed.wait_timeout_while(waiting, timeout, is_nothing);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Waiting {
    fn dropped(&mut self, count: u64) {
        self.seen.dropped += count;
        self.unsaid += count;
    }
}

/// The thread's side.
struct Writer<'q, F> {
    queue: &'q Queue,
    sink: Sink,
    sum_up: F,
}

/// What there is to do.
enum Next {
    Write(Record),
    SumUp,
    End,
}

impl<F: Fn() -> Vec<Record>> Writer<'_, F> {
    fn run(mut self) {
        let mut looked = clock::moment();
        loop {
            // Also while there is always something to write.
            if clock::moment().since(looked) >= LOOK {
                looked = clock::moment();
                self.write_all((self.sum_up)());
            }
            match self.next() {
                Next::Write(record) => self.write_all([record]),
                Next::SumUp => {}
                Next::End => {
                    self.write_all((self.sum_up)());
                    return;
                }
            }
        }
    }

    fn next(&mut self) -> Next {
        let waiting = self.queue.lock();
        let mut waiting = self.queue.wait(waiting, LOOK, |waiting| {
            waiting.records.is_empty() && waiting.sink.is_none() && !waiting.is_closing
        });
        if waiting.ahead == 0
            && let Some(sink) = waiting.sink.take()
        {
            self.sink = sink;
        }
        waiting.ahead = waiting.ahead.saturating_sub(1);
        match waiting.records.pop_front() {
            Some(record) => Next::Write(record),
            None if waiting.is_closing => Next::End,
            None => Next::SumUp,
        }
    }

    fn write_all(&mut self, records: impl IntoIterator<Item = Record>) {
        for record in records {
            self.write(&record);
            self.say_what_was_dropped();
        }
    }

    /// As soon as something can be written again.
    fn say_what_was_dropped(&mut self) {
        let mut waiting = self.queue.lock();
        if waiting.unsaid == 0 || waiting.seen.trouble.is_some() {
            return;
        }
        let count = std::mem::take(&mut waiting.unsaid);
        drop(waiting);
        tracing::warn!("{count} records of the audit were dropped");
        let event = Event::Dropped { count };
        if !self.write(&Record { time: clock::since_epoch(), caller: None, event }) {
            self.queue.lock().unsaid += count;
        }
    }

    /// Tries until it is written, and says whether it was: not where there is nothing to wait for, and not when there is no
    /// time any more.
    fn write(&mut self, record: &Record) -> bool {
        loop {
            let Err(error) = self.sink.write(record) else {
                if self.queue.written() {
                    tracing::warn!("the audit can be written again");
                }
                return true;
            };
            if let Some(trouble) = self.queue.failed(in_words(&self.sink, &error)) {
                tracing::warn!("the audit can't be written: {trouble}");
            }
            let waiting = self.queue.lock();
            let is_hopeless = |waiting: &Waiting| {
                waiting.sink.is_none() && (waiting.is_closing || error.kind() == io::ErrorKind::NotFound)
            };
            let mut waiting =
                self.queue.wait(waiting, PAUSE, |waiting| waiting.sink.is_none() && !is_hopeless(waiting));
            if is_hopeless(&waiting) {
                waiting.dropped(1);
                return false;
            }
            if let Some(sink) = waiting.sink.take() {
                self.sink = sink;
            }
        }
    }
}

fn in_words(sink: &Sink, error: &io::Error) -> String {
    match (sink, error.kind()) {
        (Sink::Journal(_), io::ErrorKind::NotFound) => {
            "there is no journal on this host; set audit of [daemon] to a file, or to \"off\"".into()
        }
        (Sink::Journal(_), io::ErrorKind::WouldBlock) => "the journal takes nothing".into(),
        (Sink::File(file), _) => format!("{}: {error}", file.path().display()),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::records::Event;

    fn record(event: Event) -> Record {
        Record { time: Duration::ZERO, caller: None, event }
    }

    #[test]
    fn however_many_are_refused_there_is_room_for_what_was_handed_out() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::new();
        queue.replace(Sink::open(&config::Audit::File(dir.path().join("audit.jsonl"))).unwrap());
        for _ in 0..2 * MOST_WAITING {
            queue.put(record(Event::Refused { reason: "too_many_connections" }));
        }
        assert_eq!(queue.lock().records.len(), MOST_REFUSALS_WAITING);
        for _ in 0..2 * MOST_WAITING {
            queue.put(record(Event::Started));
        }
        assert_eq!(queue.lock().records.len(), MOST_WAITING);
        assert_eq!(queue.state().dropped, 3 * MOST_WAITING as u64);
    }

    #[test]
    fn what_waits_goes_to_where_it_would_have_gone() {
        let dir = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| dir.path().join(name));
        let file = |path: &std::path::PathBuf| Sink::open(&config::Audit::File(path.clone())).unwrap();
        let queue = Arc::new(Queue::new());
        queue.replace(file(&old));
        queue.put(record(Event::Stopped));
        let mut writer = Writer { queue: &queue, sink: file(&old), sum_up: Vec::new };
        queue.lock().sink = None;
        queue.replace(file(&new));
        queue.put(record(Event::Started));
        queue.lock().is_closing = true;
        while let Next::Write(record) = writer.next() {
            writer.write(&record);
        }
        let lines = |path| std::fs::read_to_string(path).unwrap();
        assert!(lines(&old).contains("stopped") && !lines(&old).contains("started"), "{}", lines(&old));
        assert!(lines(&new).contains("started") && !lines(&new).contains("stopped"), "{}", lines(&new));
    }
}
