//! How long tokens are served, and when they are renewed.

use std::time::Duration;

use super::harness::*;
use crate::config::{Client, Issuer};
use crate::engine::{Note, State};

fn one_client() -> World {
    World::new(&config([client("a", &issuer().into())]))
}

#[test]
fn a_token_is_renewed_at_three_quarters_of_its_lifetime_less_up_to_a_tenth() {
    let mut world = one_client();
    world.run(minutes(24 * 60));
    let pauses = world.pauses_of("a");
    assert!(pauses.len() >= 30);
    for pause in &pauses {
        assert!((2340..=2702).contains(&pause.as_secs()), "{pause:?}");
    }
    assert!(pauses.iter().any(|pause| *pause < seconds(2450)), "low draws occur");
    assert!(pauses.iter().any(|pause| *pause > seconds(2600)), "high draws occur");
}

#[test]
fn s31_a_reply_without_a_lifetime_gets_the_default_and_it_is_noted() {
    let mut world = one_client();
    world.server.reply = Reply::Body(r#"{"access_token":"abc","token_type":"Bearer"}"#.into());
    world.run(seconds(1));
    let assumed = world.notes.iter().any(
        |(_, note)| matches!(note, Note::Issued { assumed: true, lifetime, .. } if *lifetime == minutes(5)),
    );
    assert!(assumed, "{:?}", world.notes);
    let expires_in = world.status("a").expires_in.unwrap();
    assert!(expires_in > minutes(5) - seconds(2) && expires_in < minutes(5), "{expires_in:?}");
}

#[test]
fn s33_a_huge_lifetime_is_clamped() {
    let mut world = one_client();
    world.server.reply = Reply::Token(u64::MAX);
    let caller = world.get("a");
    world.run(seconds(1));
    assert_eq!(world.granted(caller).token.lifetime, minutes(24 * 60));
}

#[test]
fn s38_a_narrowed_scope_is_served_and_noted() {
    let mut world = one_client();
    world.server.reply =
        Reply::Body(r#"{"access_token":"abc","token_type":"Bearer","expires_in":60,"scope":"read"}"#.into());
    let caller = world.get("a");
    world.run(seconds(1));
    assert_eq!(world.granted(caller).token.scope.as_deref(), Some("read"));
    let noted = world.notes.iter().find_map(|(_, note)| match note {
        Note::Issued { narrowed_to, .. } => narrowed_to.as_ref().map(ToString::to_string),
        _ => None,
    });
    assert_eq!(noted.as_deref(), Some("read"));
}

#[test]
fn s47_jumps_of_the_wall_clock_change_nothing() {
    let mut quiet = one_client();
    quiet.run(minutes(600));
    let mut jumpy = one_client();
    for round in 0..600 {
        let day = 24 * 3600;
        jumpy.unix_at_boot =
            if round % 2 == 0 { jumpy.unix_at_boot + 365 * day } else { jumpy.unix_at_boot - 364 * day };
        jumpy.run(minutes(1));
        let caller = jumpy.get("a");
        jumpy.granted(caller);
    }
    assert_eq!(jumpy.requests_of("a"), quiet.requests_of("a"));
}

#[test]
fn s48_after_a_suspend_past_the_expiry_no_expired_token_is_served() {
    let mut world = one_client();
    world.run(seconds(1));
    world.suspend(minutes(120));
    assert!(world.engine.slots().find("a").unwrap().current(world.now).is_none());
    let caller = world.get("a");
    assert!(world.answer(caller).is_none());
    world.run(seconds(1));
    assert_eq!(world.granted(caller).token.generation, 2);
}

#[test]
fn s48_a_reply_that_waited_through_a_suspend_is_not_taken_for_fresh() {
    let mut world = one_client();
    world.server.latency = seconds(5);
    world.run(seconds(2));
    assert_eq!(world.requests_of("a").len(), 1);
    world.suspend(minutes(120));
    let caller = world.get("a");
    world.run(seconds(30));
    assert_eq!(world.granted(caller).token.generation, 1, "and it is that of the second request");
    assert_eq!(world.requests_of("a").len(), 2);
    assert!(world.notes.iter().any(
        |(_, note)| matches!(note, Note::Failed { failure, .. } if failure.message.contains("had expired"))
    ));
}

#[test]
fn s50_a_token_that_lives_a_second_is_served_for_what_it_is_worth_without_a_loop() {
    let mut world = one_client();
    world.server.reply = Reply::Token(1);
    world.run(minutes(10));
    let requests = world.requests_of("a").len();
    assert!((400..=600).contains(&requests), "about one a second: {requests}");
    let caller = world.get("a");
    world.run(seconds(1));
    assert_eq!(world.granted(caller).token.lifetime, seconds(1));
}

#[test]
fn s50_a_lifetime_below_every_margin_makes_no_loop() {
    let short = Duration::from_millis(100);
    let issuer = Issuer { max_lifetime: short, default_lifetime: short, ..issuer() };
    let mut world = World::new(&config([client("a", &issuer.into())]));
    world.server.latency = Duration::from_millis(10);
    world.run(minutes(10));
    let requests = world.requests_of("a").len();
    assert!((400..=600).contains(&requests), "about one a second: {requests}");

    let caller = world.get("a");
    world.run(seconds(1));
    assert_eq!(world.granted(caller).token.lifetime, short);
    assert!(world.server.busiest_second() <= 22, "callers in between count against the budget");
}

#[test]
fn s34_a_server_that_hands_out_the_same_token_until_it_expires_is_not_asked_in_a_loop() {
    let mut world = one_client();
    for tenth in 0..2 * 36_000 {
        let left = 3600 - tenth / 10 % 3600;
        world.server.reply = Reply::Body(format!(
            r#"{{"access_token":"the-same","token_type":"Bearer","expires_in":{left}}}"#
        ));
        world.run(Duration::from_millis(100));
    }
    let requests = world.requests_of("a").len();
    assert!(requests <= 2 * 20, "{requests} requests in two hours");
    assert_eq!(world.server.busiest_second(), 1);
}

#[test]
fn s51_lifetime_counts_from_the_request() {
    let mut world = one_client();
    world.server.latency = seconds(8);
    world.server.reply = Reply::Token(60);
    let caller = world.get("a");
    world.run(seconds(9));
    let token = &world.granted(caller).token;
    let requested = world.server.requests[0].at;
    assert_eq!(token.expires, requested.after(seconds(60)));
    assert_eq!(token.serve_until, requested.after(seconds(55)));
}

#[test]
fn s51_a_token_that_had_expired_when_it_came_is_a_failure_with_a_back_off() {
    let mut world = one_client();
    world.server.latency = seconds(8);
    world.server.reply = Reply::Token(5);
    let caller = world.get("a");
    world.run(minutes(30));
    assert!(world.refused(caller).message.contains("had expired before the reply"));
    assert_eq!(world.state("a"), State::Unavailable);
    let requests = world.requests_of("a").len();
    assert!(requests < 100, "{requests} requests in half an hour");
}

#[test]
fn a_client_may_have_its_own_time_of_renewal() {
    let early = Client { renew_at: 0.5, ..client("early", &issuer().into()) };
    let mut world = World::new(&config([early, client("late", &issuer().into())]));
    world.run(minutes(35));
    assert_eq!(world.requests_of("early").len(), 2);
    assert_eq!(world.requests_of("late").len(), 1);
}
