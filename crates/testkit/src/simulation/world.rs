//! A host and its surroundings: the real engine, driven through simulated time from event to event.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokenbroker_core::config::{ClientName, Config};
use tokenbroker_core::engine::{
    Credential, CredentialKind, Effect, Engine, Event, Granted, KeptToken, KeyStoreFailure, Note,
    OperationId, State, StoredCredential, TransportFailure, WaiterId,
};
use tokenbroker_core::narrowing::Narrowing;
use tokenbroker_oauth::{HttpRequest, HttpResponse, Method as Verb};

use super::clock::{At, Clock};
use super::dice::Dice;
use super::faults::{Fault, Hits};
use super::kept::KeptFile;
use super::network::{Exchange, Later, Meaning};
use super::oracle::{Asking, Invariant, Oracle, Violation, serve_until};
use super::server::Server;
use super::site::{Method, Site};
use super::store::Store;
use super::trace::Trace;
use super::weather::{TROUBLE_ENDS, Weather};

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
    Returns(u64, Return),
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
        result: Result<Option<Credential>, KeyStoreFailure>,
    },
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

macro_rules! trace {
    ($world:expr, $($arguments:tt)*) => {
        $world.trace.line($world.clock.at(), format_args!($($arguments)*))
    };
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
        self.happens_in(pause, Happening::Returns(self.daemon.life, what));
    }

    fn tell(&mut self, event: Event) {
        if let Some(engine) = &mut self.engine {
            engine.handle(self.clock.now(), event);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Returns(life, what) if life == self.daemon.life && self.engine.is_some() => {
                self.returned(what);
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
                let stored = self.new_credential(client, true);
                self.credential_stored(client, stored);
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
            self.kept.write(&self.clock, engine.tokens_to_keep(self.clock.now()));
            self.is_unwritten = false;
        }
    }

    fn reload(&mut self) {
        self.config = self.site.config();
        let config = Box::new(self.config.clone());
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

    // What the daemon wants done

    fn carry_out_effects(&mut self) {
        while let Some(effect) = self.engine.as_mut().and_then(Engine::poll_effect) {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        let at = self.clock.at();
        match effect {
            Effect::Answer { waiter, answer } => {
                let asked = self.oracle.answered(at, &self.clock, waiter.0, &answer);
                match (&answer, asked) {
                    (Ok(granted), _) => {
                        self.figures.gets += 1;
                        trace!(self, "caller {} gets {}", waiter.0, granted.token.access_token.expose());
                    }
                    (Err(refusal), asked) => {
                        if let Some((client, Asking::Token { .. })) = asked {
                            self.figures.failed_gets += 1;
                            self.failed_gets[client] += 1;
                        }
                        trace!(self, "caller {} gets none: {}", waiter.0, refusal.message);
                    }
                }
            }
            Effect::Note(note) => self.note(&note),
            Effect::LoadTokens => {
                let is_late = self.dice.chance(0.05);
                let pause = if is_late { Duration::from_secs(3) } else { Duration::from_millis(5) };
                if is_late {
                    self.hits.count(Fault::KeptReadLate);
                }
                let tokens = self.kept.read(&self.clock);
                self.returns_in(pause, Return::Kept(tokens));
            }
            Effect::KeepTokens => {
                let is_read_soon = self.deaths.range(at..at + SOON).next().is_some();
                self.is_unwritten = !is_read_soon && !self.kept.is_old(at);
                if !self.is_unwritten {
                    self.write_kept();
                }
            }
            Effect::ListCredentials => {
                let (pause, outcome) = self.call_store();
                let list = self.store.list();
                self.returns_in(pause, Return::Inventory(outcome.map(|()| list)));
            }
            Effect::LoadCredential { operation, client: name } => {
                let (pause, outcome) = self.call_store();
                let Some(client) = self.oracle.client_named(&name) else { return };
                let result = outcome.map(|()| self.store.load(&name));
                let changes = self.oracle.changes(client);
                self.returns_in(pause, Return::Loaded { operation, client, changes, result });
            }
            Effect::Sign { operation, client, version, input, .. } => {
                let (pause, outcome) = self.call_store();
                let result = outcome.and_then(|()| self.store.sign(&client, &version, input.expose()));
                self.returns_in(pause, Return::Signed(operation, result));
            }
            Effect::Send { operation, issuer, request } => {
                let known = self.site.issuers.iter().position(|plan| plan.name == issuer.name);
                let Some(issuer) = known else { return };
                self.sequence += 1;
                match request.method {
                    Verb::Get => self.ask_for_metadata(operation, issuer, &request),
                    Verb::Post => self.ask_for_token(operation, issuer, &request),
                }
            }
        }
    }

    fn note(&mut self, note: &Note) {
        match note {
            Note::Failed { client, failure, next_try_in, .. } => {
                trace!(self, "{client} fails: {}, next try in {next_try_in:?}", failure.code);
            }
            Note::Issued { client, generation, lifetime, .. } => {
                trace!(self, "{client} has generation {generation} for {lifetime:?}");
            }
            other => trace!(self, "{other:?}"),
        }
    }

    fn call_store(&mut self) -> (Duration, Result<(), KeyStoreFailure>) {
        let at = self.clock.at();
        let (pause, outcome, fault) = self.store.call(at);
        if let Some(fault) = fault {
            self.hits.count(fault);
            self.oracle.turns_show_late(at);
            self.oracle.trouble_everybody(at + pause);
        }
        (pause, outcome)
    }

    fn exchange<'a>(
        dice: &'a mut Dice,
        clock: &Clock,
        site: &Site,
        servers: &'a mut [Server],
        issuer: usize,
    ) -> Exchange<'a> {
        let server = &mut servers[issuer];
        let unix = clock.true_unix().saturating_add_signed(server.ahead);
        let timeout = Duration::from_secs(site.issuers[issuer].timeout);
        Exchange { dice, server, unix, timeout }
    }

    fn ask_for_metadata(&mut self, operation: OperationId, issuer: usize, request: &HttpRequest) {
        let (at, wire) = (self.clock.at(), self.sequence);
        self.oracle.metadata_request_sent(at, wire, issuer);
        let fault = self.weather.strikes(&mut self.dice, at, issuer, None);
        self.servers[issuer].ahead = self.weather.clock_of(at, issuer);
        let mut exchange = Self::exchange(&mut self.dice, &self.clock, &self.site, &mut self.servers, issuer);
        let reply = exchange.metadata(request.url.as_str(), fault);
        trace!(self, "#{wire} asks for {}", request.url);
        let (result, later, fault) = (reply.result, reply.later, reply.fault);
        self.returns_in(reply.after, Return::Metadata { operation, wire, result, later, fault });
    }

    fn ask_for_token(&mut self, operation: OperationId, issuer: usize, request: &HttpRequest) {
        let (at, wire) = (self.clock.at(), self.sequence);
        self.figures.token_requests += 1;
        let ahead = self.weather.clock_of(at, issuer);
        self.servers[issuer].ahead = ahead;
        let asked = match self.servers[issuer].read(request, self.clock.true_unix()) {
            Ok(asked) => asked,
            Err(problem) => {
                let name = self.servers[issuer].name;
                return self.oracle.fail(Invariant::WellFormed, None, format!("at {name}: {problem}"));
            }
        };
        trace!(self, "#{wire} asks {} for {}", self.servers[issuer].name, asked.key);
        self.oracle.token_request_sent(at, wire, issuer, &asked);
        if ahead != 0 {
            self.hits.count(Fault::ServerClockOff);
        }
        let client = self.site.clients.iter().position(|plan| plan.client_id == asked.client_id);
        let fault = self.weather.strikes(&mut self.dice, at, issuer, client);
        let mut exchange = Self::exchange(&mut self.dice, &self.clock, &self.site, &mut self.servers, issuer);
        let reply = exchange.token(&asked, fault);
        // With a wall clock that no date corrects, a date does not say how long to wait.
        let is_correctable = self.clock.wall_error().unsigned_abs() < CORRECTABLE;
        let later = reply.later.filter(|later| is_correctable || matches!(later, Later::In(_)));
        let (result, mut meaning, fault) = (reply.result, reply.meaning, reply.fault);
        if let Meaning::Credential { dated_off: Some(off) } = &mut meaning {
            // What a refused assertion was dated by may be either of two clocks; the next is dated by the other one.
            *off = off.abs().max((self.clock.wall_error() - ahead).abs());
        }
        self.returns_in(reply.after, Return::Token { operation, wire, result, meaning, later, fault });
    }

    fn returned(&mut self, what: Return) {
        let at = self.clock.at();
        match what {
            Return::Inventory(result) => {
                trace!(self, "the key store is listed: {}", result.is_ok());
                if let Ok(list) = &result {
                    self.daemon.inventory.get_or_insert_with(|| list.clone());
                    self.expect_restored();
                }
                self.tell(Event::Inventory(result));
            }
            Return::Kept(tokens) => {
                trace!(self, "{} tokens were kept", tokens.len());
                if at - self.daemon.started < KEPT_COUNTS {
                    self.daemon.restored = Some(tokens.clone());
                    self.expect_restored();
                }
                self.tell(Event::Restored(tokens));
            }
            Return::Loaded { operation, client, changes, result } => {
                if matches!(result, Ok(None)) && changes == self.oracle.changes(client) {
                    trace!(self, "{} has no credential", self.site.clients[client].name);
                    self.oracle.credential_removed(at, client, None);
                }
                self.tell(Event::Credential { operation, result });
            }
            Return::Signed(operation, result) => self.tell(Event::Signed { operation, result }),
            Return::Token { operation, wire, result, meaning, later, fault } => {
                match fault {
                    Some(fault) => {
                        self.hits.count(fault);
                        trace!(self, "#{wire} is answered: {meaning:?} ({fault})");
                    }
                    None => trace!(self, "#{wire} is answered: {meaning:?}"),
                }
                self.oracle.token_reply_arrives(at, wire, &meaning, later, fault);
                self.tell(Event::Response { operation, result });
            }
            Return::Metadata { operation, wire, result, later, fault } => {
                if let Some(fault) = fault {
                    self.hits.count(fault);
                }
                let found = fault.is_none() && result.as_ref().is_ok_and(|response| response.status == 200);
                trace!(self, "#{wire} is answered: metadata {found}");
                self.oracle.metadata_arrives(at, wire, found, later);
                self.tell(Event::Response { operation, result });
            }
        }
    }

    /// Once it is known what was kept and what the key store holds, what fits must be served.
    fn expect_restored(&mut self) {
        if self.daemon.inventory.is_none() || self.daemon.restored.is_none() {
            return;
        }
        let Some(tokens) = self.daemon.restored.take() else { return };
        for kept in tokens {
            let Some(client) = self.oracle.client_named(&kept.client) else { continue };
            let expires = self.clock.at_of(kept.expires);
            let until = serve_until(expires, kept.lifetime);
            let token = kept.access_token.expose();
            self.oracle.may_serve_until(token, until);
            let listed = self.daemon.inventory.iter().flatten().find(|stored| stored.client == kept.client);
            let is_current = listed.is_some_and(|stored| stored.version == kept.credential)
                && self.store.find(&kept.client).is_some_and(|found| found.version == kept.credential);
            let is_unchanged = self.daemon.changes.get(client) == Some(&self.oracle.changes(client));
            if kept.narrowing.is_as_configured() && is_current && is_unchanged && self.clock.at() < until {
                self.oracle.restored(client, token, until, kept.same_boot);
            }
        }
    }

    // Callers

    fn caller_comes(&mut self) {
        let client = self.dice.index(self.site.clients.len());
        let lifetime = self.site.clients[client].lifetime;
        let narrowing = self.dice.chance(0.08).then(|| self.some_narrowing(client)).flatten();
        let (min_ttl, fault) = match self.dice.number(0..100) {
            0..2 => (lifetime * 19 / 20, Some(Fault::NearlyAllTheLifetime)),
            2..3 => (lifetime * 2, Some(Fault::MoreThanTheLifetime)),
            3..20 => (60, None),
            _ => (0, None),
        };
        if let Some(fault) = fault.filter(|_| self.engine.is_some()) {
            self.hits.count(fault);
        }
        let wait = self.dice.millis(0..30_000);
        self.get(client, narrowing.unwrap_or_default(), Duration::from_secs(min_ttl), wait);
    }

    /// A part of a client's scope.
    fn some_narrowing(&mut self, client: usize) -> Option<Narrowing> {
        let config = self.config.clients.get(self.site.clients[client].name.as_str())?;
        let scope = config.scope.as_ref()?;
        let words: Vec<&str> = scope.iter().filter(|_| self.dice.chance(0.5)).collect();
        Narrowing::of(config, Some(&words.join(" ")), &[], None).ok()
    }

    /// A caller asks as sessions do: the slot first, the engine if there is nothing in it that will do.
    fn get(&mut self, client: usize, narrowing: Narrowing, min_ttl: Duration, wait: Duration) {
        let (at, now) = (self.clock.at(), self.clock.now());
        let Some(engine) = &self.engine else { return };
        let Some(slot) = engine.slots().find(&self.site.clients[client].name) else { return };
        let key = self.oracle.key_of(client, &narrowing);
        let found = if narrowing.is_as_configured() {
            slot.current(now.boot).map(|token| (slot.handle(), token))
        } else {
            slot.narrowed(&narrowing, now.boot)
                .and_then(|cell| Some((cell.handle(), cell.current(now.boot)?)))
        };
        let asking = Asking::Token { narrowing: narrowing.clone(), min_ttl };
        let will_do = |token: &tokenbroker_core::slots::Published| now.boot.until(token.expires) >= min_ttl;
        if let Some((handle, token)) = found.filter(|(_, token)| will_do(token)) {
            slot.served();
            self.figures.gets += 1;
            let granted = Granted { handle, token, min_ttl_met: true };
            return self.oracle.granted(at, &self.clock, client, key, &granted, &asking);
        }
        let must_get = min_ttl.is_zero() && self.oracle.must_get(at, client, key);
        self.sequence += 1;
        let waiter = self.sequence;
        let name = &self.site.clients[client].name;
        trace!(self, "caller {waiter} asks for {name} ({narrowing}) and {min_ttl:?}, waits {wait:?}");
        let Some(name) = ClientName::new(name) else { return };
        self.oracle.asked(at, waiter, client, key, asking, at + wait);
        let deadline = self.clock.moment(at + wait);
        self.tell(Event::Get { waiter: WaiterId(waiter), client: name, narrowing, min_ttl, deadline });
        self.carry_out_effects();
        if !self.oracle.is_waiting(waiter) {
            return;
        }
        if must_get {
            self.oracle.withheld(client, key);
        }
        if self.dice.chance(0.3) {
            let pause = self.dice.millis(0..wait.as_millis() as u64 + 1);
            self.happens_in(pause, Happening::CallerLeaves(self.daemon.life, waiter));
        }
    }

    fn rejected_by_many(&mut self, client: usize) {
        let at = self.clock.at();
        let Some(engine) = &self.engine else { return };
        let Some(slot) = engine.slots().find(&self.site.clients[client].name) else { return };
        let Some(token) = slot.current(self.clock.now().boot) else { return };
        let Some(name) = ClientName::new(&self.site.clients[client].name) else { return };
        self.hits.count(Fault::RejectedByMany);
        trace!(self, "{name} is rejected in generation {}", token.generation);
        let key = self.oracle.key_of(client, &Narrowing::default());
        let (handle, generation) = (slot.handle(), token.generation);
        for _ in 0..self.dice.number(2..20) {
            self.sequence += 1;
            let wait = self.dice.millis(0..20_000);
            self.oracle.asked(at, self.sequence, client, key, Asking::Newer { than: generation }, at + wait);
            let deadline = self.clock.moment(at + wait);
            let waiter = WaiterId(self.sequence);
            self.tell(Event::Rejected { waiter, client: name.clone(), handle, generation, deadline });
        }
    }

    // What happens to the host

    fn some_client(&mut self, is_meant: impl Fn(&super::site::ClientPlan) -> bool) -> Option<usize> {
        let clients: Vec<_> = self
            .site
            .clients
            .iter()
            .enumerate()
            .filter(|(_, plan)| is_meant(plan))
            .map(|(index, _)| index)
            .collect();
        (!clients.is_empty()).then(|| self.dice.pick(&clients))
    }

    fn incident(&mut self, fault: Fault) {
        trace!(self, "incident: {fault}");
        if self.has_happened(fault).is_some() {
            self.hits.count(fault);
        }
    }

    fn has_happened(&mut self, fault: Fault) -> Option<()> {
        let at = self.clock.at();
        let rest = TROUBLE_ENDS.saturating_sub(at).as_secs().max(120);
        match fault {
            Fault::WallClockJumpsHours | Fault::WallClockJumpsDay | Fault::WallClockJumpsYear => {
                let by = match fault {
                    Fault::WallClockJumpsHours => self.dice.number(300..18_000) as i64,
                    Fault::WallClockJumpsDay => 86_400,
                    _ => 31_536_000,
                };
                let is_ahead = self.dice.chance(0.5);
                self.set_wall_clock(if is_ahead { by } else { -by });
                let pause = self.dice.seconds(60..rest);
                self.happens_in(pause, Happening::WallClock(0));
            }
            Fault::Suspended => {
                let length = self.dice.seconds(60..rest.min(6 * 3600));
                self.clock.advance_to(at + length);
                self.oracle.deadlines_passed_unseen(self.clock.at());
                self.oracle.trouble_everybody(self.clock.at());
                self.oracle.turns_show_late(self.clock.at());
            }
            Fault::StoreLocked | Fault::StoreHangs | Fault::StoreSlow => {
                let until = at + self.dice.seconds(60..1200.min(rest));
                self.store.is_in_trouble(fault, until);
                return None; // counted when it is met
            }
            Fault::CredentialReplaced | Fault::CredentialReplacedByWrong => {
                let client = self.some_client(|plan| plan.has_credential)?;
                let is_right = fault == Fault::CredentialReplaced;
                let stored = self.new_credential(client, is_right);
                self.credential_stored(client, stored);
                if !is_right {
                    let pause = self.dice.seconds(60..rest.min(3 * 3600));
                    self.happens_in(pause, Happening::Credential(client));
                }
            }
            Fault::CredentialReplacedBehind => {
                let client = self.some_client(|plan| plan.has_credential)?;
                self.new_credential(client, true);
                self.oracle.trouble(at, client);
            }
            Fault::CredentialRemoved | Fault::CredentialRemovedBehind => {
                let client = self.some_client(|plan| plan.has_credential)?;
                let name = ClientName::new(&self.site.clients[client].name)?;
                let removed = self.store.remove(&name)?;
                self.oracle.credential_is_good(client, false);
                self.oracle.trouble(at, client);
                if fault == Fault::CredentialRemoved && self.engine.is_some() {
                    self.oracle.credential_removed(at, client, Some(removed.value));
                    self.tell(Event::CredentialsRemoved(name));
                }
                let pause = self.dice.seconds(60..rest.min(3 * 3600));
                self.happens_in(pause, Happening::Credential(client));
            }
            Fault::Restarted => return self.stop_daemon(true).then_some(()),
            Fault::Killed => return self.stop_daemon(false).then_some(()),
            Fault::KilledAndDamaged => {
                let is_stopped = self.stop_daemon(false);
                self.kept.damage();
                return is_stopped.then_some(());
            }
            Fault::KilledAndRolledBack => {
                let is_stopped = self.stop_daemon(false);
                self.kept.roll_back();
                return is_stopped.then_some(());
            }
            Fault::Rebooted => {
                let is_stopped = self.stop_daemon(self.clock.boot.is_multiple_of(2));
                self.clock.reboot();
                return is_stopped.then_some(());
            }
            Fault::ClientAdded => {
                let client = self.some_client(|plan| !plan.is_configured)?;
                self.site.clients[client].is_configured = true;
                self.reload();
            }
            Fault::ClientRemoved => {
                let client = self.some_client(|plan| plan.is_configured)?;
                self.site.clients[client].is_configured = false;
                self.reload();
                let pause = self.dice.seconds(60..rest);
                self.happens_in(pause, Happening::Incident(Fault::ClientAdded));
            }
            Fault::ClientChanged => {
                let client = self.some_client(|plan| plan.is_configured)?;
                let scope = &mut self.site.clients[client].scope;
                if scope.len() > 2 {
                    drop(scope.pop())
                } else {
                    scope.push(format!("more.{}", scope.len()))
                }
                self.reload();
            }
            Fault::ClientTuned => {
                let client = self.some_client(|plan| plan.is_configured)?;
                self.site.clients[client].renew_at = self.dice.pick(&[0.4, 0.5, 0.7, 0.8]);
                self.reload();
            }
            Fault::BudgetChanged => {
                let issuer = self.dice.index(self.site.issuers.len());
                self.site.issuers[issuer].max_in_flight = self.dice.pick(&[1, 2, 4, 8, 16]);
                self.site.issuers[issuer].max_per_second = self.dice.pick(&[0, 2, 5, 10, 20]);
                self.reload();
            }
            Fault::RejectedByMany => {
                let client = self.some_client(|plan| plan.is_configured)?;
                for _ in 0..self.dice.number(1..6) {
                    let pause = self.dice.seconds(0..900);
                    self.happens_in(pause, Happening::Rejected(client));
                }
                return None; // counted when there is something to reject
            }
            Fault::ManyNarrowings => {
                let client = self.some_client(|plan| plan.is_configured && plan.scope.len() >= 7)?;
                for _ in 0..100 {
                    let pause = self.dice.seconds(0..300);
                    self.happens_in(pause, Happening::Narrowed(client));
                }
            }
            Fault::Crowd => {
                let client = self.some_client(|plan| plan.is_configured)?;
                for _ in 0..self.dice.number(30..150) {
                    let wait = self.dice.millis(0..20_000);
                    self.get(client, Narrowing::default(), Duration::ZERO, wait);
                }
            }
            Fault::Renewed => {
                let client = self.some_client(|plan| plan.is_configured)?;
                let name = ClientName::new(&self.site.clients[client].name)?;
                self.engine.as_ref()?;
                let key = self.oracle.key_of(client, &Narrowing::default());
                self.sequence += 1;
                let deadline = at + Duration::from_secs(10);
                self.oracle.renewed(client);
                self.oracle.asked(at, self.sequence, client, key, Asking::Renewal, deadline);
                let (waiter, deadline) = (WaiterId(self.sequence), self.clock.moment(deadline));
                self.tell(Event::Renew { waiter, client: name, deadline });
            }
            _ => return None,
        }
        Some(())
    }

    fn set_wall_clock(&mut self, error: i64) {
        self.clock.set_wall(error);
        self.oracle.wall_clock_set(self.clock.at());
        self.tell(Event::WallClockSet);
    }

    /// Puts a credential into the key store: one that the server was told of, or not.
    fn new_credential(&mut self, client: usize, is_right: bool) -> Option<StoredCredential> {
        let plan = &mut self.site.clients[client];
        plan.has_credential = true;
        self.last_credential += 1;
        let value = format!("credential {}: ü+&%", self.last_credential);
        let server = &mut self.servers[plan.issuer];
        if is_right {
            server.accept(&plan.client_id, &value);
        }
        let kind = match plan.method {
            Method::Assertion => CredentialKind::PrivateKey,
            Method::Basic | Method::Post => CredentialKind::Secret,
        };
        let is_good = server.accepts(&plan.client_id, &value);
        let stored = self.store.set(&ClientName::new(&plan.name)?, kind, value);
        self.oracle.credential_is_good(client, is_good);
        Some(stored)
    }

    fn credential_stored(&mut self, client: usize, stored: Option<StoredCredential>) {
        self.oracle.trouble(self.clock.at(), client);
        let Some(stored) = stored.filter(|_| self.engine.is_some()) else { return };
        trace!(self, "{} is stored for {}", stored.version, stored.client);
        self.oracle.credential_stored(self.clock.at(), client);
        self.tell(Event::CredentialStored(stored));
    }
}
