//! Clocks that are apart: the server's, and our own wall clock.

use super::harness::*;
use crate::engine::{Event, Note, State};

fn world(ahead: i64) -> World {
    let config = config([key_client("a", &issuer().into())]);
    let mut store = KeyStore::default();
    store.set_key("a");
    let mut world = World::with_store(&config, store);
    world.server.ahead = Some(ahead);
    world
}

#[test]
fn s40_a_server_whose_clock_is_minutes_off_gets_assertions_dated_by_it() {
    for ahead in [-300, 300, 3600] {
        let mut world = world(ahead);
        let caller = world.get("a");
        world.run(seconds(1));
        assert_eq!(world.granted(caller).token.generation, 1, "the refusal told the time");
        assert_eq!(world.requests_of("a").len(), 2);
        let told: Vec<_> = world
            .notes
            .iter()
            .filter_map(|(_, note)| match note {
                Note::ClockOff { seconds, .. } => Some(*seconds),
                _ => None,
            })
            .collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!((told[0] - ahead).abs() <= 1);
        world.run(minutes(60 * 6));
        assert_eq!(world.state("a"), State::Warm);
        assert_eq!(world.status("a").clock_offset.map(|offset| (offset - ahead).abs() <= 1), Some(true));
        assert_eq!(world.status("a").outcomes.credential, 1, "no other was refused");
    }
}

#[test]
fn s26_a_refusal_that_tells_the_time_counts_all_the_same() {
    let mut world = world(300);
    world.server.reply = Reply::Error("invalid_client");
    world.run(minutes(59));
    assert_eq!(world.requests_of("a").len(), 2, "in the first hour");
}

#[test]
fn s47_a_jump_of_the_wall_clock_moves_no_lifetime_and_assertions_follow_the_server() {
    for jump in [-86_400, 3600, 86_400] {
        let mut world = world(0);
        world.run(minutes(1));
        world.unix_at_boot = world.unix_at_boot.saturating_add_signed(jump);
        world.server.ahead = Some(-jump);
        world.happens(Event::WallClockSet);
        assert_eq!(world.state("a"), State::Warm);
        world.run(minutes(60 * 12));
        let status = world.status("a");
        assert_eq!(status.state, State::Warm);
        assert_eq!(status.outcomes.failed(), 0, "assertions are dated by what the server said before");
        assert!(world.pauses_of("a").iter().all(|pause| *pause > minutes(38) && *pause < minutes(46)));
    }
}

#[test]
fn s24_a_date_in_retry_after_counts_from_the_servers_clock() {
    let mut world = World::new(&config([client("a", &issuer().into())]));
    world.server.ahead = Some(3600);
    // The world began on 2027-01-15 at 08:00; the server believes it is 09:00.
    world.server.reply = Reply::Later(503, "Fri, 15 Jan 2027 09:02:00 GMT".into());
    world.run(seconds(110));
    assert_eq!(world.requests_of("a").len(), 1);
    world.server.reply = Reply::Token(3600);
    world.run(seconds(20));
    assert_eq!(world.requests_of("a").len(), 2);
}

#[test]
fn s40_a_gateway_whose_date_is_wrong_does_not_take_a_client_from_a_server_whose_clock_is_right() {
    let mut store = KeyStore::default();
    store.set_key("a");
    let mut world = World::with_store(&config([key_client("a", &issuer().into())]), store);
    (world.server.ahead, world.server.gateway_ahead) = (Some(0), Some(-3600));
    world.run(minutes(24 * 60));
    assert_eq!(world.state("a"), State::Warm);
    assert_eq!(world.status("a").outcomes.credential, 1, "the first that was dated by the gateway's clock");
    let lines = world.engine.explain("a", world.clocks()).unwrap().join("\n");
    assert!(lines.contains("assertions are dated by this host's"), "{lines}");
}
