//! A host and its surroundings: the real engine, driven through simulated time from event to event.

macro_rules! trace {
    ($world:expr, $($arguments:tt)*) => {
        $world.trace.line($world.clock.at(), format_args!($($arguments)*))
    };
}

mod callers;
mod effects;
mod incidents;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokenbroker_core::config::{ClientName, Config};
use tokenbroker_core::engine::{
    Credentials, Engine, Event, KeptToken, KeyStoreFailure, OperationId, State, StoredCredential,
    TransportFailure, WaiterId,
};
use tokenbroker_oauth::HttpResponse;

use super::clock::{At, Clock};
use super::dice::Dice;
use super::faults::{Fault, Hits};
use super::kept::KeptFile;
use super::network::{Later, Meaning};
use super::oracle::{Invariant, Oracle, Violation};
use super::server::Server;
use super::site::Site;
use super::store::Store;
use super::trace::Trace;
use super::weather::Weather;

/// A wall clock that is wrong by more than this is one that no server's date corrects.
const CORRECTABLE: u64 = 20 * 3600;

/// As long as the engine waits for what was kept, less what tells the two apart.
const KEPT_COUNTS: Duration = Duration::from_millis(1900);

/// How often somebody looks at every client's status.
const BETWEEN_STATUSES: Duration = Duration::from_secs(1800);

/// Within so long before the daemon ends, each writing of its tokens is carried out. Before, one is as good as another:
/// tokens that change are written within seconds.
const SOON: Duration = Duration::from_secs(60);

/// So many steps without time passing are a loop.
const MOST_STEPS_AT_ONCE: u32 = 100_000;

/// The whole of it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) oracle: Oracle,
    pub(crate) hits: Hits,
    pub(crate) figures: Figures,
    pub(crate) trace: Trace,
    pub(crate) site: Site,
    /// Of each client.
    pub(crate) failed_gets: Vec<u64>,
    dice: Dice,
    config: Config,
    weather: Weather,
    servers: Vec<Server>,
    store: Store,
    kept: KeptFile,
    engine: Option<Engine>,
    daemon: Daemon,
    queue: BTreeMap<(At, u64), Happening>,
    sequence: u64,
    last_credential: u64,
    /// The pause between callers.
    callers: Duration,
    steps_at_once: u32,
    /// When the daemon will be stopped.
    deaths: BTreeSet<At>,
    /// What it wanted kept was not written, since nobody reads that yet. Its tokens are the same as then.
    is_unwritten: bool,
}

/// What one life of the daemon is known by.
#[derive(Debug, Default)]
struct Daemon {
    life: u64,
    started: At,
    restored: Option<Vec<KeptToken>>,
    inventory: Option<Vec<StoredCredential>>,
    /// Of each client when the daemon started.
    changes: Vec<u64>,
}

/// How much happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Steps of the simulation, after each of which the invariants were checked.
    pub steps: u64,
    /// Token requests that were sent.
    pub token_requests: u64,
    /// Callers that got a token.
    pub gets: u64,
    /// Callers that asked for any token and got none.
    pub failed_gets: u64,
}

impl Figures {
    pub(crate) fn add(&mut self, other: Self) {
        self.steps += other.steps;
        self.token_requests += other.token_requests;
        self.gets += other.gets;
        self.failed_gets += other.failed_gets;
    }
}

/// Whether the daemon ends by it.
fn is_death(fault: Fault) -> bool {
    use Fault::{Killed, KilledAndDamaged, KilledAndRolledBack, Rebooted, Restarted};
    matches!(fault, Restarted | Killed | KilledAndDamaged | KilledAndRolledBack | Rebooted)
}

/// What happens at a time.
#[derive(Debug)]
enum Happening {
    /// Something comes back to the daemon, if it is the same daemon.
    Returns(u64, Box<Return>),
    /// A caller comes, and another one after it.
    CallerComes,
    /// One of many callers of a client that ask for different narrower tokens.
    Narrowed(usize),
    CallerLeaves(u64, u64),
    /// Callers report a client's current token.
    Rejected(usize),
    Incident(Fault),
    DaemonStarts,
    /// A client gets a credential that its server takes.
    Credential(usize),
    WallClock(i64),
    StatusIsRead,
}

#[derive(Debug)]
enum Return {
    Inventory(Result<Vec<StoredCredential>, KeyStoreFailure>),
    Loaded {
        operation: OperationId,
        client: usize,
        changes: u64,
        result: Result<Option<Credentials>, KeyStoreFailure>,
    },
    Promoted(ClientName, Result<(), KeyStoreFailure>),
    Signed(OperationId, Result<Vec<u8>, KeyStoreFailure>),
    Token {
        operation: OperationId,
        wire: u64,
        result: Result<HttpResponse, TransportFailure>,
        meaning: Meaning,
        later: Option<Later>,
        fault: Option<Fault>,
    },
    Metadata {
        operation: OperationId,
        wire: u64,
        result: Result<HttpResponse, TransportFailure>,
        later: Option<Later>,
        fault: Option<Fault>,
    },
    Kept(Vec<KeptToken>),
}

impl World {
    /// A host where everything is set up, and whose daemon is about to start.
    pub(crate) fn new(
        mut dice: Dice,
        site: Site,
        weather: Weather,
        callers: Duration,
        keep_trace: bool,
    ) -> Self {
        let mut servers: Vec<_> = site.issuers.iter().map(Server::new).collect();
        site.clients.iter().for_each(|client| servers[client.issuer].register(client));
        let mut world = Self {
            clock: Clock::start(),
            oracle: Oracle::new(&site),
            hits: Hits::default(),
            figures: Figures::default(),
            failed_gets: vec![0; site.clients.len()],
            trace: Trace::new(keep_trace),
            config: site.config(),
            weather,
            servers,
            store: Store::default(),
            kept: KeptFile::default(),
            engine: None,
            daemon: Daemon::default(),
            queue: BTreeMap::new(),
            sequence: 0,
            last_credential: 0,
            callers,
            steps_at_once: 0,
            deaths: BTreeSet::new(),
            is_unwritten: false,
            site,
            dice: Dice::new(u64::from_le_bytes(dice.seed()[..8].try_into().unwrap_or_default())),
        };
        for client in 0..world.site.clients.len() {
            if world.site.clients[client].has_credential {
                world.new_credential(client, true);
            }
        }
        world.happens_in(Duration::ZERO, Happening::DaemonStarts);
        world.happens_in(Duration::ZERO, Happening::CallerComes);
        world.happens_in(BETWEEN_STATUSES, Happening::StatusIsRead);
        for (at, fault) in std::mem::take(&mut world.weather.incidents) {
            if is_death(fault) {
                world.deaths.insert(at);
            }
            world.happens_at(at, Happening::Incident(fault));
        }
        world
    }

    /// Lets time pass, event by event, and stops at the first thing that should not be.
    ///
    /// # Errors
    ///
    /// The invariant that does not hold.
    pub(crate) fn run_until(&mut self, end: At) -> Result<(), Violation> {
        while self.step(end) {
            self.figures.steps += 1;
            self.check();
            if let Some(violation) = self.oracle.take_violation() {
                trace!(self, "VIOLATION: {}: {}", violation.invariant, violation.message);
                return Err(violation);
            }
        }
        self.clock.advance_to(end);
        Ok(())
    }

    /// Does what comes next.
    fn step(&mut self, end: At) -> bool {
        let happens = self.queue.first_key_value().map(|((at, _), _)| *at);
        let due = self.engine.as_ref().and_then(Engine::poll_timeout).map(|due| self.clock.at_of(due));
        let Some(next) = happens.into_iter().chain(due).min().filter(|next| *next <= end) else {
            return false;
        };
        self.steps_at_once = if next > self.clock.at() { 0 } else { self.steps_at_once + 1 };
        if self.steps_at_once > MOST_STEPS_AT_ONCE {
            self.oracle.fail(Invariant::Policy, None, "time stands still".into());
            return true;
        }
        self.clock.advance_to(next);
        let is_engines = due.is_some_and(|due| happens.is_none_or(|happens| due < happens));
        if is_engines {
            if let Some(engine) = &mut self.engine {
                engine.handle_timeout(self.clock.now());
            }
        } else if let Some((_, happening)) = self.queue.pop_first() {
            self.happen(happening);
        }
        self.carry_out_effects();
        true
    }

    fn check(&mut self) {
        let at = self.clock.at();
        if let Some(engine) = &self.engine {
            self.oracle.check_size(engine);
            self.oracle.check(at, &self.clock);
        }
    }

    fn happens_at(&mut self, at: At, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), happening);
    }

    fn happens_in(&mut self, pause: Duration, happening: Happening) {
        self.happens_at(self.clock.at() + pause, happening);
    }

    fn returns_in(&mut self, pause: Duration, what: Return) {
        self.happens_in(pause, Happening::Returns(self.daemon.life, Box::new(what)));
    }

    fn tell(&mut self, event: Event) {
        if let Some(engine) = &mut self.engine {
            engine.handle(self.clock.now(), event);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Returns(life, what) if life == self.daemon.life && self.engine.is_some() => {
                self.returned(*what);
            }
            Happening::Returns(..) => {}
            Happening::CallerComes => {
                self.caller_comes();
                let pause = self.dice.pause(self.callers).max(Duration::from_millis(1));
                self.happens_in(pause, Happening::CallerComes);
            }
            Happening::Narrowed(client) => {
                if let Some(narrowing) = self.some_narrowing(client) {
                    self.get(client, narrowing, Duration::ZERO, Duration::from_secs(10));
                }
            }
            Happening::CallerLeaves(life, waiter) => {
                if life == self.daemon.life && self.oracle.left(waiter) {
                    trace!(self, "caller {waiter} leaves");
                    self.hits.count(Fault::CallerLeaves);
                    self.tell(Event::Gone(WaiterId(waiter)));
                }
            }
            Happening::Rejected(client) => self.rejected_by_many(client),
            Happening::Incident(fault) => self.incident(fault),
            Happening::DaemonStarts => self.start_daemon(),
            Happening::Credential(client) => {
                if self.new_credential(client, true).is_some() {
                    self.credential_stored(client);
                }
            }
            Happening::WallClock(error) => self.set_wall_clock(error),
            Happening::StatusIsRead => {
                self.read_status();
                self.happens_in(BETWEEN_STATUSES, Happening::StatusIsRead);
            }
        }
    }

    // The daemon

    fn start_daemon(&mut self) {
        if self.engine.is_some() {
            return;
        }
        self.daemon = Daemon {
            life: self.daemon.life + 1,
            started: self.clock.at(),
            restored: None,
            inventory: None,
            changes: Vec::new(),
        };
        trace!(self, "daemon {} starts", self.daemon.life);
        let engine = Engine::new(&self.config, self.dice.seed(), self.clock.now());
        self.oracle.daemon_started(self.clock.at(), !self.kept.is_empty());
        self.oracle.configured(self.clock.at(), &self.site, &self.config, engine.slots());
        self.daemon.changes =
            (0..self.site.clients.len()).map(|client| self.oracle.changes(client)).collect();
        self.engine = Some(engine);
    }

    /// The daemon is no more: those who waited for it see their connections break.
    fn stop_daemon(&mut self, orderly: bool) -> bool {
        if orderly || self.is_unwritten {
            self.write_kept();
        }
        if self.engine.take().is_none() {
            return false;
        }
        let pause = self.dice.seconds(1..30);
        self.happens_in(pause, Happening::DaemonStarts);
        true
    }

    fn write_kept(&mut self) {
        if let Some(engine) = &self.engine {
            let tokens = engine.tokens_to_keep(self.clock.now());
            self.kept.write(&self.clock, tokens.iter().map(KeptToken::from).collect());
            self.is_unwritten = false;
        }
    }

    fn reload(&mut self) {
        self.config = self.site.config();
        let config = Arc::new(self.config.clone());
        self.tell(Event::Configured { config, access: BTreeMap::new() });
        if let Some(engine) = &self.engine {
            self.oracle.configured(self.clock.at(), &self.site, &self.config, engine.slots());
        }
    }

    fn read_status(&mut self) {
        let Some(engine) = &self.engine else { return };
        let now = self.clock.now();
        for (client, plan) in self.site.clients.iter().enumerate() {
            let status = engine.status(&plan.name, now);
            self.oracle.check_status(self.clock.at(), &self.clock, client, status.as_ref());
        }
    }

    /// Whether every client has a token, and no failure after it.
    pub(crate) fn all_are_warm(&self) -> bool {
        let Some(engine) = &self.engine else { return false };
        let is_warm = |name: &str| {
            engine.status(name, self.clock.now()).is_some_and(|status| status.state == State::Warm)
        };
        self.site.clients.iter().all(|client| is_warm(&client.name))
    }
}
