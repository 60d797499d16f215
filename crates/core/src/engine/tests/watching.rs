//! Those who watch a token key are told when what is published of it changes, and only they.

use super::harness::*;
use crate::config::Config;
use crate::engine::Party;
use crate::slots::{Cell, Watch};
use std::sync::Arc;
use tokenbroker_oauth::Scope;

fn two_clients() -> Config {
    let issuer = issuer().into();
    let scope = Some(Scope::from_tokens(["read", "write"]).unwrap());
    config([crate::config::Client { scope, ..client("a", &issuer) }, client("b", &issuer)])
}

fn world() -> World {
    let mut world = World::new(&two_clients());
    world.run(seconds(1));
    world
}

fn cell(world: &World, client: &str) -> Arc<Cell> {
    let slot = world.engine.slots().find(client).unwrap();
    slot.cell(slot.handle()).unwrap()
}

fn watch(world: &World, client: &str) -> Watch {
    cell(world, client).watch()
}

#[test]
fn a_renewal_is_told_to_who_watches_and_to_nobody_after() {
    let mut world = world();
    world.run(minutes(60));
    assert!(world.published.is_empty(), "nobody watched");

    let watched = watch(&world, "a");
    let handle = watched.cell().handle();
    world.run(minutes(60));
    assert_eq!(world.published, [handle], "one renewal of one of the two");
    assert!(watched.cell().current(world.clocks().boot).is_some());

    drop(watched);
    world.run(minutes(60));
    assert_eq!(world.published, [handle]);
}

#[test]
fn s55_a_removed_credential_is_told_at_once() {
    let mut world = world();
    let watched = watch(&world, "a");
    world.remove_credentials("a");
    assert_eq!(world.published, [watched.cell().handle()]);
    assert!(watched.cell().current(world.clocks().boot).is_none());
}

#[test]
fn a_client_that_leaves_the_configuration_is_told_of() {
    let mut world = world();
    let watched = watch(&world, "a");
    world.reload(&config([client("b", &issuer().into())]));
    assert_eq!(world.published, [watched.cell().handle()]);
    assert!(watched.cell().current(world.clocks().boot).is_none());
}

#[test]
fn a_narrower_token_is_kept_warm_while_it_is_watched() {
    let mut world = world();
    let caller = world.get_scope("a", "read");
    world.run(seconds(1));
    let handle = world.granted(caller).handle;
    let watched = world.engine.slots().find("a").unwrap().cell(handle).unwrap().watch();
    world.run(minutes(600));
    assert!(world.published.len() >= 10, "{} renewals in ten hours", world.published.len());
    assert!(watched.cell().current(world.clocks().boot).is_some());

    drop(watched);
    world.run(minutes(180));
    assert_eq!(world.status("a").narrowed, 0, "nobody uses it");
}

#[test]
fn a_refusal_says_who_can_put_it_right() {
    let mut world = World::with_store(&two_clients(), KeyStore::default());
    let caller = world.get("a");
    world.run(seconds(1));
    assert_eq!(world.refused(caller).fixed_by, Some(Party::Operator), "there is no credential");

    let mut world = World::new(&two_clients());
    world.server.reply = Reply::Unreachable;
    let caller = world.get("a");
    world.run(minutes(1));
    assert_eq!(world.refused(caller).fixed_by, Some(Party::Server), "the server is down");
}
