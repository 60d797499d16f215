//! Token endpoints that are found by discovery, shared by all clients of an issuer.

use std::sync::Arc;
use std::time::Duration;

use super::harness::*;
use crate::config::{Client, Config, Issuer};
use crate::engine::{Note, State};

const RFC_8414: &str = "/.well-known/oauth-authorization-server/op";
const OPENID: &str = "/op/.well-known/openid-configuration";

fn clients(count: usize) -> Config {
    let issuer = Arc::new(discovering());
    config((0..count).map(|number| client(&format!("c{number}"), &issuer)))
}

fn lookups(world: &World) -> Vec<&str> {
    world.server.lookups.iter().map(|(_, path)| path.as_str()).collect()
}

#[test]
fn s39_metadata_is_looked_up_where_rfc_8414_says_and_then_where_openid_says() {
    let mut world = World::new(&clients(1));
    world.run(seconds(1));
    assert_eq!(lookups(&world), [RFC_8414]);
    assert_eq!(world.state("c0"), State::Warm);

    for elsewhere in [Reply::Status(404), Reply::Body("<html>".into())] {
        let mut world = World::new(&clients(1));
        world.server.metadata =
            vec![(RFC_8414, elsewhere), (OPENID, Server::metadata("https://as.example/op"))];
        world.run(seconds(1));
        assert_eq!(lookups(&world), [RFC_8414, OPENID]);
        assert_eq!(world.state("c0"), State::Warm);
        assert!(world.notes.iter().any(
            |(_, note)| matches!(note, Note::Discovered { endpoint, .. } if endpoint == "https://as.example/op/token")
        ));
    }
}

#[test]
fn s39_the_metadata_of_another_issuer_is_refused() {
    let mut world = World::new(&clients(1));
    world.server.metadata = vec![(RFC_8414, Server::metadata("https://evil.example/op"))];
    let caller = world.get("c0");
    world.run(seconds(1));
    world.assert_blocked(caller);
    let refusal = world.refused(caller);
    assert!(refusal.message.contains("another issuer"), "{}", refusal.message);
    assert!(refusal.hint.as_ref().unwrap().contains("[issuers.as]"));
    assert_eq!(world.server.requests.len(), 0, "no credential was sent anywhere");
    world.run(minutes(10));
    assert_eq!(world.server.requests.len(), 0);
}

#[test]
fn one_lookup_serves_all_clients_and_their_requests_stay_within_the_budget() {
    let mut world = World::new(&clients(100));
    world.server.latency = seconds(3);
    world.run(seconds(40));
    assert_eq!(lookups(&world), [RFC_8414]);
    assert_eq!(world.server.requests.len(), 100);
    assert!(world.server.busiest_second() <= 22, "{}", world.server.busiest_second());
}

#[test]
fn a_slow_lookup_does_not_end_in_a_burst() {
    let wide = Issuer { max_in_flight: 1_000, ..discovering() };
    let issuer = Arc::new(wide);
    let mut world = World::new(&config((0..500).map(|number| client(&format!("c{number}"), &issuer))));
    world.server.latency = seconds(9);
    world.run(seconds(60));
    assert_eq!(world.server.requests.len(), 500);
    assert!(world.server.busiest_second() <= 25, "{}", world.server.busiest_second());
}

#[test]
fn a_failed_lookup_is_everybodys_failure_and_not_repeated_before_its_time() {
    let config = clients(1_000);
    let mut world = World::new(&config);
    world.server.metadata = vec![(RFC_8414, Reply::Status(503))];
    let caller = world.get("c7");
    world.run(seconds(30));
    assert!(world.refused(caller).message.contains("discovery of issuer as failed"));
    assert!(config.clients.keys().all(|client| world.state(client.as_str()) == State::Unavailable));

    world.run(minutes(60));
    let lookups = world.server.lookups.len();
    assert!((60..200).contains(&lookups), "{lookups} lookups in an hour");
    assert!(world.store.loads < 20 * lookups, "{} loads of {lookups} lookups", world.store.loads);
    assert_eq!(world.server.requests.len(), 0);

    world.server.metadata = vec![(RFC_8414, Server::metadata("https://as.example/op"))];
    world.run(minutes(2));
    assert!(config.clients.keys().all(|client| world.state(client.as_str()) == State::Warm));
    assert!(world.server.busiest_second() <= 25, "{}", world.server.busiest_second());
}

#[test]
fn a_lookup_that_finds_nothing_is_repeated_after_1_5_and_15_minutes_then_hourly_also_for_the_clients() {
    let mut world = World::new(&clients(2));
    world.server.metadata = Vec::new();
    world.run(minutes(200));
    let minutes: Vec<_> = world
        .server
        .lookups
        .chunks(2)
        .map(|pair| pair[0].0.since(world.at(seconds(0))).as_secs() / 60)
        .collect();
    assert_eq!(minutes, [0, 1, 6, 21, 81, 141]);
    let status = world.status("c1");
    assert_eq!(status.state, State::Blocked);
    assert!(status.next_try_in.is_some_and(|wait| wait < super::harness::minutes(2)), "{status:?}");
}

#[test]
fn retry_after_of_a_lookup_is_obeyed() {
    let mut world = World::new(&clients(3));
    world.server.metadata = vec![(RFC_8414, Reply::Later(503, "600".into()))];
    world.run(minutes(9));
    assert_eq!(world.server.lookups.len(), 1);
    assert!(world.status("c2").next_try_in.is_some_and(|wait| wait < seconds(61)));
    world.run(minutes(2));
    assert_eq!(world.server.lookups.len(), 2);
}

#[test]
fn renew_looks_up_at_once() {
    let mut world = World::new(&clients(1));
    world.server.metadata = vec![(RFC_8414, Reply::Later(503, "600".into()))];
    world.run(seconds(1));
    world.server.metadata = vec![(RFC_8414, Server::metadata("https://as.example/op"))];
    let administrator = world.renew("c0");
    world.run(seconds(1));
    assert_eq!(world.granted(administrator).token.generation, 1);
}

#[test]
fn a_known_endpoint_outlives_its_metadata() {
    let mut world = World::new(&clients(1));
    world.run(minutes(23 * 60));
    assert_eq!(world.server.lookups.len(), 1);
    world.server.metadata = vec![(RFC_8414, Reply::Hang)];
    world.run(minutes(24 * 60));
    assert!(world.server.lookups.len() > 1, "it is looked up again after a day");
    assert_eq!(world.state("c0"), State::Warm);
    assert!(world.notes.iter().all(|(_, note)| !matches!(note, Note::Failed { .. })));
    let pauses = world.pauses_of("c0");
    assert!(pauses.iter().all(|pause| *pause <= seconds(2702)), "no renewal waits for it");
}

#[test]
fn an_issuer_that_is_configured_differently_is_looked_up_at_once() {
    let mut world = World::new(&clients(1));
    world.server.metadata = vec![(RFC_8414, Server::metadata("https://evil.example/op"))];
    world.run(minutes(30));
    assert_eq!(world.state("c0"), State::Blocked);
    world.server.metadata = vec![(RFC_8414, Server::metadata("https://as.example/op"))];
    let issuer = Arc::new(Issuer { timeout: Duration::from_secs(5), ..discovering() });
    world.reload(&config([client("c0", &issuer)]));
    world.run(seconds(1));
    assert_eq!(world.state("c0"), State::Warm);
}

#[test]
fn a_credential_replaced_or_removed_during_a_lookup_is_not_used() {
    let mut world = World::new(&clients(2));
    world.server.latency = seconds(4);
    world.run(seconds(1));
    assert_eq!(world.server.lookups.len(), 1);
    world.set_secret("c0", "new");
    world.remove_credentials("c1");
    world.run(seconds(10));
    let sent: Vec<_> = world.server.requests.iter().map(|request| request.secret.as_deref()).collect();
    assert_eq!(sent, [Some("new")]);
    assert_eq!(world.server.lookups.len(), 1);
}

#[test]
fn an_assertion_names_the_discovered_issuer() {
    let issuer = Issuer { assertion_audience: crate::config::AssertionAudience::Issuer, ..discovering() };
    let config = config([Client { ..key_client("a", &issuer.into()) }]);
    let mut store = KeyStore::default();
    store.set_key("a");
    let mut world = World::with_store(&config, store);
    world.run(seconds(1));
    assert_eq!(world.state("a"), State::Warm);
    assert!(world.server.requests[0].assertion.is_some());
}
