//! Credentials that are missing, unreachable, replaced or removed.

use std::time::Duration;

use super::harness::*;
use crate::config::Config;
use crate::engine::{Note, Reason, State};

fn one_client() -> Config {
    config([client("a", &issuer().into())])
}

#[test]
fn s52_a_key_store_unavailable_at_start_is_asked_again_until_it_answers() {
    let config = one_client();
    let mut store = KeyStore::with_secrets(config.clients.keys());
    store.is_unavailable = true;
    let mut world = World::with_store(&config, store);
    let caller = world.get("a");
    world.run(minutes(10));
    let refusal = world.refused(caller);
    assert_eq!(refusal.reason, Reason::NoToken);
    assert_eq!(refusal.message, "the keyring is locked");
    assert_eq!(refusal.hint.as_deref(), Some("unlock it"));
    assert!(refusal.next_try.is_some_and(|next_try| next_try >= world.at(WAIT)));
    let status = world.status("a");
    assert_eq!(status.state, State::Unavailable);
    assert_eq!(status.last_failure.map(|failure| failure.code), Some("key_store"));
    assert!(status.next_try_in.is_some_and(|wait| wait <= minutes(1)));
    assert!((10..60).contains(&world.store.listings), "{} listings in ten minutes", world.store.listings);

    world.store.is_unavailable = false;
    world.run(minutes(1) + seconds(1));
    assert_eq!(world.state("a"), State::Warm);
    let listings = world.store.listings;
    world.run(minutes(60));
    assert_eq!(world.store.listings, listings, "once is enough");
}

#[test]
fn s52_a_key_store_that_becomes_unavailable_later_is_tried_again_while_tokens_are_served() {
    let mut world = World::new(&one_client());
    world.run(seconds(1));
    world.store.is_unavailable = true;
    world.run(minutes(55));
    assert_eq!(world.state("a"), State::Degraded);
    let caller = world.get("a");
    assert_eq!(world.granted(caller).token.generation, 1);
    assert!((10..100).contains(&world.store.loads), "{} loads", world.store.loads);

    world.store.is_unavailable = false;
    world.run(minutes(1) + seconds(1));
    assert_eq!(world.state("a"), State::Warm);
    assert_eq!(world.requests_of("a").len(), 2);
}

#[test]
fn s52_a_warm_token_is_not_degraded_by_a_listing_that_failed() {
    let config = one_client();
    let mut world = World::with_store(&config, KeyStore::default());
    world.store.is_unavailable = true;
    world.run(seconds(1));
    world.store.is_unavailable = false;
    world.set_secret("a", "right");
    world.run_until_it_holds(|world| world.state("a") != State::Pending);
    assert_eq!(world.state("a"), State::Warm);
}

#[test]
fn a_client_without_a_credential_is_blocked_and_says_what_to_do() {
    let issuer = issuer().into();
    let config = config([client("a", &issuer), key_client("b", &issuer)]);
    let mut world = World::with_store(&config, KeyStore::default());
    let early = world.get("a");
    world.run(seconds(1));
    let late = world.get("b");
    for (caller, hint) in
        [(early, "tokenbroker secret set a"), (late, "tokenbroker key generate b --alg RS256")]
    {
        world.assert_blocked(caller);
        assert!(world.refused(caller).hint.as_ref().unwrap().contains(hint));
    }
    assert_eq!(world.status("a").last_failure.map(|failure| failure.code), Some("no_credential"));

    world.run(minutes(24 * 60));
    assert_eq!(world.server.requests.len(), 0);
    assert!(world.store.loads <= 2 * 25, "about once an hour for each: {} loads", world.store.loads);
    assert!(world.notes.len() <= 2 * 26, "{} notes", world.notes.len());
}

#[test]
fn the_first_credential_is_used_at_once() {
    let mut world = World::with_store(&one_client(), KeyStore::default());
    world.run(minutes(30));
    world.set_secret("a", "right");
    let caller = world.get("a");
    world.run(seconds(1));
    assert_eq!(world.granted(caller).token.generation, 1);
}

#[test]
fn s55_a_credential_removed_through_the_broker_takes_its_tokens_with_it() {
    let mut world = World::new(&one_client());
    world.run(seconds(1));
    let slot = world.engine.slots().find("a").unwrap();
    assert!(slot.current(world.now).is_some());
    world.remove_credentials("a");
    assert!(slot.current(world.now).is_none(), "at once");
    let caller = world.get("a");
    world.assert_blocked(caller);
    assert!(world.notes.iter().any(|(_, note)| matches!(note, Note::CredentialGone { .. })));
    assert_eq!(world.status("a").credential, None);
}

#[test]
fn s55_a_removal_while_a_request_is_under_way_discards_its_reply() {
    let mut world = World::new(&one_client());
    world.server.latency = seconds(5);
    let caller = world.get("a");
    world.run(seconds(2));
    world.remove_credentials("a");
    world.assert_blocked(caller);
    world.run(seconds(10));
    assert_eq!(world.state("a"), State::Blocked);
    assert!(world.engine.slots().find("a").unwrap().current(world.now).is_none());
}

#[test]
fn s55_a_credential_removed_behind_the_brokers_back_is_noticed_at_its_next_use() {
    let mut world = World::new(&one_client());
    world.run(seconds(1));
    world.store.remove("a");
    let slot = world.engine.slots().find("a").unwrap();
    world.run(minutes(38));
    assert!(slot.current(world.now).is_some());
    world.run(minutes(8));
    assert!(slot.current(world.now).is_none());
    assert_eq!(world.state("a"), State::Blocked);
    assert_eq!(world.status("a").credential, None);
    assert_eq!(world.requests_of("a").len(), 1);

    world.store.set_secret("a", "right");
    world.run(minutes(61));
    assert_eq!(world.state("a"), State::Warm, "and so is one that comes back");
}

#[test]
fn s54_a_credential_replaced_during_a_request_is_tried_as_soon_as_that_ends() {
    for old_is_accepted in [true, false] {
        let mut world = World::new(&one_client());
        world.server.latency = seconds(3);
        world.server.secret = Some(if old_is_accepted { "right" } else { "new" });
        let caller = world.get("a");
        world.run(seconds(2));
        world.set_secret("a", "new");
        world.server.secret = Some("new");
        assert_eq!(world.requests_of("a").len(), 1, "one at a time");
        world.run(seconds(9));
        let secrets: Vec<_> = world.server.requests.iter().map(|request| request.secret.as_deref()).collect();
        assert_eq!(secrets, [Some("right"), Some("new")]);
        assert!(world.granted(caller).token.generation == 1);
        assert_eq!(world.state("a"), State::Warm);
        assert_eq!(world.status("a").credential.map(|credential| credential.version), Some("v2".into()));
    }
}

#[test]
fn s54_a_credential_replaced_before_the_request_is_the_one_that_is_sent() {
    let mut world = World::new(&one_client());
    world.store.latency = seconds(2);
    let caller = world.get("a");
    // The listing takes two seconds; in the third the old credential is on its way.
    world.run(seconds(3));
    world.set_secret("a", "new");
    world.run(seconds(5));
    let secrets: Vec<_> = world.server.requests.iter().map(|request| request.secret.as_deref()).collect();
    assert_eq!(secrets, [Some("new")]);
    assert_eq!(world.granted(caller).token.generation, 1);
}

#[test]
fn the_first_credential_is_not_missed_when_it_comes_during_a_look_that_found_none() {
    let mut world = World::with_store(&one_client(), KeyStore::default());
    world.run(seconds(1));
    world.store.latency = seconds(2);
    world.renew("a");
    world.run(seconds(1));
    world.set_secret("a", "right");
    let caller = world.get("a");
    world.run(seconds(5));
    assert_eq!(world.granted(caller).token.generation, 1);
}

#[test]
fn a_listing_does_not_overrule_what_happened_since() {
    let mut world = World::new(&one_client());
    world.store.latency = seconds(2);
    // The listing with the credential is on its way.
    world.carry_out_effects();
    world.remove_credentials("a");
    world.run(seconds(10));
    assert_eq!(world.state("a"), State::Blocked);
    assert_eq!(world.status("a").credential, None);
    assert_eq!(world.store.loads, 0, "no reason to look");
}

#[test]
fn a_secret_is_of_no_use_to_a_client_with_a_key_and_the_reverse() {
    let issuer = issuer().into();
    let config = config([client("secret", &issuer), key_client("key", &issuer)]);
    let mut store = KeyStore::default();
    store.set_key("secret");
    store.set_secret("key", "right");
    let mut world = World::with_store(&config, store);
    world.run(minutes(90));
    for (client, words) in [("secret", "needs a secret"), ("key", "needs a private key")] {
        let caller = world.get(client);
        world.assert_blocked(caller);
        assert!(world.refused(caller).message.contains(words), "{}", world.refused(caller).message);
        assert!(world.refused(caller).hint.is_some());
    }
    assert_eq!(world.server.requests.len(), 0);
}

#[test]
fn s40_each_attempt_of_a_key_client_has_an_assertion_of_its_own() {
    let config = config([key_client("a", &issuer().into())]);
    let mut store = KeyStore::default();
    store.set_key("a");
    let mut world = World::with_store(&config, store);
    world.server.reply = Reply::Status(500);
    world.run(minutes(10));
    world.server.reply = Reply::Token(3600);
    world.run(minutes(2));
    assert_eq!(world.state("a"), State::Warm);
    let mut assertions: Vec<_> =
        world.server.requests.iter().filter_map(|request| request.assertion.clone()).collect();
    let requests = world.server.requests.len();
    assertions.sort();
    assertions.dedup();
    assert!(requests > 10);
    assert_eq!(assertions.len(), requests);
    assert!(world.server.requests.iter().all(|request| request.secret.is_none()));
}

#[test]
fn s52_a_signature_that_fails_is_tried_again() {
    let config = config([key_client("a", &issuer().into())]);
    let mut store = KeyStore::default();
    store.set_key("a");
    let mut world = World::with_store(&config, store);
    world.run(Duration::from_micros(1_500));
    world.store.is_unavailable = true;
    world.run(seconds(1));
    assert_eq!(world.server.requests.len(), 0);
    assert_eq!(world.state("a"), State::Unavailable);
    world.store.is_unavailable = false;
    world.run(minutes(1));
    assert_eq!(world.state("a"), State::Warm);
}

#[test]
fn a_credential_that_the_key_store_told_of_first_is_used_once() {
    let config = config([client("a", &issuer().into())]);
    let mut world = World::with_store(&config, KeyStore::default());
    world.store.set_secret("a", "right");
    // The listing finds it, and its request is under way when the session that stored it says so.
    world.run_until_it_holds(|world| !world.server.requests.is_empty());
    world.credentials_changed("a");
    world.run(minutes(1));
    assert_eq!(world.requests_of("a").len(), 1);
    world.credentials_changed("a");
    world.run(minutes(1));
    assert_eq!(world.requests_of("a").len(), 1);
}
