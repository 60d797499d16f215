//! What must hold, judged from outside: by what was sent, what servers issued, and what callers were answered.
//!
//! It knows the documented policy and nothing of how the engine keeps it. Every bound is the policy's own; where the
//! policy leaves something to chance, the bound is what no chance can pass.
//!
//! - `wire`: what goes to servers, and what comes back
//! - `serving`: what callers get, and what they must get

mod serving;
mod wire;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokenbroker_core::config::{Client, ClientName, Config};
use tokenbroker_core::engine::{Engine, MAX_NARROWED};
use tokenbroker_core::narrowing::Narrowing;
use tokenbroker_core::slots::{Published, Slot, Slots};

pub(crate) use self::serving::{Asking, Waiting};

use self::wire::{IssuerModel, Success, Wire};
use super::clock::At;
use super::server::token_key;
use super::site::Site;

/// Rounding of times on their way through floating point.
const ROUNDING: Duration = Duration::from_millis(5);

/// A client that nothing has stood in the way of for so long has a token: the longest wait of any ladder, and of any
/// Retry-After, is an hour.
const LONGEST_RECOVERY: Duration = Duration::from_secs(70 * 60);

/// What must hold at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// No token is given out that expired, or is about to.
    NoExpiredToken,
    /// No token is given out that is not the client's, or was got with a credential that is gone.
    NoForeignToken,
    /// A valid token is never withheld.
    NeverWithheld,
    /// At most one request is in flight for a token key.
    SingleFlight,
    /// No more requests are in flight, or start in a second, than the issuer's budget has.
    Budget,
    /// What a server asks for with Retry-After is kept.
    RetryAfter,
    /// Nothing is renewed or tried again more often than the policy has it.
    Policy,
    /// Renewals are spread.
    Spread,
    /// A server understands what is sent, and nothing is sent twice.
    WellFormed,
    /// No client starves.
    NoStarvation,
    /// Every caller that waits is answered once, by its deadline.
    Answered,
    /// Generations only grow.
    Generations,
    /// What is held is bounded by what is configured and who waits.
    Memory,
    /// The status says what is so.
    Status,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoExpiredToken => "no expired token is handed out",
            Self::NoForeignToken => "no token is handed out that is not the client's",
            Self::NeverWithheld => "a valid token is never withheld",
            Self::SingleFlight => "at most one request is in flight per token key",
            Self::Budget => "budgets are kept",
            Self::RetryAfter => "Retry-After is kept",
            Self::Policy => "nothing is renewed more often than policy allows",
            Self::Spread => "renewals are spread",
            Self::WellFormed => "requests are well-formed and never repeated",
            Self::NoStarvation => "no client starves",
            Self::Answered => "every waiter gets one answer by its deadline",
            Self::Generations => "generations only grow",
            Self::Memory => "memory is bounded",
            Self::Status => "the status says what is so",
        })
    }
}

/// An invariant that did not hold.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) invariant: Invariant,
    pub(crate) client: Option<String>,
    pub(crate) message: String,
}

/// All that is known from outside.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    clients: Vec<ClientModel>,
    by_name: HashMap<ClientName, usize>,
    by_id: HashMap<String, usize>,
    keys: Vec<KeyModel>,
    key_index: HashMap<Rc<str>, usize>,
    issuers: Vec<IssuerModel>,
    tokens: HashMap<String, TokenModel>,
    /// The last generation of each handle, and its token, within a daemon's life.
    generations: HashMap<u64, (u64, String)>,
    waiting: HashMap<u64, Waiting>,
    deadlines: BTreeSet<(At, u64)>,
    wires: HashMap<u64, Wire>,
    last_sweep: Option<At>,
    /// The clients that the last step concerned.
    concerned: Vec<usize>,
    violation: Option<Violation>,
}

#[derive(Debug)]
struct ClientModel {
    name: String,
    config: Option<Arc<Client>>,
    slot: Option<Arc<Slot>>,
    /// The token key that is configured.
    key: Option<usize>,
    /// All its token keys that were asked for in this daemon's life.
    asked_for: BTreeSet<usize>,
    /// Whether the key store holds a credential that the server takes.
    is_good: bool,
    /// The last time that anything stood in its way.
    troubled: At,
    /// The last time its credential or configuration changed; what is under way then says nothing afterwards.
    changed: At,
    /// How often that happened.
    changes: u64,
    /// The credentials that it had and that were taken from it.
    removed: HashSet<String>,
    /// The last credential that got a token; `None` where that is not known.
    accepted: Accepted,
    accepted_at: At,
    /// Refusals of its credential in a row, when the last one came and until when it counts.
    refused: usize,
    refused_at: At,
    refused_until: Option<At>,
    /// The credential that is to take the place of the one in use.
    next: Option<NextModel>,
    /// Its credential is another than the broker may think.
    replaced_behind: bool,
    /// The credentials whose place was taken.
    retired: HashSet<String>,
    /// What its slot was seen to hold last.
    seen: Option<(Arc<Published>, At)>,
}

/// A credential that is tried before the one in use: it has a ladder of its own.
#[derive(Debug, Default)]
struct NextModel {
    value: String,
    refused: usize,
    refused_until: Option<At>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Accepted {
    Nothing,
    This(String),
    /// By an earlier daemon, perhaps.
    Unknown,
}

#[derive(Debug)]
struct KeyModel {
    client: usize,
    /// Requests that were sent, and not given up.
    in_flight: Vec<u64>,
    /// The token that must be served, and until when.
    must: Option<(String, At)>,
    /// Its end is known by the wall clock only.
    is_believed: bool,
    success: Option<Success>,
    /// No request before this, and why.
    earliest: Option<(At, &'static str)>,
    retry_after: Option<At>,
    /// Refusals in a row of what is asked for.
    refused: usize,
    /// When it was tried after transient failures.
    transient: VecDeque<At>,
    after_transient: bool,
    last_rejection: Option<At>,
    /// What was sent last was sent with the next credential, and failed: what follows is sent with the one in use.
    fell_back: bool,
    /// How many renewals in a row came at the very latest time that the policy has for them.
    unspread: u32,
}

/// A token that some server issued and whose reply arrived.
#[derive(Debug)]
struct TokenModel {
    key: usize,
    credential: String,
    serve_until: At,
}

/// Until when a token may be given to callers: the documented margin before its end.
pub(crate) fn serve_until(expires: At, lifetime: Duration) -> At {
    expires.saturating_sub(Duration::from_secs(5).min(lifetime / 10))
}

impl Oracle {
    pub(crate) fn new(site: &Site) -> Self {
        let clients = site.clients.iter().map(|plan| ClientModel {
            name: plan.name.clone(),
            config: None,
            slot: None,
            key: None,
            asked_for: BTreeSet::new(),
            is_good: false,
            troubled: At::ZERO,
            changed: At::ZERO,
            changes: 0,
            removed: HashSet::new(),
            accepted: Accepted::Nothing,
            accepted_at: At::ZERO,
            refused: 0,
            refused_at: At::ZERO,
            refused_until: None,
            next: None,
            replaced_behind: false,
            retired: HashSet::new(),
            seen: None,
        });
        let by_name = site.clients.iter().enumerate();
        let by_id = by_name.clone();
        Self {
            clients: clients.collect(),
            by_name: by_name
                .filter_map(|(index, plan)| Some((ClientName::new(&plan.name)?, index)))
                .collect(),
            by_id: by_id.map(|(index, plan)| (plan.client_id.clone(), index)).collect(),
            issuers: site.issuers.iter().map(IssuerModel::new).collect(),
            ..Self::default()
        }
    }

    pub(crate) fn take_violation(&mut self) -> Option<Violation> {
        self.violation.take()
    }

    pub(crate) fn fail(&mut self, invariant: Invariant, client: Option<usize>, message: String) {
        let client = client.map(|client| self.clients[client].name.clone());
        self.violation.get_or_insert(Violation { invariant, client, message });
    }

    fn key(&mut self, client: usize, identity: Rc<str>) -> usize {
        if let Some(key) = self.key_index.get(&identity) {
            return *key;
        }
        let key = self.keys.len();
        self.keys.push(KeyModel {
            client,
            in_flight: Vec::new(),
            must: None,
            is_believed: false,
            success: None,
            earliest: None,
            retry_after: None,
            refused: 0,
            transient: VecDeque::new(),
            after_transient: false,
            last_rejection: None,
            fell_back: false,
            unspread: 0,
        });
        self.key_index.insert(identity, key);
        key
    }

    /// The token key that a caller asks for.
    pub(crate) fn key_of(&mut self, client: usize, narrowing: &Narrowing) -> Option<usize> {
        let model = &self.clients[client];
        if narrowing.is_as_configured() {
            return model.key;
        }
        let config = model.config.as_ref()?.narrowed(narrowing);
        let key = self.key(client, identity(&config));
        self.clients[client].asked_for.insert(key);
        Some(key)
    }

    /// A daemon starts: it knows nothing, and nothing is asked of it yet.
    pub(crate) fn daemon_started(&mut self, at: At, knows_something: bool) {
        self.generations.clear();
        self.waiting.clear();
        self.deadlines.clear();
        self.wires.clear();
        for key in &mut self.keys {
            key.forget();
            key.in_flight.clear();
            key.must = None;
        }
        for client in &mut self.clients {
            client.forget_refusals();
            client.forget_next_refusals();
            client.troubled = at;
            client.changed = at;
            client.accepted = if knows_something { Accepted::Unknown } else { Accepted::Nothing };
            client.asked_for.clear();
            client.slot = None;
            client.seen = None;
        }
        self.issuers.iter_mut().for_each(IssuerModel::forget);
    }

    /// A configuration counts from now on.
    pub(crate) fn configured(&mut self, at: At, site: &Site, config: &Config, slots: &Slots) {
        for index in 0..self.clients.len() {
            let name = self.clients[index].name.clone();
            let new = config.clients.get(name.as_str()).cloned();
            let key = new.as_ref().map(|client| self.key(index, identity(client)));
            let client = &mut self.clients[index];
            client.slot = slots.find(&name);
            if client.config == new {
                continue;
            }
            let is_another = client.key != key;
            let was_known = client.config.is_some();
            (client.config, client.key) = (new, key);
            self.client_changed(at, index);
            if is_another || !was_known {
                self.give_up(index);
            }
            self.clients[index].forget_next_refusals();
        }
        for (model, plan) in self.issuers.iter_mut().zip(&site.issuers) {
            model.configured(at, plan);
        }
    }

    /// Its credential or configuration is another: what failed before may work now.
    pub(crate) fn client_changed(&mut self, at: At, client: usize) {
        let model = &mut self.clients[client];
        model.forget_refusals();
        (model.troubled, model.changed) = (at, at);
        model.replaced_behind = false;
        model.changes += 1;
        self.concerned.push(client);
        self.keys.iter_mut().filter(|key| key.client == client).for_each(KeyModel::forget);
    }

    /// Its tokens are dropped, and what is under way for it is given up.
    fn give_up(&mut self, client: usize) {
        for key in self.keys.iter_mut().filter(|key| key.client == client) {
            key.must = None;
            for wire in key.in_flight.drain(..) {
                if let Some(wire) = self.wires.get_mut(&wire) {
                    wire.is_given_up = true;
                    self.issuers[wire.issuer].in_flight -= 1;
                }
            }
        }
        self.clients[client].asked_for.clear();
        self.clients[client].seen = None;
    }

    /// A credential was stored through the broker.
    pub(crate) fn credential_stored(&mut self, at: At, client: usize) {
        self.client_changed(at, client);
        self.clients[client].accepted = Accepted::Nothing;
    }

    /// Its credential is gone, and the broker knows: through it, or by asking for it in vain.
    pub(crate) fn credential_removed(
        &mut self,
        at: At,
        client: usize,
        credentials: impl IntoIterator<Item = String>,
    ) {
        self.client_changed(at, client);
        self.clients[client].removed.extend(credentials);
        self.clients[client].next = None;
        self.clients[client].accepted = Accepted::Nothing;
        self.give_up(client);
    }

    /// Whether its credential is one that the server takes.
    pub(crate) fn credential_is_good(&mut self, client: usize, is_good: bool) {
        self.clients[client].is_good = is_good;
    }

    /// Whether a next credential may be what helps: something failed last, or the one in use was replaced behind the
    /// broker's back.
    pub(crate) fn is_in_doubt(&self, client: usize) -> bool {
        let mut keys = self.keys.iter().filter(|key| key.client == client);
        let model = &self.clients[client];
        model.refused > 0
            || model.replaced_behind
            || keys.any(|key| key.earliest.is_some() || key.after_transient)
    }

    /// Its credential was replaced behind the broker's back.
    pub(crate) fn replaced_behind(&mut self, client: usize) {
        self.clients[client].replaced_behind = true;
    }

    /// A next credential was stored, or there is none any more.
    pub(crate) fn next_is(&mut self, client: usize, value: Option<String>) {
        let next = value.map(|value| NextModel { value, ..NextModel::default() });
        self.clients[client].next = next;
    }

    /// The key store was told that the next credential is the one in use.
    pub(crate) fn promoted(&mut self, client: usize, retired: String) {
        self.clients[client].retired.insert(retired);
    }

    /// The wall clock is set: what was believed by it may not be true, and need not be served.
    pub(crate) fn wall_clock_set(&mut self, at: At) {
        self.trouble_everybody(at);
        self.keys.iter_mut().filter(|key| key.is_believed).for_each(|key| key.must = None);
    }

    /// An administrator wants it tried now.
    pub(crate) fn renewed(&mut self, client: usize) {
        let model = &mut self.clients[client];
        model.forget_refusals();
        model.forget_next_refusals();
        let issuer = model.config.as_ref().map(|config| config.issuer.name.clone());
        if let Some(key) = model.key {
            self.keys[key].forget();
        }
        for issuer in self.issuers.iter_mut().filter(|model| Some(model.name) == issuer.as_deref()) {
            issuer.metadata_after = None;
        }
    }

    /// Something stood in its way.
    pub(crate) fn trouble(&mut self, at: At, client: usize) {
        self.clients[client].troubled = at;
    }

    /// How often its configuration or credential changed.
    pub(crate) fn changes(&self, client: usize) -> u64 {
        self.clients[client].changes
    }

    pub(crate) fn trouble_everybody(&mut self, at: At) {
        self.clients.iter_mut().for_each(|client| client.troubled = at);
    }

    pub(crate) fn trouble_issuer(&mut self, at: At, issuer: usize) {
        let name = self.issuers[issuer].name;
        let is_its = |client: &&mut ClientModel| {
            client.config.as_ref().is_none_or(|config| config.issuer.name == name)
        };
        self.clients.iter_mut().filter(is_its).for_each(|client| client.troubled = at);
    }

    pub(crate) fn client_named(&self, name: &ClientName) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// How much there is of everything.
    pub(crate) fn check_size(&mut self, engine: &Engine) {
        let size = engine.size();
        let clients = self.clients.iter().filter(|client| client.config.is_some()).count();
        let waiting = self.waiting.len();
        let bounds = [
            ("token keys", size.tokens, clients * (1 + MAX_NARROWED)),
            ("callers", size.waiters, waiting),
            ("operations", size.operations, size.tokens + self.issuers.len()),
            ("deadlines", size.timers, size.tokens + waiting + self.issuers.len() + 3),
        ];
        for (what, held, most) in bounds {
            if held > most {
                self.fail(Invariant::Memory, None, format!("{held} {what} are held, of at most {most}"));
            }
        }
        if size.waiters < waiting {
            let message = format!("{waiting} callers wait, of whom {} are known", size.waiters);
            self.fail(Invariant::Answered, None, message);
        }
    }
}

impl ClientModel {
    /// What was refused of its next credential is forgotten, and that is tried at once.
    fn forget_next_refusals(&mut self) {
        if let Some(next) = &mut self.next {
            (next.refused, next.refused_until) = (0, None);
        }
    }

    fn forget_refusals(&mut self) {
        (self.refused, self.refused_at, self.refused_until) = (0, At::ZERO, None);
    }
}

impl KeyModel {
    /// What was learned of failures and renewals does not count any more.
    fn forget(&mut self) {
        self.success = None;
        self.earliest = None;
        self.retry_after = None;
        self.refused = 0;
        self.transient.clear();
        self.after_transient = false;
        self.last_rejection = None;
        self.fell_back = false;
    }
}

/// What names the token key that a client's configuration asks for.
fn identity(client: &Client) -> Rc<str> {
    token_key(
        &client.client_id,
        client.scope.iter().flat_map(|scope| scope.iter()),
        client.resource.iter().map(String::as_str),
        client.audience.as_deref(),
    )
}
