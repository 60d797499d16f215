//! Days in the life of tokens: the real engine of `tokenbroker-core` and the real `tokenbroker-oauth`, with both clocks,
//! the network, the servers, the key store and the callers simulated around them.
//!
//! A day comes from a seed, and the same seed gives the same day, byte for byte. After every step the
//! [invariants](Invariant) are checked from outside. [`Campaign`] runs many days, [`day`] one, and [`Outage`] a
//! particular one.
//!
//! - `world`: the host and what happens to it, from event to event; `clock`, `dice`, `trace`
//! - `site`: what is configured; `weather`: what goes wrong, and when; `faults`: what can
//! - `server`, `network`, `store`, `kept`: what the daemon deals with
//! - `oracle`: what must hold
//! - `campaign`: many days on all processors

mod campaign;
mod clock;
mod dice;
mod faults;
mod kept;
mod network;
mod oracle;
mod outage;
mod server;
mod site;
mod store;
mod trace;
mod weather;
mod world;

use std::fmt;
use std::time::Duration;

pub use self::campaign::{Campaign, Report};
pub use self::faults::{Fault, Hits};
pub use self::oracle::Invariant;
pub use self::outage::{Outage, Recovery};
pub use self::world::Figures;

use self::clock::shown;
use self::dice::Dice;
use self::oracle::Violation;
use self::site::Site;
use self::weather::Weather;
use self::world::World;

/// A day, and the time that the last troubles of it need to pass.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The pause between two callers of a host with 50 clients.
const BETWEEN_CALLERS: Duration = Duration::from_secs(40);

/// A day in which everything held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// Its seed.
    pub seed: u64,
    /// How much happened.
    pub figures: Figures,
    /// What went wrong outside.
    pub hits: Hits,
    /// Of every line of its trace: two runs with the same hash went the same way.
    pub hash: u64,
    /// How many lines its trace has.
    pub lines: u64,
}

/// An invariant that did not hold.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The seed of the day.
    pub seed: u64,
    /// When it happened.
    pub at: Duration,
    /// What did not hold.
    pub invariant: Invariant,
    /// Whose.
    pub client: Option<String>,
    /// What happened.
    pub message: String,
    /// The lines that led up to it.
    pub tail: Vec<String>,
    /// Of every line up to it.
    pub hash: u64,
}

impl Failure {
    fn new(seed: u64, world: &World, violation: Violation) -> Self {
        let Violation { invariant, client, message } = violation;
        let (tail, hash) = (world.trace.tail(), world.trace.hash());
        Self { seed, at: world.clock.at(), invariant, client, message, tail, hash }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tail.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        let client = self.client.as_deref().unwrap_or("no client in particular");
        writeln!(f, "seed {} failed at {} (hash {:016x})", self.seed, shown(self.at), self.hash)?;
        writeln!(f, "  it should hold that {}", self.invariant)?;
        write!(f, "  {client}: {}", self.message)
    }
}

/// Simulates the day of a seed.
///
/// # Errors
///
/// The first invariant that does not hold.
pub fn day(seed: u64) -> Result<Day, Failure> {
    traced_day(seed, false).0
}

/// Simulates the day of a seed, and gives its whole trace if that is to be kept.
pub fn traced_day(seed: u64, keep_trace: bool) -> (Result<Day, Failure>, Vec<String>) {
    let mut dice = Dice::new(seed);
    let site = Site::random(&mut dice);
    let weather = Weather::random(&mut dice, &site);
    let mut world = World::new(dice, site, weather, BETWEEN_CALLERS, keep_trace);
    let outcome = world.run_until(DAY).map_err(|violation| Failure::new(seed, &world, violation));
    let day = outcome.map(|()| Day {
        seed,
        figures: world.figures,
        hits: world.hits.clone(),
        hash: world.trace.hash(),
        lines: world.trace.lines(),
    });
    (day, world.trace.into_all())
}
