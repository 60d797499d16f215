//! One connection, and the subscriptions on it.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokenbroker_ipc::Wakeup;
use tokenbroker_ipc::blocking::Stream;
use tokenbroker_protocol::{CONNECTION, Command, FailureCode, GetToken, Reply, Response};

use super::{Keeper, Pauses};
use crate::blocking::connection::{Connection, write};
use crate::cache::entry::{Entry, Stage};
use crate::clock::{self, Skew, boot_time};
use crate::session::Session;
use crate::token::{Origin, Token};

/// How many subscriptions may be without an answer. The daemon bounds requests under way, and would have to read on while
/// nobody reads what it writes.
const MOST_UNANSWERED: usize = 32;

/// How long the daemon may take to read a request.
const WRITE: Duration = Duration::from_secs(5);

/// After so long, what the daemon refused may be wanted again.
const REFUSED_FOR: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Line {
    stream: Stream,
    session: Session,
    subscriptions: HashMap<u32, Subscription>,
    unanswered: usize,
    /// Known from the first answer on.
    skew: Option<Skew>,
    /// When what was refused is forgiven.
    forgive: Option<Instant>,
}

#[derive(Debug)]
struct Subscription {
    entry: Arc<Entry>,
    /// When it was made, until it is answered.
    asked: Option<Duration>,
}

/// Why it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The broker was dropped.
    Over,
    /// The connection has broken or is of no more use.
    Broken,
}

impl Line {
    pub(super) fn on(connection: Connection) -> Option<Self> {
        let (mut stream, session) = connection.into_parts();
        stream.set_timeout(WRITE).ok()?;
        let subscriptions = HashMap::new();
        Some(Self { stream, session, subscriptions, unanswered: 0, skew: None, forgive: None })
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// As long as it lasts.
    pub(super) fn run(mut self, keeper: &mut Keeper, pauses: &mut Pauses) -> Ending {
        loop {
            self.forgive(keeper);
            if self.cancel().is_none() || self.subscribe(keeper).is_none() {
                return Ending::Broken;
            }
            match keeper.wait(Some(&self), self.patience()) {
                Wakeup::Over => return Ending::Over,
                Wakeup::Woken | Wakeup::TimedOut => {}
                Wakeup::Readable => {
                    if self.read(pauses).is_none() {
                        return Ending::Broken;
                    }
                }
            }
        }
    }

    /// Ends the subscriptions to what is not in the table any more.
    fn cancel(&mut self) -> Option<()> {
        let is_dropped = |one: &Subscription| one.entry.stage() == Stage::Dropped && one.asked.is_none();
        let dropped: Vec<_> =
            self.subscriptions.iter().filter(|(_, one)| is_dropped(one)).map(|(id, _)| *id).collect();
        for id in dropped {
            self.subscriptions.remove(&id);
            self.send(&Command::Cancel { id })?;
        }
        Some(())
    }

    /// Asks for what is wanted, as far as there is room.
    fn subscribe(&mut self, keeper: &Keeper) -> Option<()> {
        for entry in keeper.entries.at(Stage::Wanted) {
            if self.unanswered >= MOST_UNANSWERED {
                break;
            }
            if entry.advance(Stage::Wanted, Stage::Kept) {
                let asked = Some(boot_time());
                let id = self.send(&Command::Subscribe(request(&entry)))?;
                self.subscriptions.insert(id, Subscription { entry, asked });
                self.unanswered += 1;
            }
        }
        Some(())
    }

    fn forgive(&mut self, keeper: &Keeper) {
        if self.forgive.is_some_and(|at| at <= clock::now()) {
            self.forgive = None;
            keeper.entries.reset(Stage::Refused);
        }
    }

    /// How long there is nothing to do unless something happens.
    fn patience(&self) -> Duration {
        self.forgive.map_or(Duration::MAX, |at| at.saturating_duration_since(clock::now()))
    }

    /// `None` when the connection is of no more use.
    fn send(&mut self, command: &Command) -> Option<u32> {
        let (id, frame) = self.session.request(command).ok()?;
        let timer = crate::blocking::Timer::start(WRITE);
        write(&mut self.stream, frame.expose(), &timer).ok()?;
        Some(id)
    }

    /// Takes what has come. `None` when the connection is of no more use.
    fn read(&mut self, pauses: &mut Pauses) -> Option<()> {
        match self.stream.read(self.session.space()) {
            Ok(count @ 1..) => self.session.filled(count),
            Ok(0) => return None,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Some(()),
            Err(_) => return None,
        }
        let read = boot_time();
        while let Some(Reply { id, response }) = self.session.reply().ok()? {
            // Its last word, of which callers hear when they ask.
            if id == CONNECTION {
                return None;
            }
            self.take(id, response, read, pauses)?;
        }
        Some(())
    }

    fn take(&mut self, id: u32, response: Response, read: Duration, pauses: &mut Pauses) -> Option<()> {
        // Nobody waits for answers to cancellations, nor for what was on its way before.
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return Some(()) };
        let asked = subscription.asked.take();
        self.unanswered -= usize::from(asked.is_some());
        let entry = Arc::clone(&subscription.entry);
        match response {
            Response::Token(token) => {
                let skew = match asked {
                    Some(asked) => *self.skew.get_or_insert(Skew::of(token.answered_at_ms, asked, read)),
                    None => self.skew.unwrap_or_default(),
                };
                let answered = skew.ours(token.answered_at_ms, read);
                let origin = Origin { instance: self.session.instance(), answered, wait: None };
                entry.publish(&Token::new(token, origin, Arc::clone(&entry.key)).ok()?);
                pauses.reset();
            }
            Response::Withdrawn => entry.forget(),
            Response::Failed(failure) => {
                self.subscriptions.remove(&id);
                match failure.code {
                    // The token is as good as before, but nobody would say so any more.
                    FailureCode::ShuttingDown => return None,
                    FailureCode::TooMuch => entry.orphan(),
                    _ => entry.forget(),
                }
                entry.advance(Stage::Kept, Stage::Refused);
                self.forgive.get_or_insert(clock::now() + REFUSED_FOR);
            }
            _ => return None,
        }
        Some(())
    }
}

fn request(entry: &Entry) -> GetToken {
    let key = &entry.key;
    GetToken {
        client: key.client.to_string(),
        scope: key.scope.as_deref().map(str::to_owned),
        resource: key.resource.to_vec(),
        audience: key.audience.as_deref().map(str::to_owned),
        min_ttl_ms: 0,
        wait_ms: None,
    }
}
