//! Token keys that callers ask for besides the configured one.

use super::harness::*;
use crate::config::Config;
use crate::engine::MAX_NARROWED;
use tokenbroker_oauth::Scope;

/// A client whose scope has enough words to be asked for in parts.
fn many_scopes() -> Config {
    let words: Vec<_> = (0..200).map(|number| format!("s{number}")).collect();
    let scope = Some(Scope::from_tokens(words).unwrap());
    config([crate::config::Client { scope, ..client("a", &issuer().into()) }])
}

fn world() -> World {
    let mut world = World::new(&many_scopes());
    world.run(seconds(1));
    world
}

fn requests_for(world: &World, scope: &str) -> usize {
    world.server.requests.iter().filter(|request| request.scope.as_deref() == Some(scope)).count()
}

#[test]
fn a_narrower_token_is_another_one_with_a_generation_and_a_handle_of_its_own() {
    let mut world = world();
    let (configured, narrow) = (world.get("a"), world.get_scope("a", "s1"));
    world.run(seconds(1));
    let (configured, narrow) = (world.granted(configured).clone(), world.granted(narrow).clone());
    assert_eq!((configured.token.generation, narrow.token.generation), (1, 1));
    assert_ne!(configured.handle, narrow.handle);
    assert_ne!(configured.token.access_token, narrow.token.access_token);
    assert_eq!(requests_for(&world, "s1"), 1);
    assert_eq!(world.status("a").narrowed, 1);

    let again = world.get_scope("a", "s1");
    assert_eq!(world.granted(again).token.access_token, narrow.token.access_token, "at once, from its slot");
}

#[test]
fn s18_callers_of_one_part_share_one_request() {
    let mut world = world();
    let callers: Vec<_> = (0..100).map(|_| world.get_scope("a", "s1 s2")).collect();
    world.run(seconds(1));
    callers.iter().for_each(|caller| assert_eq!(world.granted(*caller).token.generation, 1));
    assert_eq!(requests_for(&world, "s1 s2"), 1);
}

#[test]
fn a_narrower_token_is_kept_warm_while_it_is_used_and_dropped_when_it_is_not() {
    let mut world = world();
    for _ in 0..24 {
        let caller = world.get_scope("a", "s1");
        world.run(minutes(10));
        assert_eq!(world.answered_at(caller).is_some(), world.answer(caller).unwrap().is_ok());
    }
    let (used, generation) = (requests_for(&world, "s1"), 240 / 45);
    assert!((generation..=generation + 2).contains(&used), "{used} requests in four hours of use");

    world.run(minutes(180));
    assert!(requests_for(&world, "s1") <= used + 1, "nobody asked");
    assert_eq!(world.status("a").narrowed, 0);
    assert_eq!(world.engine.size().tokens, 1);
}

#[test]
fn one_that_is_used_again_before_its_token_expires_is_renewed_before() {
    let mut world = world();
    world.get_scope("a", "s1");
    world.run(minutes(50));
    assert_eq!(requests_for(&world, "s1"), 1, "its renewal was due, and nobody had asked since");
    world.get_scope("a", "s1");
    world.run(minutes(9));
    let caller = world.get_scope("a", "s1");
    assert_eq!(world.granted(caller).token.generation, 2, "at once");
}

#[test]
fn s61_there_is_a_bound_and_the_one_used_least_lately_goes_first() {
    let mut world = world();
    for number in 0..MAX_NARROWED {
        world.get_scope("a", &format!("s{number}"));
        world.run(seconds(5));
    }
    world.get_scope("a", "s0");
    world.run(seconds(1));
    let more = world.get_scope("a", "s100");
    world.run(seconds(5));
    assert!(world.answer(more).unwrap().is_ok());
    assert_eq!(world.status("a").narrowed, MAX_NARROWED);

    let sent = world.server.requests.len();
    let kept = world.get_scope("a", "s0");
    assert!(world.answer(kept).unwrap().is_ok(), "at once: it was used a moment ago");
    world.get_scope("a", "s1");
    world.run(seconds(1));
    assert_eq!(world.server.requests.len(), sent + 1, "the oldest had to go");
}

#[test]
fn s27_what_the_server_refused_is_remembered_for_each_part() {
    let mut world = world();
    world.server.reply = Reply::Error("invalid_scope");
    let first = world.get_scope("a", "s1");
    world.run(seconds(1));
    world.assert_blocked(first);
    world.run(seconds(30));
    let again = world.get_scope("a", "s1");
    world.assert_blocked(again);
    assert_eq!(requests_for(&world, "s1"), 1);
    let configured = world.get("a");
    assert!(world.answer(configured).unwrap().is_ok());

    // Somebody asks every ten minutes, for a day: 1, 5 and 15 minutes, then hourly.
    for _ in 0..6 * 24 {
        world.get_scope("a", "s1");
        world.run(minutes(10));
    }
    let sent = requests_for(&world, "s1");
    assert!((20..=30).contains(&sent), "{sent} requests in a day");
    world.run(minutes(120));
    assert_eq!(world.status("a").narrowed, 0, "and forgotten when nobody asks");
}

#[test]
fn s27_what_was_refused_can_not_be_forgotten_by_asking_for_something_else() {
    let mut world = world();
    world.server.reply = Reply::Error("invalid_scope");
    let requests_before = world.server.requests.len();
    for round in 0..10 {
        for number in 0..200 {
            world.get_scope("a", &format!("s{number}"));
        }
        world.run(seconds(5));
        let sent = world.server.requests.len() - requests_before;
        assert!(sent <= MAX_NARROWED, "{sent} requests after round {round}");
    }
    let refused = world.get_scope("a", "s199");
    assert!(world.refused(refused).message.contains("can't have more"));
}

#[test]
fn s26_all_parts_of_a_client_share_the_ladder_of_its_credential() {
    let mut world = World::new(&many_scopes());
    world.server.reply = Reply::Error("invalid_client");
    for number in 0..20 {
        world.get_scope("a", &format!("s{number}"));
    }
    let callers: Vec<_> = (0..20).map(|number| world.get_scope("a", &format!("s{number}"))).collect();
    world.run(minutes(61) - seconds(1));
    assert_eq!(world.server.requests.len(), 2, "in the first hour");
    callers.iter().for_each(|caller| world.assert_blocked(*caller));
    world.run(minutes(60 * 10));
    assert!(world.server.requests.len() <= 12, "then one an hour: {}", world.server.requests.len());

    world.server.reply = Reply::Token(3600);
    world.set_secret("a", "right");
    let caller = world.get_scope("a", "s3");
    world.run(seconds(2));
    assert!(world.answer(caller).unwrap().is_ok());
    assert!(world.get("a") > caller && world.state("a") == crate::engine::State::Warm);
}

#[test]
fn a_credential_in_doubt_is_tried_by_one_and_the_others_follow() {
    let mut world = World::new(&many_scopes());
    world.server.latency = seconds(1);
    let callers: Vec<_> = (0..5).map(|number| world.get_scope("a", &format!("s{number}"))).collect();
    world.run(std::time::Duration::from_millis(900));
    assert_eq!(world.server.requests.len(), 1);
    world.run(seconds(3));
    callers.iter().for_each(|caller| assert!(world.answer(*caller).unwrap().is_ok()));
    assert_eq!(world.server.requests.len(), 6);
}

#[test]
fn s55_parts_go_with_the_credential() {
    let mut world = world();
    let caller = world.get_scope("a", "s1");
    world.run(seconds(1));
    let handle = world.granted(caller).handle;
    let slot = world.engine.slots().find("a").unwrap();
    let cell = slot.cell(handle).unwrap();
    world.remove_credentials("a");
    assert!(cell.current(world.now).is_none(), "whoever still holds it");
    assert_eq!(world.status("a").narrowed, 0);
    let caller = world.get_scope("a", "s1");
    world.run(seconds(1));
    world.assert_blocked(caller);
}

#[test]
fn a_part_that_a_reload_forbids_is_gone_with_it() {
    let mut world = world();
    world.get_scope("a", "s1");
    world.run(seconds(1));
    let narrower =
        crate::config::Client { scope: Some(Scope::parse("s7").unwrap()), ..client("a", &issuer().into()) };
    world.reload(&config([narrower]));
    let caller = world.get_scope("a", "s1");
    world.run(seconds(1));
    assert!(world.refused(caller).message.contains("changed"));
    assert_eq!(requests_for(&world, "s1"), 1);
}

#[test]
fn s34_one_that_was_issued_again_is_not_forgotten_to_ask_once_more() {
    let issuer = crate::config::Issuer { max_in_flight: 200, max_per_second: 0, ..issuer() };
    let scopes: Vec<String> = (0..=MAX_NARROWED).map(|number| format!("s{number}")).collect();
    let scope = tokenbroker_oauth::Scope::parse(&scopes.join(" ")).unwrap();
    let client = crate::config::Client { scope: Some(scope), ..client("a", &issuer.into()) };
    let mut world = World::new(&config([client]));
    world.server.reissues = true;
    for scope in &scopes[..MAX_NARROWED] {
        world.get_scope("a", scope);
    }
    world.run(seconds(1));
    for handle in world.engine.handles_of(&name("a")) {
        world.reject("a", handle, 1);
    }
    world.run(seconds(1));
    let requests = world.server.requests.len();
    let one_more = world.get_scope("a", &scopes[MAX_NARROWED]);
    world.run(seconds(1));
    assert!(world.refused(one_more).message.contains("can't have more"));
    assert_eq!(world.server.requests.len(), requests);
}
