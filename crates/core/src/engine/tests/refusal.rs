//! Credentials and requests that the authorization server refuses.

use std::sync::Arc;
use std::time::Duration;

use super::harness::*;
use crate::config::Client;
use crate::engine::{Reason, State};

const HOUR: Duration = minutes(60);

fn one_client() -> World {
    World::new(&config([client("a", &issuer().into())]))
}

/// When requests were sent, in whole minutes since the world began.
fn minutes_of_requests(world: &World) -> Vec<u64> {
    world.requests_of("a").iter().map(|age| age.as_secs() / 60).collect()
}

#[test]
fn s26_a_wrong_credential_makes_two_requests_in_the_first_hour_then_one_an_hour() {
    let mut world = one_client();
    world.server.reply = Reply::Error("invalid_client");
    let caller = world.get("a");
    world.run(seconds(1));
    world.assert_blocked(caller);
    assert!(world.refused(caller).hint.as_ref().unwrap().contains("tokenbroker secret set a"));

    for _ in 0..600 {
        let caller = world.get("a");
        world.assert_blocked(caller);
        world.run(seconds(60));
    }
    assert_eq!(minutes_of_requests(&world), [0, 1, 61, 121, 181, 241, 301, 361, 421, 481, 541]);
    assert_eq!(world.state("a"), State::Blocked);
}

#[test]
fn s26_a_credential_accepted_before_is_tried_after_1_5_and_15_minutes_then_hourly() {
    let mut world = one_client();
    world.run(seconds(1));
    world.server.reply = Reply::Status(403);
    world.run_until_it_holds(|world| world.state("a") == State::Degraded);
    let caller = world.get("a");
    assert_eq!(world.granted(caller).token.generation, 1, "an unexpired token is served all the same");
    world.run(5 * HOUR);
    assert_eq!(world.state("a"), State::Blocked);
    let pauses: Vec<_> = world.pauses_of("a")[1..].iter().map(|pause| pause.as_secs() / 60).collect();
    assert_eq!(pauses[..6], [1, 5, 15, 60, 60, 60]);

    world.server.reply = Reply::Token(3600);
    world.run(HOUR + seconds(1));
    assert_eq!(world.state("a"), State::Warm);
    world.server.reply = Reply::Status(403);
    let requests = world.requests_of("a").len();
    world.run(2 * HOUR);
    let pauses: Vec<_> = world.pauses_of("a")[requests..].iter().map(|pause| pause.as_secs() / 60).collect();
    assert_eq!(pauses[..3], [1, 5, 15], "a success starts the ladder anew");
}

#[test]
fn s26_a_changed_credential_is_tried_at_once() {
    let mut world = one_client();
    world.server.secret = Some("new");
    world.run(3 * HOUR);
    let requests = world.requests_of("a").len();

    world.set_secret("a", "wrong again");
    let caller = world.get("a");
    assert!(world.answer(caller).is_none(), "the failure was the old credential's");
    assert_eq!(world.state("a"), State::Pending);
    world.run(seconds(1));
    world.assert_blocked(caller);
    assert_eq!(world.requests_of("a").len(), requests + 1);
    world.run(HOUR);
    assert_eq!(world.requests_of("a").len(), requests + 2, "its ladder starts anew");

    world.set_secret("a", "new");
    let caller = world.get("a");
    world.run(seconds(1));
    assert_eq!(world.granted(caller).token.generation, 1);
}

#[test]
fn s26_renew_tries_a_refused_credential_at_once() {
    let mut world = one_client();
    world.server.reply = Reply::Error("invalid_client");
    world.run(2 * HOUR);
    let requests = world.requests_of("a").len();
    let administrator = world.renew("a");
    world.run(seconds(1));
    world.assert_blocked(administrator);
    assert_eq!(world.requests_of("a").len(), requests + 1);

    world.server.reply = Reply::Token(3600);
    let administrator = world.renew("a");
    world.run(seconds(1));
    assert_eq!(world.granted(administrator).token.generation, 1);
}

#[test]
fn s26_a_replaced_credential_was_never_accepted() {
    let mut world = one_client();
    world.server.secret = Some("right");
    world.run(seconds(1));
    world.set_secret("a", "wrong");
    world.run(3 * HOUR);
    let pauses: Vec<_> = world.pauses_of("a")[1..].iter().map(|pause| pause.as_secs() / 60).collect();
    assert_eq!(pauses, [1, 60, 60]);
}

#[test]
fn s27_a_refused_request_is_remembered_until_the_configuration_changes() {
    for refused in ["invalid_scope", "invalid_target", "unauthorized_client", "something_new"] {
        let issuer = Arc::new(issuer());
        let before = config([client("a", &issuer)]);
        let mut world = World::new(&before);
        world.server.reply = Reply::Error(refused);
        world.run(3 * HOUR);
        assert_eq!(minutes_of_requests(&world), [0, 1, 61, 121], "{refused}");
        let caller = world.get("a");
        world.assert_blocked(caller);

        world.reload(&before);
        world.run(seconds(1));
        assert_eq!(world.requests_of("a").len(), 4, "nothing changed");

        world.server.reply = Reply::Token(3600);
        world.reload(&config([Client { scope: None, ..client("a", &issuer) }]));
        let caller = world.get("a");
        world.run(seconds(1));
        assert_eq!(world.granted(caller).token.generation, 1, "{refused}");
    }
}

#[test]
fn s27_a_change_beside_the_token_key_is_reason_enough_to_try_again() {
    let mut world = one_client();
    world.server.reply = Reply::Error("invalid_request");
    world.run(2 * HOUR);
    let requests = world.requests_of("a").len();
    world.server.reply = Reply::Token(3600);
    let issuer = crate::config::Issuer { timeout: seconds(20), ..issuer() };
    world.reload(&config([client("a", &issuer.into())]));
    world.run(seconds(1));
    assert_eq!(world.requests_of("a").len(), requests + 1);
    assert_eq!(world.state("a"), State::Warm);
}

#[test]
fn renew_is_answered_with_its_failure_though_the_old_token_is_served_on() {
    let mut world = one_client();
    world.run(seconds(1));
    world.server.reply = Reply::Status(503);
    let administrator = world.renew("a");
    world.run(seconds(1));
    let refusal = world.refused(administrator);
    assert_eq!(refusal.reason, Reason::NoToken);
    assert!(refusal.message.contains("503"), "{}", refusal.message);
    assert!(refusal.next_try.is_some());
    let caller = world.get("a");
    assert_eq!(world.granted(caller).token.generation, 1);
}

#[test]
fn renew_ends_a_long_back_off() {
    let mut world = one_client();
    world.server.reply = Reply::Later(503, "3600".into());
    world.run(minutes(5));
    assert_eq!(world.requests_of("a").len(), 1);
    world.server.reply = Reply::Token(3600);
    let caller = world.get("a");
    let administrator = world.renew("a");
    world.run(seconds(1));
    assert_eq!(world.granted(administrator).token.generation, 1);
    assert_eq!(world.granted(caller).token.generation, 1);
    assert_eq!(world.requests_of("a").len(), 2);
}
