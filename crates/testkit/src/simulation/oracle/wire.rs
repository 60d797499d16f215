//! What goes to servers and what comes back: flights, budgets, waits.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::clock::At;
use super::super::faults::Fault;
use super::super::network::{Later, Meaning};
use super::super::server::Asked;
use super::super::site::{DEFAULT_LIFETIME, IssuerPlan, MAX_LIFETIME};
use super::{Accepted, Invariant, NextModel, Oracle, ROUNDING, TokenModel, serve_until};

const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The documented ladders.
const AFTER_ACCEPTANCE: [Duration; 4] = [MINUTE, MINUTE.saturating_mul(5), MINUTE.saturating_mul(15), HOUR];
const NEVER_ACCEPTED: [Duration; 4] = [MINUTE, HOUR, HOUR, HOUR];

/// Requests of one token key after transient failures within ten minutes: waits are half a minute on average, so that
/// chance alone never makes so many.
const MOST_TRANSIENT: usize = 90;

const REISSUED: &str = "the same token was issued again";

/// One of so many renewals of a token key in a row comes before the last quarter of its time, or they are not spread. Chance alone
/// fails that once in 10^14.
const LONGEST_UNSPREAD: u32 = 24;

/// A server's date is not known any better than this.
const DATE_TOLERANCE: Duration = Duration::from_secs(15);

/// A request that takes longer keeps others of the same issuer from their turn; so do many that fail at once.
const HOLDS_UP: Duration = Duration::from_secs(2);

/// How long a changed limit or a slow key store may show on the wire: until all is through that had its turn before.
const AFTERGLOW: Duration = Duration::from_secs(25);

/// A request that was sent.
#[derive(Debug)]
pub(super) struct Wire {
    /// `None`: for metadata.
    key: Option<usize>,
    pub(super) issuer: usize,
    sent: At,
    credential: Option<String>,
    shown: String,
    pub(super) is_given_up: bool,
}

/// The last token of a token key.
#[derive(Debug)]
pub(super) struct Success {
    sent: At,
    lifetime: Duration,
    renew_at: f64,
    /// A caller wanted more time than was left.
    pub(super) more_wanted: bool,
    /// A caller said that it was refused: when it could be renewed for that reason.
    pub(super) rejected: Option<At>,
}

/// An issuer's budget as seen on the wire.
#[derive(Debug)]
pub(super) struct IssuerModel {
    pub(super) name: &'static str,
    max_in_flight: usize,
    max_per_second: u32,
    /// Until when an earlier, larger budget may show.
    relaxed_until: At,
    pub(super) in_flight: usize,
    /// When requests were sent within the last second.
    recent: VecDeque<At>,
    pub(super) busiest_second: usize,
    metadata_in_flight: usize,
    pub(super) metadata_after: Option<At>,
}

impl IssuerModel {
    pub(super) fn new(plan: &IssuerPlan) -> Self {
        Self {
            name: plan.name,
            max_in_flight: plan.max_in_flight,
            max_per_second: plan.max_per_second,
            relaxed_until: At::ZERO,
            in_flight: 0,
            recent: VecDeque::new(),
            busiest_second: 0,
            metadata_in_flight: 0,
            metadata_after: None,
        }
    }

    pub(super) fn forget(&mut self) {
        self.in_flight = 0;
        self.recent.clear();
        self.metadata_in_flight = 0;
        self.metadata_after = None;
    }

    pub(super) fn configured(&mut self, at: At, plan: &IssuerPlan) {
        let limits = (plan.max_in_flight, plan.max_per_second);
        if limits != (self.max_in_flight, self.max_per_second) {
            (self.max_in_flight, self.max_per_second) = limits;
            self.relaxed_until = at + AFTERGLOW;
            self.metadata_after = None;
        }
    }
}

impl Oracle {
    /// For a while turns that were given may show late on the wire: the key store was slow, or discovery was.
    pub(crate) fn turns_show_late(&mut self, at: At) {
        for issuer in &mut self.issuers {
            issuer.relaxed_until = issuer.relaxed_until.max(at + AFTERGLOW);
        }
    }

    /// The most token requests that any second saw since the last time this was asked.
    pub(crate) fn busiest_second(&mut self, issuer: usize) -> usize {
        std::mem::take(&mut self.issuers[issuer].busiest_second)
    }

    /// A token request goes out.
    pub(crate) fn token_request_sent(&mut self, at: At, wire: u64, issuer: usize, asked: &Asked) {
        let Some(&client) = self.by_id.get(&asked.client_id) else {
            return self.fail(Invariant::WellFormed, None, format!("nobody is {}", asked.client_id));
        };
        let key = self.key(client, asked.key.clone());
        self.check_flight(at, client, key);
        self.check_budget(at, issuer);
        self.check_waits(at, client, key, &asked.shown);
        self.check_credential(at, client, &asked.shown);
        self.check_renewal(at, client, key);
        self.keys[key].in_flight.push(wire);
        let credential = asked.credential.as_ref().ok().cloned();
        let shown = asked.shown.clone();
        let wire_model = Wire { key: Some(key), issuer, sent: at, credential, shown, is_given_up: false };
        self.wires.insert(wire, wire_model);
    }

    /// A next credential is tried in its own time, and the one before it never again once its place was taken.
    fn check_credential(&mut self, at: At, client: usize, shown: &str) {
        let model = &self.clients[client];
        if model.retired.contains(shown) {
            return self.fail(
                Invariant::Policy,
                Some(client),
                "a credential was used whose place was taken".into(),
            );
        }
        // Where the one in use is refused, there is nothing better to try.
        let next = model.next.as_ref().filter(|next| next.value == shown && model.refused == 0);
        if let Some(until) = next.and_then(|next| next.refused_until).filter(|until| at + ROUNDING < *until) {
            let message = format!("{:?} too early after a failure with its next credential", until - at);
            self.fail(Invariant::Policy, Some(client), message);
        }
    }

    fn check_flight(&mut self, at: At, client: usize, key: usize) {
        let other = self.keys[key].in_flight.first().and_then(|wire| self.wires.get(wire));
        if let Some(other) = other {
            let message = format!("another request has been in flight for {:?}", at - other.sent);
            self.fail(Invariant::SingleFlight, Some(client), message);
        }
    }

    fn check_budget(&mut self, at: At, issuer: usize) {
        let model = &mut self.issuers[issuer];
        model.in_flight += 1;
        while model.recent.front().is_some_and(|sent| *sent + SECOND <= at) {
            model.recent.pop_front();
        }
        model.recent.push_back(at);
        model.busiest_second = model.busiest_second.max(model.recent.len());
        let is_busy =
            model.max_per_second > 0 && model.recent.len() * 10 >= model.max_per_second as usize * 8;
        if is_busy {
            self.trouble_issuer(at, issuer);
        }
        let model = &self.issuers[issuer];
        if at < model.relaxed_until {
            return;
        }
        let (in_flight, most_in_flight) = (model.in_flight, model.max_in_flight);
        // A tenth more; and a window may cut through the few milliseconds between a turn and its request.
        let most = (model.max_per_second as f64 * 1.1).ceil() as usize + 1;
        let within = model.recent.len();
        if in_flight > most_in_flight {
            let message =
                format!("{in_flight} requests are in flight at {}, of {most_in_flight}", model.name);
            self.fail(Invariant::Budget, None, message);
        } else if model.max_per_second > 0 && within > most {
            let message =
                format!("{within} requests within a second at {}, of {}", model.name, model.max_per_second);
            self.fail(Invariant::Budget, None, message);
        }
    }

    /// What a failure before asked for.
    fn check_waits(&mut self, at: At, client: usize, key: usize, shown: &str) {
        let may_be_forgotten = !self.is_kept_warm(client, Some(key));
        let is_narrowed = self.clients[client].key != Some(key);
        let model = &mut self.keys[key];
        if model.earliest.is_some_and(|(until, why)| {
            // One that nobody asked for when it was due may have been forgotten, with the refusals before.
            is_narrowed && (until + SECOND < at || (may_be_forgotten && why == REISSUED))
        }) {
            (model.refused, model.earliest) = (0, None);
        }
        let too_early = |until: At| at + ROUNDING < until;
        if let Some(until) = model.retry_after.filter(|until| too_early(*until)) {
            let message = format!("the server was to be left alone for {:?} more", until - at);
            return self.fail(Invariant::RetryAfter, Some(client), message);
        }
        if let Some((until, why)) = model.earliest.filter(|(until, _)| too_early(*until)) {
            let message = format!("{:?} too early after {why}", until - at);
            return self.fail(Invariant::Policy, Some(client), message);
        }
        if model.after_transient {
            model.transient.push_back(at);
            while model.transient.front().is_some_and(|sent| *sent + 10 * MINUTE <= at) {
                model.transient.pop_front();
            }
            let tries = model.transient.len();
            if tries > MOST_TRANSIENT {
                let message = format!("{tries} tries after transient failures in ten minutes");
                return self.fail(Invariant::Policy, Some(client), message);
            }
        }
        // A next credential that was never refused is not kept waiting by refusals of the one in use.
        let is_unrefused = |next: &NextModel| next.value == shown && next.refused == 0;
        let tries_next = self.clients[client].next.as_ref().is_some_and(is_unrefused);
        let refused_until = self.clients[client].refused_until.filter(|_| !tries_next);
        if let Some(until) = refused_until.filter(|until| too_early(*until)) {
            let refused = self.clients[client].refused;
            let message =
                format!("{:?} too early after refusal number {refused} of its credential", until - at);
            self.fail(Invariant::Policy, Some(client), message);
        }
    }

    /// What the token before has to say about the time of its renewal.
    fn check_renewal(&mut self, at: At, client: usize, key: usize) {
        if !self.is_kept_warm(client, Some(key)) {
            return; // it may have made room for another, and be new
        }
        let Some(success) = &self.keys[key].success else { return };
        let (age, lifetime) = (at - success.sent, success.lifetime);
        let is_short = lifetime < MINUTE;
        let latest = if is_short { success.renew_at.min(0.5) } else { success.renew_at };
        let earliest = if is_short { latest } else { latest - 0.1 };
        if age + ROUNDING >= lifetime.mul_f64(earliest.max(0.0)) {
            let part = age.as_secs_f64() / lifetime.as_secs_f64();
            let in_last_part = (latest - 0.025..latest + 0.005).contains(&part);
            let is_ordinary = lifetime >= 10 * MINUTE && !success.more_wanted && success.rejected.is_none();
            let unspread = &mut self.keys[key].unspread;
            if is_ordinary {
                *unspread = if in_last_part { *unspread + 1 } else { 0 };
            }
            let in_a_row = *unspread;
            if in_a_row > LONGEST_UNSPREAD {
                let message = format!("{in_a_row} renewals in a row at the same part of the lifetime");
                self.fail(Invariant::Spread, Some(client), message);
            }
            return;
        }
        if success.more_wanted && age + ROUNDING >= (lifetime / 10).max(SECOND) {
            return;
        }
        let message = format!("renewed {age:?} into a lifetime of {lifetime:?}");
        match success.rejected {
            None => self.fail(Invariant::Policy, Some(client), message),
            Some(planned) if at + ROUNDING < planned => {
                self.fail(Invariant::Policy, Some(client), format!("{message}, rejected again and again"));
            }
            Some(planned) => self.keys[key].last_rejection = Some(planned),
        }
    }

    /// A request for metadata goes out.
    pub(crate) fn metadata_request_sent(&mut self, at: At, wire: u64, issuer: usize) {
        let model = &mut self.issuers[issuer];
        model.metadata_in_flight += 1;
        let (in_flight, after, name) = (model.metadata_in_flight, model.metadata_after, model.name);
        if in_flight > 1 {
            self.fail(Invariant::SingleFlight, None, format!("{in_flight} look-ups of {name} are in flight"));
        }
        if let Some(until) = after.filter(|until| at + ROUNDING < *until) {
            let message = format!("{name} was to be left alone for {:?} more", until - at);
            self.fail(Invariant::RetryAfter, None, message);
        }
        let shown = String::new();
        let wire_model = Wire { key: None, issuer, sent: at, credential: None, shown, is_given_up: false };
        self.wires.insert(wire, wire_model);
    }

    /// The reply to a request for metadata arrives.
    pub(crate) fn metadata_arrives(&mut self, at: At, wire: u64, found: bool, later: Option<Later>) {
        let Some(wire) = self.wires.remove(&wire) else { return };
        let model = &mut self.issuers[wire.issuer];
        model.metadata_in_flight -= 1;
        model.metadata_after = later.map(|later| at + later.wait(at, wire.sent).min(HOUR));
        self.turns_show_late(at);
        if !found {
            self.trouble_issuer(at, wire.issuer);
        }
    }

    /// The reply to a token request arrives. Nothing was said of it to the engine yet.
    pub(crate) fn token_reply_arrives(
        &mut self,
        at: At,
        wire: u64,
        meaning: &Meaning,
        later: Option<Later>,
        fault: Option<Fault>,
    ) {
        let Some(wire_model) = self.wires.remove(&wire) else { return };
        let Some(key) = wire_model.key.filter(|_| !wire_model.is_given_up) else { return };
        let client = self.keys[key].client;
        self.concerned.push(client);
        self.issuers[wire_model.issuer].in_flight -= 1;
        self.keys[key].in_flight.retain(|other| *other != wire);
        if fault.is_some() || !matches!(meaning, Meaning::Token { .. }) {
            self.trouble(at, client);
        }
        let sent = wire_model.sent;
        if at - sent > HOLDS_UP || fault == Some(Fault::IssuerOutage) {
            self.trouble_issuer(at, wire_model.issuer);
        }
        match meaning {
            Meaning::Token { token, lifetime } => {
                self.token_arrives(at, key, &wire_model, token, *lifetime);
            }
            Meaning::Transient => {
                let wait = later.map(|later| later.wait(at, sent));
                let is_next = self.is_next(client, &wire_model.shown);
                if is_next {
                    self.hold_next_back(at, client, wait);
                }
                self.transient_failure(at, key, wait);
                self.keys[key].fell_back = is_next;
            }
            // Whatever is refused with it: the one in use may do better.
            Meaning::Credential { .. } | Meaning::Request if self.is_next(client, &wire_model.shown) => {
                self.next_refused(at, client, key);
            }
            Meaning::Credential { .. } | Meaning::Request
                if self.is_outdated(client, sent, &wire_model.shown) =>
            {
                self.keys[key].fell_back = false;
            }
            Meaning::Credential { .. } if self.tries_next_instead(client, key) => {}
            Meaning::Credential { dated_off } => self.credential_refused(at, client, sent, *dated_off),
            Meaning::Request => {
                if std::mem::take(&mut self.keys[key].fell_back) {
                    // The same was said of both, perhaps, which says nothing about either.
                    self.clients[client].forget_next_refusals();
                }
                let ladder = self.ladder(client);
                let may_be_forgotten = !self.is_kept_warm(client, Some(key));
                let model = &mut self.keys[key];
                model.refused = if may_be_forgotten { 0 } else { model.refused };
                let wait = ladder[model.refused.min(ladder.len() - 1)];
                model.refused += 1;
                model.success = None;
                model.earliest = Some((at + wait, "a refusal of the request"));
            }
        }
        if sent <= self.clients[client].changed {
            // What came of it says nothing about what is there now, which is tried at once.
            self.clients[client].forget_refusals();
            self.keys[key].forget();
        }
    }

    fn token_arrives(&mut self, at: At, key: usize, wire: &Wire, token: &str, lifetime: Option<u64>) {
        let lifetime = Duration::from_secs(lifetime.unwrap_or(DEFAULT_LIFETIME).min(MAX_LIFETIME));
        let expires = wire.sent + lifetime;
        let until = serve_until(expires, lifetime);
        let client = self.keys[key].client;
        let Some(credential) = wire.credential.clone() else { return };
        self.clients[client].accepted = Accepted::This(credential.clone());
        self.clients[client].accepted_at = at;
        self.keys[key].fell_back = false;
        if self.is_next(client, &credential) {
            self.clients[client].next = None;
        }
        self.clients[client].forget_refusals();
        if until <= at {
            return self.transient_failure(at, key, None);
        }
        let new = TokenModel { key, credential: String::new(), serve_until: until };
        let was_issued_before = self.tokens.contains_key(token);
        let known = self.tokens.entry(token.to_owned()).or_insert(new);
        known.credential = credential; // a server may issue the same one for another credential
        known.serve_until = known.serve_until.max(until);
        let renew_at = self.clients[client].config.as_ref().map_or(0.0, |config| config.renew_at);
        let model = &mut self.keys[key];
        let was_rejected = model.success.as_ref().is_some_and(|success| success.rejected.is_some());
        let last_rejection = model.last_rejection.filter(|_| was_rejected);
        let must = model.must.take().filter(|(_, until)| at < *until);
        model.forget();
        model.last_rejection = last_rejection;
        model.is_believed = false;
        match must {
            Some((held, must_until)) if held == token => {
                let lives_until = expires.saturating_sub(Duration::from_secs(5));
                model.must = Some((held, must_until.min(lives_until)));
                model.earliest = Some((at + Duration::from_secs(5), REISSUED));
            }
            _ => {
                // The last seconds of a token are not given to callers, and it may be longer-lived than the reply says now.
                let must_until =
                    if was_issued_before { expires.saturating_sub(Duration::from_secs(5)) } else { until };
                model.must = (at < must_until).then(|| (token.to_owned(), must_until));
                let sent = wire.sent;
                model.success =
                    Some(Success { sent, lifetime, renew_at, more_wanted: false, rejected: None });
            }
        }
    }

    fn transient_failure(&mut self, at: At, key: usize, wait: Option<Duration>) {
        let model = &mut self.keys[key];
        model.success = None;
        model.after_transient = true;
        model.earliest = Some((at + Duration::from_millis(100), "a transient failure"));
        model.retry_after = wait.map(|wait| at + wait.min(HOUR));
    }

    fn credential_refused(&mut self, at: At, client: usize, sent: At, dated_off: Option<i64>) {
        let ladder = self.ladder(client);
        for key in self.keys.iter_mut().filter(|key| key.client == client) {
            key.success = None;
        }
        let model = &mut self.clients[client];
        let wait = ladder[model.refused.saturating_sub(1).min(ladder.len() - 1)];
        let is_same_news = model.refused > 0 && sent < model.refused_at && at < model.refused_at + wait;
        if is_same_news {
            return;
        }
        model.refused += 1;
        model.refused_at = at;
        // The first refusal of an assertion may have told the server's time: then one more is tried at once.
        let told_the_time = model.refused == 1 && dated_off.is_some_and(|off| off.abs() >= 8);
        let wait = ladder[(model.refused - 1).min(ladder.len() - 1)];
        model.refused_until = (!told_the_time).then_some(at + wait);
    }

    fn is_next(&self, client: usize, shown: &str) -> bool {
        self.clients[client].next.as_ref().is_some_and(|next| next.value == shown)
    }

    /// A failure that passes by itself: what follows does not depend on it.
    fn hold_next_back(&mut self, at: At, client: usize, wait: Option<Duration>) {
        let Some(next) = &mut self.clients[client].next else { return };
        let until = at + wait.unwrap_or_default().clamp(MINUTE, HOUR);
        next.refused_until = next.refused_until.max(Some(until));
    }

    /// Another credential was accepted since this was sent.
    fn is_outdated(&self, client: usize, sent: At, shown: &str) -> bool {
        let model = &self.clients[client];
        let is_other = matches!(&model.accepted, Accepted::This(accepted) if accepted != shown);
        is_other && sent < model.accepted_at
    }

    /// The one in use is refused for the first time: the next one may be tried at once, if it was not just now.
    fn tries_next_instead(&mut self, client: usize, key: usize) -> bool {
        let fell_back = std::mem::take(&mut self.keys[key].fell_back);
        let model = &mut self.clients[client];
        let tries_next = !fell_back && model.refused == 0 && model.next.is_some();
        if tries_next {
            model.forget_next_refusals();
            self.keys[key].success = None;
        }
        tries_next
    }

    /// The one in use is tried at once.
    fn next_refused(&mut self, at: At, client: usize, key: usize) {
        self.keys[key].success = None;
        self.keys[key].fell_back = true;
        let Some(next) = &mut self.clients[client].next else { return };
        let wait = NEVER_ACCEPTED[next.refused.min(NEVER_ACCEPTED.len() - 1)];
        next.refused += 1;
        next.refused_until = Some(at + wait);
    }

    fn ladder(&self, client: usize) -> &'static [Duration; 4] {
        match &self.clients[client].accepted {
            Accepted::Nothing => &NEVER_ACCEPTED,
            Accepted::This(_) | Accepted::Unknown => &AFTER_ACCEPTANCE,
        }
    }
}

impl Later {
    /// How long a reply that arrives now asks to wait, at least.
    fn wait(self, at: At, sent: At) -> Duration {
        match self {
            Self::In(seconds) => Duration::from_secs(seconds),
            // Counted from the reply; our idea of the server's clock may be off by a little.
            Self::AtDateIn(seconds) if at - sent < Duration::from_secs(4) => {
                Duration::from_secs(seconds).saturating_sub(DATE_TOLERANCE)
            }
            Self::AtDateIn(_) => Duration::ZERO,
        }
    }
}
