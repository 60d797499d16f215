//! What the daemon wants done, and what comes back.

use std::time::Duration;

use tokenbroker_core::engine::{Effect, Engine, Event, KeyStoreFailure, Note, OperationId};
use tokenbroker_oauth::{HttpRequest, Method as Verb};

use super::super::clock::Clock;
use super::super::dice::Dice;
use super::super::faults::Fault;
use super::super::network::{Exchange, Later, Meaning};
use super::super::oracle::{Asking, Invariant, serve_until};
use super::super::server::Server;
use super::super::site::Site;
use super::{CORRECTABLE, KEPT_COUNTS, Return, SOON, World};

impl World {
    pub(super) fn carry_out_effects(&mut self) {
        while let Some(effect) = self.engine.as_mut().and_then(Engine::poll_effect) {
            self.carry_out(effect);
        }
    }

    pub(super) fn carry_out(&mut self, effect: Effect) {
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
            // Nobody watches here.
            Effect::Published { .. } => {}
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
            Effect::Promote { client: name, version } => {
                let (pause, outcome) = self.call_store();
                if outcome.is_ok()
                    && let Some(retired) = self.store.promote(&name, &version)
                    && let Some(client) = self.oracle.client_named(&name)
                {
                    self.oracle.promoted(client, retired.value);
                }
                self.returns_in(pause, Return::Promoted(name, outcome));
            }
            Effect::LoadCredential { operation, client: name, .. } => {
                let (pause, outcome) = self.call_store();
                let Some(client) = self.oracle.client_named(&name) else { return };
                let result = outcome.map(|()| self.store.load(&name));
                let changes = self.oracle.changes(client);
                self.returns_in(pause, Return::Loaded { operation, client, changes, result });
            }
            Effect::Sign { operation, client, version, input, .. }
            | Effect::Mac { operation, client, version, input, .. } => {
                let (pause, outcome) = self.call_store();
                let result = outcome.and_then(|()| self.store.sign(&client, &version, input.expose()));
                self.returns_in(pause, Return::Signed(operation, result));
            }
            Effect::Send { operation, issuer, request, .. } => {
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

    pub(super) fn note(&mut self, note: &Note) {
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

    pub(super) fn call_store(&mut self) -> (Duration, Result<(), KeyStoreFailure>) {
        let at = self.clock.at();
        let (pause, outcome, fault) = self.store.call(at);
        if let Some(fault) = fault {
            self.hits.count(fault);
            self.oracle.turns_show_late(at);
            self.oracle.trouble_everybody(at + pause);
        }
        (pause, outcome)
    }

    pub(super) fn exchange<'a>(
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

    pub(super) fn ask_for_metadata(&mut self, operation: OperationId, issuer: usize, request: &HttpRequest) {
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

    pub(super) fn ask_for_token(&mut self, operation: OperationId, issuer: usize, request: &HttpRequest) {
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

    pub(super) fn returned(&mut self, what: Return) {
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
                    self.oracle.credential_removed(at, client, []);
                }
                self.tell(Event::Credential { operation, result });
            }
            Return::Promoted(client, result) => self.tell(Event::Promoted { client, result }),
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
    pub(super) fn expect_restored(&mut self) {
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
}
