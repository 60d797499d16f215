//! Random histories: whatever happens in whatever order, some things always hold.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::harness::*;
use crate::config::{Client, Config, Issuer};
use crate::engine::attempt::Stage;
use crate::engine::timers::Due;
use crate::engine::{Engine, Event, Operation, WaiterId};
use crate::time::Moment;

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A world, what may happen in it, and what was promised to whom.
struct History {
    world: World,
    random: StdRng,
    deadlines: HashMap<WaiterId, Moment>,
}

#[test]
fn whatever_happens_no_place_leaks_no_timer_stays_and_every_caller_is_answered_once_in_time() {
    for seed in 0..40 {
        let mut history = History::new(seed);
        for _ in 0..300 {
            history.something_happens();
            let pause = history.random.random_range(0..20_000);
            history.pass(Duration::from_millis(pause));
        }
        history.all_is_well_again();
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let requests = |seed| {
        let mut history = History::new(seed);
        for _ in 0..200 {
            history.something_happens();
            history.pass(seconds(5));
        }
        let requests = history.world.server.requests;
        requests.into_iter().map(|request| (request.at, request.client_id)).collect::<Vec<_>>()
    };
    assert_eq!(requests(1), requests(1));
    assert_ne!(requests(1), requests(2));
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let world = World::new(&random_config(&mut random));
        Self { world, random, deadlines: HashMap::new() }
    }

    fn something_happens(&mut self) {
        let client = NAMES[self.random.random_range(0..NAMES.len())];
        let wait = Duration::from_millis(self.random.random_range(0..15_000));
        match self.random.random_range(0..20) {
            0..5 => {
                let min_ttl = seconds(self.random.random_range(0..3) * 100);
                let waiter = self.world.get_with(client, min_ttl, wait);
                self.deadlines.insert(waiter, self.world.now.after(wait));
            }
            5 => {
                let waiter = self.world.renew(client);
                self.deadlines.insert(waiter, self.world.now.after(WAIT));
            }
            6 => self.a_caller_leaves(),
            7 => self.world.set_secret(client, "other"),
            8 => self.world.remove_credentials(client),
            9 => self.world.store.remove(client),
            10 => self.world.store.set_key(client),
            11 => {
                let config = random_config(&mut self.random);
                self.world.reload(&config);
            }
            12 => self.world.store.is_unavailable = self.random.random_bool(0.3),
            13 => {
                let latency = Duration::from_millis(self.random.random_range(0..4_000));
                self.world.server.latency = latency;
                self.world.store.latency = latency / 4;
            }
            14 => {
                self.world.suspend(minutes(self.random.random_range(0..90)));
                // Nobody was there to keep its deadline.
                let now = self.world.now;
                self.deadlines.values_mut().for_each(|deadline| *deadline = (*deadline).max(now));
            }
            15 | 16 => {
                let scopes = ["read", "write", "read write"];
                let scope = scopes[self.random.random_range(0..scopes.len())];
                if self.world.engine.slots().find(client).is_some() {
                    let waiter = self.world.get_scope(client, scope);
                    self.deadlines.insert(waiter, self.world.now.after(WAIT));
                }
            }
            17 => self.a_caller_rejects(client),
            18 => {
                self.world.server.ahead = Some(self.random.random_range(-300..300));
                self.world.server.reissues = self.random.random_bool(0.3);
            }
            _ => self.the_server_changes(),
        }
        self.check();
    }

    fn a_caller_rejects(&mut self, client: &str) {
        let Some(slot) = self.world.engine.slots().find(client) else { return };
        let handle = slot.handle() + self.random.random_range(0..3);
        let generation = slot.current(self.world.now).map_or(1, |token| token.generation);
        let waiter = self.world.reject(client, handle, generation);
        self.deadlines.insert(waiter, self.world.now.after(WAIT));
    }

    fn a_caller_leaves(&mut self) {
        let waiting = self.deadlines.keys().filter(|waiter| self.world.answer(**waiter).is_none());
        if let Some(waiter) = waiting.min().copied() {
            self.deadlines.remove(&waiter);
            self.world.happens(Event::Gone(waiter));
        }
    }

    fn the_server_changes(&mut self) {
        let replies = [
            Reply::Token(3600),
            Reply::Token(60),
            Reply::Token(1),
            Reply::Status(503),
            Reply::Later(429, "20".into()),
            Reply::Error("invalid_client"),
            Reply::Error("invalid_scope"),
            Reply::Unreachable,
            Reply::Hang,
        ];
        self.world.server.reply = replies[self.random.random_range(0..replies.len())].clone();
        let good = self.random.random_bool(0.5);
        let metadata = if good { Server::metadata("https://as.example/op") } else { Reply::Hang };
        self.world.server.metadata = vec![("/.well-known/oauth-authorization-server/", metadata)];
    }

    fn pass(&mut self, duration: Duration) {
        let end = self.world.now.after(duration);
        while self.world.step(end) {
            self.check();
        }
        self.world.now = end;
        self.check();
    }

    /// What holds at any time.
    fn check(&self) {
        self.check_gates();
        self.check_token_keys();
        self.check_callers();
        self.check_timers();
    }

    fn check_gates(&self) {
        let engine = &self.world.engine;
        for (name, issuer) in &engine.issuers {
            let count = |is_meant: fn(&Stage) -> bool| engine.tokens_of(name, is_meant).len();
            let queued = count(|stage| matches!(stage, Stage::Queued { .. }));
            let in_flight =
                count(|stage| !matches!(stage, Stage::Idle | Stage::Behind | Stage::Queued { .. }));
            assert_eq!(issuer.gate.queued(), queued, "queue of {name}");
            assert_eq!(issuer.gate.in_flight(), in_flight, "places at the gate of {name}");

            let ready = count(|stage| matches!(stage, Stage::Ready { .. }));
            assert_eq!(issuer.gate.ready(), ready, "requests that {name} may get");
            assert!(ready == 0 || issuer.opens.is_some(), "{ready} requests to {name} are never sent");

            let lets_in_later = issuer.is_being_discovered() || issuer.opens.is_some() || in_flight > 0;
            assert!(queued == 0 || lets_in_later, "{queued} wait at {name} for nothing");
            let discovering = count(|stage| matches!(stage, Stage::Discovering { .. }));
            assert!(discovering == 0 || issuer.is_being_discovered(), "{discovering} wait for no lookup");
        }
    }

    fn check_token_keys(&self) {
        let engine = &self.world.engine;
        let narrowed: usize = engine.clients.values().map(|client| client.narrowed.len()).sum();
        assert_eq!(engine.tokens.len(), engine.clients.len() + narrowed);
        for client in engine.clients.values() {
            let stages = || engine.tokens.range(client.handles()).map(|(_, token)| &token.stage);
            let behind = stages().any(|stage| matches!(stage, Stage::Behind));
            let ahead = stages().any(|stage| !matches!(stage, Stage::Idle | Stage::Behind));
            assert!(ahead || !behind, "somebody stays behind nobody");
        }
        for (handle, token) in &engine.tokens {
            let under_way = engine.operations.values().filter(|of| **of == Operation::Token(*handle)).count();
            let expected =
                matches!(token.stage, Stage::Loading | Stage::Signing { .. } | Stage::Sending { .. });
            assert_eq!(under_way, usize::from(expected), "one step at a time, and none forgotten");
            let is_idle = matches!(token.stage, Stage::Idle);
            assert!(!engine.has_begun() || is_idle == token.due.is_some(), "it is under way, or will be");
            let published = token.cell.current(self.world.now).map(|published| published.generation);
            assert_eq!(published, token.servable(self.world.now).map(|held| held.generation));
        }
    }

    fn check_callers(&self) {
        for (waiter, deadline) in &self.deadlines {
            let answered_at = self.world.answered_at(*waiter);
            assert!(answered_at.is_some() || self.world.now <= *deadline, "{waiter:?} waits for ever");
            assert!(answered_at.is_none_or(|at| at <= *deadline), "{waiter:?} was answered late");
        }
        let engine = &self.world.engine;
        let in_tokens: usize = engine.tokens.values().map(|token| token.waiters.len()).sum();
        assert_eq!(engine.waiters.len(), in_tokens);
    }

    fn check_timers(&self) {
        let is_the_stores = |due: &Due| matches!(due, Due::Inventory | Due::Loading | Due::Keeping);
        let timers = self.world.engine.timers.iter().filter(|(_, due)| !is_the_stores(due));
        assert_eq!(timers.cloned().collect::<BTreeSet<_>>(), self.deadlines_with_a_reason());
    }

    fn deadlines_with_a_reason(&self) -> BTreeSet<(Moment, Due)> {
        let Engine { tokens, waiters, issuers, .. } = &self.world.engine;
        let tokens = tokens.iter().filter_map(|(handle, token)| Some((token.due?, Due::Token(*handle))));
        let waiters = waiters.iter().map(|(id, waiter)| (waiter.deadline, Due::Waiter(*id)));
        let issuers =
            issuers.iter().filter_map(|(name, issuer)| Some((issuer.opens?, Due::Issuer(name.clone()))));
        tokens.chain(waiters).chain(issuers).collect()
    }

    /// When every fault is over, every client that has a credential gets its token, and nothing is left over.
    fn all_is_well_again(&mut self) {
        let config = config(NAMES.map(|name| client(name, &Arc::new(issuer()))));
        self.world.store.is_unavailable = false;
        self.world.server.latency = Duration::from_millis(50);
        self.world.server.reply = Reply::Token(3600);
        self.world.server.reissues = false;
        self.world.reload(&config);
        for name in NAMES {
            self.world.set_secret(name, "right");
        }
        self.pass(minutes(24 * 60));
        let engine = &self.world.engine;
        for name in NAMES {
            assert!(
                engine.slots().find(name).unwrap().current(self.world.now).is_some(),
                "{name} has a token"
            );
        }
        assert_eq!(engine.waiters.len(), 0);
        assert_eq!(engine.issuers["as"].gate.in_flight(), 0);
        assert_eq!(engine.issuers["as"].gate.queued(), 0);
        assert_eq!(engine.operations.len(), 0);
        assert_eq!(engine.timers.iter().count(), NAMES.len(), "{:?}", engine.timers);
    }
}

fn random_config(random: &mut StdRng) -> Config {
    let first = if random.random_bool(0.5) { issuer() } else { discovering() };
    let issuers = [
        Arc::new(Issuer { max_in_flight: random.random_range(1..4), ..first }),
        Arc::new(Issuer { name: "other".into(), max_per_second: 1, ..discovering() }),
    ];
    let mut clients = Vec::new();
    for name in NAMES {
        let issuer = &issuers[random.random_range(0..2)];
        let client = if random.random_bool(0.2) { key_client(name, issuer) } else { client(name, issuer) };
        if random.random_bool(0.8) {
            let scope = client.scope.clone().filter(|_| random.random_bool(0.8));
            clients.push(Client { scope, ..client });
        }
    }
    config(clients)
}
