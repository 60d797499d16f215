//! Tokens that outlive the daemon.

use std::sync::Arc;

use super::harness::*;
use crate::config::{Config, Daemon};
use crate::engine::{Event, Note, State};
use tokenbroker_oauth::Scope;

fn two_clients() -> Config {
    let issuer = Arc::new(issuer());
    config([client("a", &issuer), client("b", &issuer)])
}

fn warm() -> World {
    let mut world = World::new(&two_clients());
    world.run(seconds(1));
    let caller = world.get_scope("a", "read");
    world.run(minutes(5));
    assert!(world.answer(caller).unwrap().is_ok());
    assert_eq!(world.kept.len(), 3);
    world
}

#[test]
fn s70_tokens_survive_a_restart_while_the_server_is_unreachable() {
    let mut world = warm();
    let sent = world.server.requests.len();
    world.server.reply = Reply::Unreachable;
    world.restart(&two_clients());
    world.run(seconds(1));
    let callers = [world.get("a"), world.get("b"), world.get_scope("a", "read")];
    callers.iter().for_each(|caller| assert_eq!(world.granted(*caller).token.generation, 1));
    assert_eq!(world.state("a"), State::Warm);
    assert_eq!(world.server.requests.len(), sent, "they are renewed when they would have been");
    assert!(world.notes.iter().any(|(_, note)| *note == Note::Restored { tokens: 3 }));

    world.server.reply = Reply::Token(3600);
    world.run(minutes(50));
    assert_eq!(world.status("a").generation, 2);
}

#[test]
fn s70_callers_that_ask_before_all_is_known_get_the_kept_token() {
    let mut world = warm();
    let sent = world.server.requests.len();
    world.restart(&two_clients());
    let caller = world.get("a");
    world.run(seconds(1));
    assert!(world.answer(caller).unwrap().is_ok());
    assert_eq!(world.server.requests.len(), sent);
}

#[test]
fn s63_what_is_bound_to_something_else_is_fetched_anew() {
    type Change = fn(&mut World, &mut Config);
    let changes: [(&str, Change); 6] = [
        ("another credential", |world, _| world.store.set_secret("a", "right")),
        ("no credential", |world, _| world.store.remove("a")),
        ("another scope", |_, config| {
            change(config, |client| client.scope = Some(Scope::parse("write").unwrap()));
        }),
        ("another client ID", |_, config| change(config, |client| client.client_id = "other".into())),
        ("another parameter", |_, config| {
            change(config, |client| drop(client.params.insert("key".into(), "value".into())));
        }),
        ("another token's words", |world, _| {
            let [a, b] = [0, 2].map(|index| world.kept[index].binding.clone());
            (world.kept[0].binding, world.kept[2].binding) = (b, a);
        }),
    ];
    for (what, apply) in changes {
        let mut world = warm();
        let mut config = two_clients();
        apply(&mut world, &mut config);
        world.server.reply = Reply::Unreachable;
        world.restart(&config);
        world.run(seconds(5));
        let slot = world.engine.slots().find("a").unwrap();
        assert!(slot.current(world.now).is_none(), "{what}");
    }
}

fn change(config: &mut Config, change: impl Fn(&mut crate::config::Client)) {
    let client = config.clients.get_mut("a").unwrap();
    let mut changed = (**client).clone();
    change(&mut changed);
    *client = Arc::new(changed);
}

#[test]
fn s22_a_kept_token_is_never_served_past_its_expiry() {
    let mut world = warm();
    world.run(minutes(54));
    world.server.reply = Reply::Unreachable;
    let kept = world.kept.clone();
    world.suspend(minutes(10));
    world.kept = kept;
    world.restart(&two_clients());
    world.run(minutes(40));
    let slot = world.engine.slots().find("a").unwrap();
    let held = slot.current(world.now);
    assert!(held.is_none_or(|held| world.now < held.serve_until));
}

#[test]
fn s63_a_token_that_claims_to_live_longer_than_any_can_is_not_believed() {
    let mut world = warm();
    world.server.reply = Reply::Unreachable;
    for kept in &mut world.kept {
        kept.expires = world.now.after(minutes(60 * 24 * 365));
    }
    world.restart(&two_clients());
    world.run(seconds(5));
    assert_eq!(world.state("a"), State::Unavailable);
}

#[test]
fn after_another_boot_a_kept_token_is_served_and_renewed_at_once() {
    let mut world = warm();
    let sent = world.server.requests.len();
    world.kept.iter_mut().for_each(|kept| kept.same_boot = false);
    world.server.latency = seconds(1);
    world.restart(&two_clients());
    world.run(std::time::Duration::from_millis(500));
    let caller = world.get("a");
    assert_eq!(world.granted(caller).token.generation, 1);
    world.run(seconds(3));
    assert_eq!(world.status("a").generation, 2);
    assert_eq!(world.server.requests.len(), sent + 2, "nobody asked for the narrower one since");
}

#[test]
fn s47_a_wall_clock_that_was_behind_when_a_token_of_another_boot_was_read_shortens_its_life() {
    for (jump, is_served) in [(-3600, true), (600, true), (3600, false)] {
        let mut world = warm();
        world.kept.iter_mut().for_each(|kept| kept.same_boot = false);
        world.server.reply = Reply::Unreachable;
        world.restart(&two_clients());
        world.run(seconds(5));
        world.unix_at_boot = world.unix_at_boot.saturating_add_signed(jump);
        world.happens(Event::WallClockSet);
        let slot = world.engine.slots().find("a").unwrap();
        assert_eq!(slot.current(world.now).is_some(), is_served, "{jump}");
        if jump == 600 {
            let left = world.status("a").expires_in.unwrap();
            assert!(left < minutes(46) && left > minutes(43), "{left:?}");
        }
    }
}

#[test]
fn a_file_that_can_not_be_read_in_time_delays_nothing_for_long() {
    let mut world = World::new(&two_clients());
    world.kept.clear();
    world.store.latency = seconds(10);
    world.run(seconds(40));
    assert_eq!(world.state("a"), State::Warm);
}

#[test]
fn s52_what_was_kept_stays_while_the_key_store_is_locked() {
    let mut world = warm();
    world.store.is_unavailable = true;
    world.restart(&two_clients());
    world.happens(Event::WallClockSet);
    world.reload(&config([client("a", &issuer().into())]));
    world.remove_credentials("b");
    world.run(minutes(2));
    assert_eq!(world.kept.len(), 3);
    world.store.is_unavailable = false;
    world.run(minutes(2));
    assert_eq!(world.status("a").generation, 1);
    assert_eq!(world.kept.len(), 2, "those of the client that is left");
}

#[test]
fn tokens_are_written_down_soon_but_not_with_every_change_and_removed_at_once() {
    let mut world = World::new(&two_clients());
    world.run(minutes(60 * 8));
    let written = world.kept_at.len();
    assert!((8..=24).contains(&written), "{written} times in eight hours");
    world.remove_credentials("a");
    assert_eq!(*world.kept_at.last().unwrap(), world.now);
    assert_eq!(world.kept.len(), 1);
}

#[test]
fn nothing_is_kept_where_that_is_switched_off() {
    let off = |config: Config| Config { daemon: Daemon { keep_tokens: false, ..config.daemon }, ..config };
    let mut world = warm();
    world.reload(&off(two_clients()));
    assert_eq!(world.kept.len(), 0, "removed at once");
    world.run(minutes(120));
    assert_eq!(world.kept.len(), 0);
    world.reload(&two_clients());
    world.run(minutes(1));
    assert!(world.kept.len() >= 2);
}

#[test]
fn s34_a_token_that_was_reissued_with_less_time_left_is_kept_with_that() {
    let config = config([client("a", &issuer().into())]);
    let mut world = World::new(&config);
    world.server.reissues = true;
    world.run(seconds(10));
    world.server.reply = Reply::Token(60);
    world.renew("a");
    world.run(seconds(5));
    let expires_in = world.status("a").expires_in;
    assert!(expires_in < Some(seconds(60)), "{expires_in:?}");
    world.server.reply = Reply::Unreachable;
    world.restart(&config);
    world.run(seconds(1));
    assert!(world.status("a").expires_in <= expires_in, "{:?}", world.status("a").expires_in);
}
