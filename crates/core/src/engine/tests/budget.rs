//! Many clients of one issuer: who goes first, and how much the authorization server sees at once.

use std::sync::Arc;
use std::time::Duration;

use super::harness::*;
use crate::config::{Client, Config, Issuer};
use crate::engine::State;

fn clients(count: usize, issuer: Issuer) -> Config {
    let issuer = Arc::new(issuer);
    config((0..count).map(|number| client(&format!("c{number}"), &issuer)))
}

fn count(world: &World, config: &Config, state: State) -> usize {
    config.clients.keys().filter(|client| world.state(client.as_str()) == state).count()
}

#[test]
fn s19_at_start_those_with_waiting_callers_go_first_within_the_budget() {
    let config = clients(1_000, issuer());
    let mut world = World::new(&config);
    world.run(seconds(1));
    let callers: Vec<_> = (900..940).map(|number| world.get(&format!("c{number}"))).collect();
    world.run(seconds(3));
    for caller in callers {
        assert_eq!(world.granted(caller).token.generation, 1);
    }
    world.run(seconds(48));
    assert_eq!(count(&world, &config, State::Warm), 1_000, "the budget is used");
    assert_eq!(world.server.requests.len(), 1_000);
    assert!(world.server.busiest_second() <= 22, "{}", world.server.busiest_second());
}

#[test]
fn s19_no_more_requests_are_under_way_than_allowed() {
    let config = clients(100, Issuer { max_in_flight: 3, max_per_second: 0, ..issuer() });
    let mut world = World::new(&config);
    world.server.latency = seconds(1);
    world.run(Duration::from_millis(500));
    assert_eq!(world.server.requests.len(), 3);
    world.run(seconds(10));
    assert_eq!(world.server.requests.len(), 33);
    world.run(seconds(24));
    assert_eq!(count(&world, &config, State::Warm), 100);
}

#[test]
fn s20_equal_expiries_spread_out() {
    let config = clients(1_000, Issuer { max_per_second: 0, max_in_flight: 1_000, ..issuer() });
    let mut world = World::new(&config);
    world.run(seconds(2));
    assert_eq!(world.server.requests.len(), 1_000);
    world.server.requests.clear();
    world.run(minutes(60));
    assert_eq!(world.server.requests.len(), 1_000);
    let (first, last) = (world.server.requests[0].at, world.server.requests[999].at);
    assert!(last.since(first) > minutes(5), "a tenth of an hour, more or less");
    assert!(world.server.busiest_second() < 20, "{}", world.server.busiest_second());
}

#[test]
fn s23_the_end_of_an_outage_is_a_ramp() {
    let config = clients(1_000, issuer());
    let mut world = World::new(&config);
    world.server.reply = Reply::Unreachable;
    world.run(minutes(30));
    assert_eq!(count(&world, &config, State::Unavailable), 1_000);
    assert!(world.server.busiest_second() <= 22, "during it: {}", world.server.busiest_second());

    world.server.requests.clear();
    world.server.reply = Reply::Token(3600);
    let callers: Vec<_> = (500..530).map(|number| world.get(&format!("c{number}"))).collect();
    world.run(minutes(3));
    assert_eq!(count(&world, &config, State::Warm), 1_000);
    assert!(world.server.busiest_second() <= 22, "after it: {}", world.server.busiest_second());
    for caller in callers {
        assert!(world.answer(caller).is_some());
    }
}

#[test]
fn s49_what_is_due_on_resume_is_spread_by_the_budget() {
    let config = clients(1_000, issuer());
    let mut world = World::new(&config);
    world.run(minutes(2));
    assert_eq!(count(&world, &config, State::Warm), 1_000);
    world.server.requests.clear();
    world.suspend(minutes(180));
    let caller = world.get("c999");
    world.run(seconds(1));
    assert_eq!(world.granted(caller).token.generation, 2, "waiting callers first");
    world.run(seconds(55));
    assert_eq!(count(&world, &config, State::Warm), 1_000);
    assert_eq!(world.server.requests.len(), 1_000);
    assert!(world.server.busiest_second() <= 22, "{}", world.server.busiest_second());
}

#[test]
fn a_slow_issuer_does_not_delay_the_clients_of_another() {
    let slow = Arc::new(issuer());
    let quick = Arc::new(Issuer { name: "quick".into(), ..issuer() });
    let mut all: Vec<Client> = (0..100).map(|number| client(&format!("s{number}"), &slow)).collect();
    all.push(client("q", &quick));
    let mut world = World::new(&config(all));
    for number in 0..100 {
        world.server.replies.insert(format!("s{number}"), Reply::Hang);
    }
    let caller = world.get("q");
    world.run(seconds(1));
    assert_eq!(world.granted(caller).token.generation, 1);
}

#[test]
fn attempts_that_end_in_the_key_store_do_not_use_up_the_budget() {
    let all = clients(200, Issuer { max_per_second: 1, ..issuer() });
    let mut store = KeyStore::default();
    for number in 0..200 {
        store.set_key(&format!("c{number}"));
    }
    store.set_secret("c150", "right");
    let mut world = World::with_store(&all, store);
    world.run(seconds(5));
    assert_eq!(count(&world, &all, State::Blocked), 199);
    assert_eq!(world.state("c150"), State::Warm);
}

#[test]
fn s23_a_key_store_that_answers_all_at_once_after_a_hang_makes_no_herd() {
    let issuer = Arc::new(Issuer { max_per_second: 5, max_in_flight: 64, ..issuer() });
    let names: Vec<_> = (0..100).map(|number| format!("c{number}")).collect();
    for with_key in [false, true] {
        let client = |name: &String| if with_key { key_client(name, &issuer) } else { client(name, &issuer) };
        let config = config(names.iter().map(client));
        let mut store = KeyStore::with_secrets(config.clients.keys());
        if with_key {
            names.iter().for_each(|name| store.set_key(name));
        }
        let mut world = World::with_store(&config, store);
        world.run(Duration::from_millis(10));
        // Whatever it is asked in the first ten seconds is answered at the end of them.
        let answers = world.at(seconds(10));
        while world.now < answers {
            world.store.latency = answers.since(world.now);
            world.run(Duration::from_millis(10));
        }
        world.store.latency = Duration::from_millis(1);
        world.run(minutes(1));
        assert!(world.server.busiest_second() <= 6, "{} in a second", world.server.busiest_second());
        assert_eq!(world.server.requests.len(), 100);
    }
}
