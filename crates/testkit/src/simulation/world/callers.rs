//! Callers: who comes, what they ask for, and what they say of tokens.

use std::time::Duration;

use tokenbroker_core::config::ClientName;
use tokenbroker_core::engine::{Event, Granted, WaiterId};
use tokenbroker_core::narrowing::Narrowing;

use super::super::faults::Fault;
use super::super::oracle::Asking;
use super::{Happening, World};

impl World {
    pub(super) fn caller_comes(&mut self) {
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
    pub(super) fn some_narrowing(&mut self, client: usize) -> Option<Narrowing> {
        let config = self.config.clients.get(self.site.clients[client].name.as_str())?;
        let scope = config.scope.as_ref()?;
        let words: Vec<&str> = scope.iter().filter(|_| self.dice.chance(0.5)).collect();
        Narrowing::of(config, Some(&words.join(" ")), &[], None).ok()
    }

    /// A caller asks as sessions do: the slot first, the engine if there is nothing in it that will do.
    pub(super) fn get(&mut self, client: usize, narrowing: Narrowing, min_ttl: Duration, wait: Duration) {
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

    pub(super) fn rejected_by_many(&mut self, client: usize) {
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
}
