//! Callers that wait, and what they ask for.

use std::time::Duration;

use super::harness::*;
use crate::config::Issuer;
use crate::engine::{Reason, State};

fn one_client() -> World {
    World::new(&config([client("a", &issuer().into())]))
}

#[test]
fn a_caller_that_wants_more_time_than_is_left_gets_a_new_token() {
    let mut world = one_client();
    world.run(minutes(30));
    let caller = world.get_with("a", minutes(40), WAIT);
    assert!(world.answer(caller).is_none());
    world.run(seconds(1));
    let granted = world.granted(caller);
    assert_eq!(granted.token.generation, 2);
    assert!(granted.min_ttl_met);
}

#[test]
fn a_caller_that_wants_more_than_any_token_has_gets_what_there_is_without_a_request_for_each_call() {
    let mut world = one_client();
    world.run(seconds(1));
    for _ in 0..1_000 {
        let caller = world.get_with("a", minutes(120), WAIT);
        world.run(seconds(1));
        assert!(!world.granted(caller).min_ttl_met);
    }
    assert!(world.requests_of("a").len() <= 4, "{} requests in 17 minutes", world.requests_of("a").len());
}

#[test]
fn s50_wanting_more_than_a_very_short_token_has_makes_no_loop_either() {
    let mut world = one_client();
    world.server.reply = Reply::Token(2);
    world.run(seconds(1));
    for _ in 0..600 {
        let caller = world.get_with("a", minutes(1), WAIT);
        world.run(Duration::from_millis(100));
        assert!(
            world.answer(caller).is_none_or(|answer| answer.as_ref().is_ok_and(|token| !token.min_ttl_met))
        );
    }
    assert!(world.requests_of("a").len() <= 65, "{} requests a minute", world.requests_of("a").len());
}

#[test]
fn when_the_renewal_fails_the_caller_that_wanted_more_time_gets_what_there_is() {
    let mut world = one_client();
    world.run(minutes(30));
    world.server.reply = Reply::Status(503);
    let caller = world.get_with("a", minutes(40), WAIT);
    world.run(seconds(1));
    assert_eq!(world.granted(caller).token.generation, 1);
    assert!(!world.granted(caller).min_ttl_met);

    let requests = world.requests_of("a").len();
    let next = world.get_with("a", minutes(40), WAIT);
    assert!(!world.granted(next).min_ttl_met, "at once: the back-off goes on");
    assert_eq!(world.requests_of("a").len(), requests);
}

#[test]
fn when_the_renewal_hangs_the_caller_that_wanted_more_time_gets_what_there_is_at_its_deadline() {
    let mut world = one_client();
    world.run(minutes(30));
    world.server.reply = Reply::Hang;
    let caller = world.get_with("a", minutes(40), seconds(3));
    let asked = world.now;
    world.run(seconds(5));
    assert_eq!(world.answered_at(caller), Some(asked.after(seconds(3))));
    assert!(!world.granted(caller).min_ttl_met);
}

#[test]
fn a_caller_waits_no_longer_than_its_deadline_and_learns_the_cause() {
    let mut world = one_client();
    world.server.reply = Reply::Status(503);
    let caller = world.get_with("a", seconds(0), seconds(3));
    world.run(minutes(1));
    assert_eq!(world.answered_at(caller), Some(world.at(seconds(3))));
    assert!(world.refused(caller).message.contains("503"));
    assert_eq!(world.refused(caller).reason, Reason::NoToken);
}

#[test]
fn a_caller_that_does_not_wait_is_answered_at_once() {
    let mut world = one_client();
    let caller = world.get_with("a", seconds(0), seconds(0));
    world.run(seconds(0));
    assert_eq!(world.answered_at(caller), Some(world.at(seconds(0))));
    assert!(world.refused(caller).message.contains("has not been fetched yet"));
    assert_eq!(world.state("a"), State::Pending);
}

#[test]
fn whoever_gives_up_during_a_request_learns_that_it_is_under_way() {
    let slow = Issuer { timeout: minutes(1), ..issuer() };
    let mut world = World::new(&config([client("a", &slow.into())]));
    world.run(seconds(1));
    world.server.reply = Reply::Hang;
    let administrator = world.renew("a");
    let asked = world.now;
    world.run(WAIT);
    assert!(world.status("a").renewing);
    assert_eq!(world.answered_at(administrator), Some(asked.after(WAIT)));
    assert!(world.refused(administrator).message.contains("on its way"));
}

#[test]
fn callers_do_not_shorten_a_back_off() {
    let mut world = one_client();
    world.server.reply = Reply::Later(503, "300".into());
    for _ in 0..299 {
        world.get_with("a", seconds(0), seconds(2));
        world.run(seconds(1));
    }
    assert_eq!(world.requests_of("a").len(), 1);
}

#[test]
fn a_client_that_is_not_configured_has_no_token() {
    let mut world = one_client();
    let caller = world.get("b");
    assert_eq!(world.refused(caller).reason, Reason::UnknownClient);
    assert!(world.engine.status("b", world.clocks()).is_none());
}
