//! Configurations that change while tokens live.

use std::sync::Arc;

use super::harness::*;
use crate::config::{Client, Issuer};
use crate::engine::{Reason, State};

fn other_scope(client: Client) -> Client {
    Client { scope: None, ..client }
}

#[test]
fn clients_that_did_not_change_keep_their_tokens_and_their_slots() {
    let issuer = Arc::new(issuer());
    let mut world = World::new(&config(["a", "b", "c"].map(|name| client(name, &issuer))));
    world.run(seconds(1));
    let slot = world.engine.slots().find("a").unwrap();
    let allowed = Client { renew_at: 0.5, ..client("b", &issuer) };
    world.reload(&config([client("a", &issuer), allowed, client("d", &issuer)]));
    world.run(seconds(1));
    assert!(Arc::ptr_eq(&slot, &world.engine.slots().find("a").unwrap()));
    assert_eq!(world.requests_of("a").len(), 1);
    assert_eq!(world.requests_of("b").len(), 1, "its token is the same");
    assert!(world.engine.slots().find("c").is_none());
    assert_eq!(world.status("d").last_failure.map(|failure| failure.code), Some("no_credential"));
    assert_eq!(world.engine.tokens.len(), 3);
}

#[test]
fn a_removed_client_takes_its_token_with_it_and_its_callers_are_told() {
    let issuer = Arc::new(issuer());
    let mut world = World::new(&config([client("a", &issuer), client("b", &issuer)]));
    world.run(seconds(1));
    let slot = world.engine.slots().find("a").unwrap();
    world.server.latency = seconds(5);
    let administrator = world.renew("a");
    world.run(seconds(1));
    world.reload(&config([client("b", &issuer)]));
    assert_eq!(world.refused(administrator).reason, Reason::UnknownClient);
    assert!(slot.current(world.now).is_none(), "for whoever still holds the slot");
    world.run(seconds(10));
    assert!(slot.current(world.now).is_none());
    assert_eq!(world.state("b"), State::Warm);
}

#[test]
fn an_added_client_is_fetched_at_once() {
    let issuer = Arc::new(issuer());
    let mut world = World::new(&config([client("a", &issuer)]));
    world.run(seconds(1));
    world.store.set_secret("b", "right");
    world.reload(&config([client("a", &issuer), client("b", &issuer)]));
    world.run(seconds(1));
    assert_eq!(world.state("b"), State::Warm);
}

#[test]
fn a_client_whose_token_is_another_now_starts_anew() {
    let issuer = Arc::new(issuer());
    let mut world = World::new(&config([client("a", &issuer)]));
    world.run(seconds(1));
    let slot = world.engine.slots().find("a").unwrap();
    world.reload(&config([other_scope(client("a", &issuer))]));
    assert!(slot.current(world.now).is_none());
    let caller = world.get("a");
    assert!(world.answer(caller).is_none());
    assert!(world.status("a").credential.is_some());
    world.run(seconds(1));
    assert_ne!(world.granted(caller).handle, slot.handle());
    assert_eq!(world.granted(caller).token.scope, None);
}

#[test]
fn what_was_counted_of_a_client_is_kept_when_its_token_becomes_another() {
    let issuer = Arc::new(issuer());
    let mut world = World::new(&config([client("a", &issuer), client("b", &issuer)]));
    world.run(seconds(1));
    let slot = world.engine.slots().find("a").unwrap();
    slot.served();
    slot.served();
    world.reload(&config([other_scope(client("a", &issuer)), client("b", &issuer)]));
    let status = world.status("a");
    assert_eq!((status.token_requests, status.gets), (1, 2), "before the new token is asked for");
    world.run(seconds(1));
    world.engine.slots().find("a").unwrap().served();
    let status = world.status("a");
    assert_eq!((status.token_requests, status.gets), (2, 3));
    assert_eq!((world.status("b").token_requests, world.status("b").gets), (1, 0));
}

#[test]
fn a_caller_that_waits_while_the_token_becomes_another_asks_again() {
    let issuer = Arc::new(issuer());
    let mut world = World::new(&config([client("a", &issuer)]));
    world.server.latency = seconds(3);
    let caller = world.get("a");
    world.run(seconds(1));
    world.reload(&config([other_scope(client("a", &issuer))]));
    let refusal = world.refused(caller);
    assert_eq!(refusal.reason, Reason::NoToken, "it may have been permitted the old token only");
    assert!(refusal.message.contains("changed"));
    let caller = world.get("a");
    world.run(seconds(4));
    assert_eq!(world.granted(caller).token.scope, None, "the late reply to the old request was ignored");
}

#[test]
fn a_credential_stays_accepted_when_only_the_scope_changes() {
    for (moved, expected) in [(false, [1, 5]), (true, [1, 60])] {
        let issuer = Arc::new(issuer());
        let mut world = World::new(&config([client("a", &issuer)]));
        world.run(seconds(1));
        world.server.reply = Reply::Error("invalid_client");
        let mut changed = other_scope(client("a", &issuer));
        if moved {
            changed.issuer = Arc::new(Issuer { name: "other".into(), ..(*issuer).clone() });
        }
        world.reload(&config([changed]));
        world.run(minutes(120));
        let pauses: Vec<_> = world.pauses_of("a")[1..3].iter().map(|pause| pause.as_secs() / 60).collect();
        assert_eq!(pauses, expected, "moved: {moved}");
    }
}

#[test]
fn places_at_the_gate_come_back_from_clients_that_are_removed_or_replaced_under_way() {
    let issuer = Arc::new(Issuer { max_in_flight: 2, ..issuer() });
    let before = config(["a", "b", "c", "d"].map(|name| client(name, &issuer)));
    for server_latency in [seconds(5), seconds(0)] {
        let mut world = World::new(&before);
        world.server.latency = server_latency;
        world.store.latency = seconds(2) - server_latency / 5;
        world.run(seconds(3));
        // Two are under way: one is replaced, the other removed.
        world.reload(&config([
            other_scope(client("a", &issuer)),
            client("c", &issuer),
            client("d", &issuer),
        ]));
        world.run(seconds(60));
        for client in ["a", "c", "d"] {
            assert_eq!(world.state(client), State::Warm, "{client}");
        }
        assert_eq!(world.engine.issuers["as"].gate.in_flight(), 0);
    }
}

#[test]
fn wider_budgets_count_at_once() {
    let narrow = Arc::new(Issuer { max_in_flight: 1, ..issuer() });
    let names: Vec<_> = (0..10).map(|number| format!("c{number}")).collect();
    let mut world = World::new(&config(names.iter().map(|name| client(name, &narrow))));
    world.server.reply = Reply::Hang;
    world.run(seconds(1));
    assert_eq!(world.server.requests.len(), 1);
    let wide = Arc::new(issuer());
    world.reload(&config(names.iter().map(|name| client(name, &wide))));
    world.run(seconds(1));
    assert_eq!(world.server.requests.len(), 8);
}

#[test]
fn an_issuer_that_moved_is_discovered_anew_and_its_tokens_are_dropped() {
    let before = Arc::new(discovering());
    let mut world = World::new(&config([client("a", &before)]));
    world.run(seconds(1));
    assert_eq!(world.state("a"), State::Warm);
    let after = Arc::new(issuer());
    world.reload(&config([client("a", &after)]));
    assert_eq!(world.state("a"), State::Pending);
    world.run(seconds(1));
    assert_eq!(world.state("a"), State::Warm);
    assert_eq!(world.requests_of("a").len(), 2);
}

#[test]
fn a_reload_during_a_lookup_of_an_issuer_that_is_gone_is_harmless() {
    let gone = Arc::new(Issuer { name: "gone".into(), ..discovering() });
    let stays = Arc::new(issuer());
    let mut world = World::new(&config([client("a", &gone), client("b", &stays)]));
    world.server.latency = seconds(3);
    world.run(seconds(1));
    assert_eq!(world.server.lookups.len(), 1);
    world.reload(&config([client("a", &stays), client("b", &stays)]));
    world.run(seconds(10));
    assert_eq!(world.state("a"), State::Warm);
    assert_eq!(world.server.lookups.len(), 1);
}

#[test]
fn a_reload_before_the_key_store_was_listed_changes_nothing_about_that() {
    let issuer = Arc::new(issuer());
    let both = config([client("a", &issuer), client("b", &issuer)]);
    let mut store = KeyStore::with_secrets(both.clients.keys());
    store.latency = seconds(1);
    let mut world = World::with_store(&config([client("a", &issuer)]), store);
    world.carry_out_effects();
    world.reload(&both);
    world.run(seconds(5));
    assert_eq!(world.state("a"), State::Warm);
    assert_eq!(world.state("b"), State::Warm);
    assert_eq!(world.store.listings, 1);
}

#[test]
fn a_changed_renew_at_counts_for_the_token_there_is() {
    let issuer = Arc::new(issuer());
    let mut world = World::new(&config([client("a", &issuer)]));
    world.run(minutes(1));
    world.reload(&config([Client { renew_at: 0.5, ..client("a", &issuer) }]));
    let renew_in = world.status("a").renew_in.unwrap();
    assert!(renew_in > minutes(22) && renew_in < minutes(30), "{renew_in:?}");
    world.run(minutes(25));
    world.reload(&config([Client { renew_at: 0.2, ..client("a", &issuer) }]));
    world.run(seconds(1));
    assert_eq!(world.status("a").generation, 2, "that part has passed");
}
