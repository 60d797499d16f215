//! A particular day: many clients that are all alike, and their server is out for a while.

use std::time::Duration;

use super::clock::At;
use super::dice::Dice;
use super::site::Site;
use super::weather::Weather;
use super::world::World;
use super::{Failure, Fault};

/// So long the clients are warm before, and long enough for their renewals to be spread evenly.
const BEFORE: Duration = Duration::from_secs(5 * 3600);

/// So long after its end is looked at.
const AFTER: Duration = Duration::from_secs(30 * 60);

/// An outage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outage {
    /// How many clients there are.
    pub clients: usize,
    /// How long their tokens live, in seconds.
    pub lifetime: u64,
    /// Their `renew_at`.
    pub renew_at: f64,
    /// Only so many of the clients get no tokens; the others do.
    pub only: Option<usize>,
    /// How long the server is out.
    pub length: Duration,
    /// The seed.
    pub seed: u64,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Callers that asked from the beginning of the outage on.
    pub gets: u64,
    /// Those of them that got no token.
    pub failed_gets: u64,
    /// Those of the clients that the server would have given a token.
    pub failed_gets_of_others: u64,
    /// Requests that met the outage.
    pub failed_requests: u64,
    /// The most token requests within a second, from the outage's end on.
    pub busiest_second: usize,
    /// How long after its end every client had a token, and the last failure was made good.
    pub all_warm_after: Duration,
}

impl Outage {
    /// Simulates it.
    ///
    /// # Errors
    ///
    /// The first invariant that does not hold.
    pub fn run(&self) -> Result<Recovery, Failure> {
        let site = Site::uniform(self.clients, self.lifetime, self.renew_at);
        let weather = Weather::outage(BEFORE, self.length, self.only);
        let callers = Duration::from_millis(100);
        let mut world = World::new(Dice::new(self.seed), site, weather, callers, false);
        let until = |world: &mut World, end: At| {
            world.run_until(end).map_err(|violation| Failure::new(self.seed, world, violation))
        };
        until(&mut world, BEFORE)?;
        let of_others =
            |world: &World| world.failed_gets[self.only.unwrap_or(self.clients)..].iter().sum::<u64>();
        let (before, of_others_before) = (world.figures, of_others(&world));
        let end = BEFORE + self.length;
        until(&mut world, end)?;
        world.oracle.busiest_second(0);
        let mut all_warm_after = None;
        let mut at = end;
        while at < end + AFTER {
            at += Duration::from_secs(1);
            until(&mut world, at)?;
            if all_warm_after.is_none() && world.all_are_warm() {
                all_warm_after = Some(at - end);
            }
        }
        Ok(Recovery {
            gets: world.figures.gets - before.gets,
            failed_gets: world.figures.failed_gets - before.failed_gets,
            failed_gets_of_others: of_others(&world) - of_others_before,
            failed_requests: world.hits.of(Fault::ServerError) + world.hits.of(Fault::IssuerOutage),
            busiest_second: world.oracle.busiest_second(0),
            all_warm_after: all_warm_after.unwrap_or(Duration::MAX),
        })
    }
}
