//! Authorization servers that fail, hang or ask for patience, and the callers meanwhile.

use std::sync::Arc;
use std::time::Duration;

use super::harness::*;
use crate::config::Issuer;
use crate::engine::{Event, Note, Reason, State};

fn one_client() -> World {
    World::new(&config([client("a", &issuer().into())]))
}

#[test]
fn s18_ten_thousand_callers_at_once_cause_one_token_request() {
    let mut world = one_client();
    let callers: Vec<_> = (0..10_000).map(|_| world.get("a")).collect();
    world.run(seconds(1));
    for caller in callers {
        assert_eq!(world.granted(caller).token.generation, 1);
    }
    assert_eq!(world.requests_of("a").len(), 1);
}

#[test]
fn s18_a_failure_is_shared_too() {
    let mut world = one_client();
    world.server.reply = Reply::Error("invalid_scope");
    let callers: Vec<_> = (0..10_000).map(|_| world.get("a")).collect();
    world.run(seconds(1));
    for caller in callers {
        world.assert_blocked(caller);
        assert!(world.refused(caller).message.contains("invalid_scope"));
    }
    assert_eq!(world.requests_of("a").len(), 1);
}

#[test]
fn s18_callers_that_come_while_the_request_is_under_way_join_it() {
    let mut world = one_client();
    world.server.latency = seconds(5);
    let first = world.get("a");
    world.run(seconds(3));
    let second = world.get("a");
    world.run(seconds(3));
    assert_eq!(world.granted(first).token.generation, 1);
    assert_eq!(world.granted(second).token.generation, 1);
    assert_eq!(world.requests_of("a").len(), 1);
}

#[test]
fn s12_callers_that_give_up_do_not_cancel_the_request_of_the_others() {
    let mut world = one_client();
    world.server.latency = seconds(2);
    let gone = world.get("a");
    let stays = world.get("a");
    world.run(seconds(1));
    world.happens(Event::Gone(gone));
    world.run(seconds(2));
    assert!(world.answer(gone).is_none());
    assert_eq!(world.granted(stays).token.generation, 1);

    let last = world.renew("a");
    world.run(seconds(1));
    world.happens(Event::Gone(last));
    world.run(seconds(2));
    assert_eq!(world.status("a").generation, 2, "nobody waits any more, and the token is taken all the same");
}

#[test]
fn s21_an_outage_shorter_than_what_is_left_of_the_token_is_invisible() {
    let mut world = one_client();
    world.run(seconds(1));
    assert_eq!(world.state("a"), State::Warm);

    world.server.reply = Reply::Unreachable;
    world.run(minutes(50));
    let status = world.status("a");
    assert_eq!(status.state, State::Degraded);
    assert_eq!(status.last_failure.map(|failure| failure.code), Some("network"));
    assert!(status.next_try_in.is_some_and(|wait| wait <= minutes(1)));
    let caller = world.get("a");
    assert_eq!(world.granted(caller).token.generation, 1);
    let failed = world.requests_of("a").len() - 1;
    assert!((5..100).contains(&failed), "{failed} tries in some ten minutes");

    world.server.reply = Reply::Token(3600);
    world.run(minutes(1));
    assert_eq!(world.state("a"), State::Warm);
    assert_eq!(world.status("a").generation, 2);
}

#[test]
fn s22_an_outage_past_the_expiry_is_an_error_with_its_cause_and_never_an_expired_token() {
    let mut world = one_client();
    world.run(seconds(1));
    world.server.reply = Reply::Unreachable;
    world.run(minutes(60) - seconds(7));
    let caller = world.get("a");
    assert_eq!(world.granted(caller).token.generation, 1, "six seconds before its expiry");

    world.run(seconds(2));
    let slot = world.engine.slots().find("a").unwrap();
    assert!(slot.current(world.now).is_none(), "four seconds before its expiry");
    let caller = world.get("a");
    world.run(WAIT);
    let refusal = world.refused(caller);
    assert_eq!(refusal.reason, Reason::NoToken);
    assert_eq!(refusal.message, "connection refused");
    assert_eq!(world.state("a"), State::Unavailable);

    world.run_until_it_holds(|world| world.status("a").next_try_in.is_some_and(|wait| wait > seconds(20)));
    let caller = world.get_with("a", seconds(0), seconds(1));
    world.run(seconds(1));
    let next_try = world.refused(caller).next_try.unwrap();
    let requests = world.requests_of("a").len();
    world.run_until(next_try);
    world.run(seconds(1));
    assert_eq!(world.requests_of("a").len(), requests + 1, "tried again when it was said");
}

#[test]
fn s22_a_caller_sits_through_a_short_outage() {
    let mut world = one_client();
    world.server.reply = Reply::Status(503);
    let caller = world.get("a");
    world.run(seconds(2));
    assert!(world.answer(caller).is_none());
    world.server.reply = Reply::Token(3600);
    world.run(WAIT);
    assert_eq!(world.granted(caller).token.generation, 1);
}

#[test]
fn s24_retry_after_is_obeyed_and_clamped() {
    for (header, expected) in [
        ("30", seconds(30)),
        ("1000000000", minutes(60)),
        // The world began on 2027-01-15 at 08:00.
        ("Fri, 15 Jan 2027 08:02:00 GMT", seconds(120)),
        ("Fri, 15 Jan 2038 08:02:00 GMT", minutes(60)),
    ] {
        for status in [429, 503] {
            let mut world = one_client();
            world.server.reply = Reply::Later(status, header.into());
            world.run(expected - seconds(2));
            assert_eq!(world.requests_of("a").len(), 1, "{status} with {header}");
            world.server.reply = Reply::Token(3600);
            world.run(seconds(4));
            assert_eq!(world.requests_of("a").len(), 2, "{status} with {header}");
        }
    }
}

#[test]
fn s24_a_wait_that_has_passed_or_makes_no_sense_leaves_the_back_off() {
    for header in ["0", "Sun, 06 Nov 1994 08:49:37 GMT", "soon"] {
        let mut world = one_client();
        world.server.reply = Reply::Later(503, header.into());
        world.run(minutes(60));
        let tries = world.requests_of("a").len();
        assert!((60..300).contains(&tries), "{tries} tries in an hour with {header}");
    }
}

#[test]
fn s25_a_hang_ends_at_the_timeout_and_backs_off() {
    let mut world = one_client();
    world.server.reply = Reply::Hang;
    let caller = world.get_with("a", seconds(0), seconds(30));
    world.run(minutes(10));
    assert!(world.refused(caller).message.contains("no reply in time"));
    let status = world.status("a");
    assert_eq!(status.last_failure.map(|failure| failure.code), Some("timeout"));
    let pauses = world.pauses_of("a");
    assert!(pauses.len() >= 6, "{pauses:?}");
    for (attempt, pause) in pauses.iter().enumerate() {
        let bound = seconds(1 << attempt.min(6)).min(minutes(1));
        assert!(*pause >= seconds(10) && *pause <= seconds(11) + bound, "{attempt}: {pause:?}");
    }
}

#[test]
fn s25_every_kind_of_transient_failure_backs_off_up_to_a_minute() {
    let failures = [
        Reply::Status(500),
        Reply::Status(502),
        Reply::Status(408),
        Reply::Status(429),
        Reply::Unreachable,
        Reply::Error("server_error"),
        Reply::Error("temporarily_unavailable"),
        Reply::Body("<html>".into()),
        Reply::Body(r#"{"access_token":"abc","token_type":"Bearer","expires_in":0}"#.into()),
    ];
    for failure in failures {
        let mut world = one_client();
        world.server.reply = failure.clone();
        world.run(minutes(60));
        assert_eq!(world.state("a"), State::Unavailable, "{failure:?}");
        let pauses = world.pauses_of("a");
        // Full jitter: half a minute on average.
        assert!((80..180).contains(&pauses.len()), "{} tries an hour for {failure:?}", pauses.len());
        assert!(pauses.iter().all(|pause| *pause <= seconds(62)), "{failure:?}: {pauses:?}");
    }
}

#[test]
fn the_log_tells_of_each_failure_and_when_it_is_tried_again() {
    let mut world = one_client();
    world.server.reply = Reply::Status(500);
    world.run(minutes(5));
    let told: Vec<_> = world
        .notes
        .iter()
        .filter_map(|(at, note)| match note {
            Note::Failed { next_try_in, still_served: false, .. } => Some(at.after(*next_try_in)),
            _ => None,
        })
        .collect();
    let tried: Vec<_> = world.server.requests.iter().map(|request| request.at).collect();
    assert_eq!(told.len(), tried.len());
    for (told, tried) in told.iter().zip(&tried[1..]) {
        assert!(tried.since(*told) < seconds(1), "but for the key store's time and the budget");
    }
}

/// The worst time for it: all tokens are as old as each other, and it begins as the first of them is to be renewed.
#[test]
fn s21_s23_a_thousand_clients_do_not_notice_an_outage_of_13_minutes() {
    for failure in [Reply::Unreachable, Reply::Status(503), Reply::Hang] {
        nobody_notices(issuer(), minutes(60), minutes(39), minutes(13), &failure);
    }
}

#[test]
fn s21_s23_nor_one_of_55_minutes_when_tokens_live_two_hours_and_are_renewed_at_half_of_that() {
    for failure in [Reply::Unreachable, Reply::Status(503), Reply::Hang] {
        let issuer = Issuer { renew_at: 0.5, ..issuer() };
        nobody_notices(issuer, minutes(120), minutes(48), minutes(55), &failure);
    }
}

fn nobody_notices(issuer: Issuer, lifetime: Duration, begins: Duration, lasts: Duration, failure: &Reply) {
    let issuer = Arc::new(issuer);
    let names: Vec<_> = (0..1000).map(|number| format!("c{number}")).collect();
    let mut world = World::new(&config(names.iter().map(|name| client(name, &issuer))));
    world.server.reply = Reply::Token(lifetime.as_secs());
    let all_get = |world: &mut World| {
        let callers: Vec<_> = names.iter().map(|name| world.get(name)).collect();
        callers.iter().for_each(|caller| assert!(matches!(world.answer(*caller), Some(Ok(_))), "at once"));
    };
    world.run(begins);
    all_get(&mut world);

    world.server.reply = failure.clone();
    for _ in 0..lasts.as_secs() / 60 {
        world.run(minutes(1));
        all_get(&mut world);
    }

    world.server.reply = Reply::Token(lifetime.as_secs());
    let end = world.now;
    world.server.requests.clear();
    for _ in 0..5 {
        world.run(minutes(1));
        all_get(&mut world);
    }
    assert!(world.server.busiest_second() <= 22, "{} requests in a second", world.server.busiest_second());
    assert!(names.iter().all(|name| world.state(name) == State::Warm), "within five minutes");
    let last = world.server.requests.last().unwrap().at.since(end);
    assert!(world.server.requests.len() >= 1000 && last < minutes(3), "the budget is used: {last:?}");
}
