//! Resources that refuse tokens, and callers that say so.

use super::harness::*;
use crate::engine::{Note, Reason};

fn world() -> (World, u64) {
    let mut world = World::new(&config([client("a", &issuer().into())]));
    world.run(seconds(1));
    let handle = world.engine.slots().find("a").unwrap().handle();
    (world, handle)
}

#[test]
fn s46_however_many_report_a_generation_it_is_replaced_once() {
    let (mut world, handle) = world();
    let callers: Vec<_> = (0..500).map(|_| world.reject("a", handle, 1)).collect();
    let others = world.get("a");
    assert_eq!(world.granted(others).token.generation, 1, "served on meanwhile");
    world.run(seconds(1));
    callers.iter().for_each(|caller| assert_eq!(world.granted(*caller).token.generation, 2));
    assert_eq!(world.requests_of("a").len(), 2);

    let late = world.reject("a", handle, 1);
    assert_eq!(world.granted(late).token.generation, 2, "at once: it is newer");
    assert_eq!(world.requests_of("a").len(), 2);
}

#[test]
fn s46_a_resource_that_refuses_every_token_gets_new_ones_ever_more_rarely() {
    let (mut world, handle) = world();
    for _ in 0..24 * 60 {
        let generation = world.status("a").generation;
        world.reject("a", handle, generation);
        world.run(minutes(1));
    }
    let sent = world.requests_of("a").len();
    // The ordinary renewals of tokens that live an hour are 36 at most.
    assert!((28..=42).contains(&sent), "{sent} requests in a day");
}

#[test]
fn whoever_reports_too_often_learns_when_it_counts_again() {
    let (mut world, handle) = world();
    world.reject("a", handle, 1);
    world.run(seconds(1));
    let caller = world.reject("a", handle, 2);
    let refusal = world.refused(caller).clone();
    assert_eq!(refusal.reason, Reason::NoToken);
    let wait = refusal.next_try.unwrap().since(world.now);
    assert!(wait > seconds(50) && wait <= minutes(1), "{wait:?}");
    world.run(wait + seconds(1));
    assert_eq!(world.status("a").generation, 3, "and then it is done without being asked again");
    let noted = world.notes.iter().filter(|(_, note)| matches!(note, Note::Rejected { .. })).count();
    assert_eq!(noted, 2);
}

#[test]
fn a_report_does_not_shorten_a_back_off() {
    let (mut world, handle) = world();
    world.server.reply = Reply::Later(503, "120".into());
    world.renew("a");
    world.run(seconds(1));
    let caller = world.reject("a", handle, 1);
    world.run(seconds(60));
    assert!(world.refused(caller).message.contains("503"), "{}", world.refused(caller).message);
    assert_eq!(world.requests_of("a").len(), 2);
    let others = world.get("a");
    assert_eq!(world.granted(others).token.generation, 1);
}

#[test]
fn a_generation_that_never_was_says_nothing() {
    let (mut world, handle) = world();
    let caller = world.reject("a", handle, 7);
    assert_eq!(world.granted(caller).token.generation, 1);
    let caller = world.reject("a", handle + 1, 1);
    assert!(world.refused(caller).hint.as_ref().unwrap().contains("get the token again"));
    world.run(minutes(1));
    assert_eq!(world.requests_of("a").len(), 1);
}

#[test]
fn s46_a_report_during_a_renewal_joins_it() {
    let (mut world, handle) = world();
    world.server.latency = seconds(2);
    world.renew("a");
    world.run(seconds(1));
    let caller = world.reject("a", handle, 1);
    world.run(seconds(2));
    assert_eq!(world.granted(caller).token.generation, 2);
    assert_eq!(world.requests_of("a").len(), 2);
}

#[test]
fn s34_a_server_that_issues_the_same_token_again_makes_no_loop() {
    let (mut world, handle) = world();
    world.server.reissues = true;
    let caller = world.reject("a", handle, 1);
    world.run(seconds(1));
    assert!(world.refused(caller).message.contains("same token"), "{}", world.refused(caller).message);
    // It has an hour; the server will not have another before it ends.
    let sent = world.requests_of("a").len();
    for _ in 0..59 {
        let caller = world.get_with("a", minutes(55), WAIT);
        world.run(minutes(1));
        assert_eq!(world.granted(caller).token.generation, 1);
    }
    let more = world.requests_of("a").len() - sent;
    assert!((1..=12).contains(&more), "{more} more requests");
    assert!(world.notes.iter().any(|(_, note)| matches!(note, Note::Reissued { .. })));
    world.server.reissues = false;
    world.run(minutes(5));
    assert_eq!(world.status("a").generation, 2);
}

#[test]
fn s34_a_lifetime_that_shrinks_with_the_token_is_believed() {
    let (mut world, _) = world();
    world.server.reissues = true;
    world.server.reply = Reply::Token(100);
    world.renew("a");
    world.run(seconds(1));
    let status = world.status("a");
    assert!(status.expires_in.unwrap() <= seconds(100));
    assert_eq!(status.generation, 1);
}

#[test]
fn an_outage_after_the_same_token_was_issued_again_is_news() {
    let (mut world, _) = world();
    world.server.reissues = true;
    let mut news = Vec::new();
    for _ in 0..2 {
        world.server.reply = Reply::Unreachable;
        world.renew("a");
        world.run(seconds(1));
        world.server.reply = Reply::Token(3600);
        world.renew("a");
        world.run(seconds(1));
        let failed = world.notes.drain(..).filter_map(|(_, note)| match note {
            Note::Failed { repeated, .. } => Some(!repeated),
            _ => None,
        });
        news.push(failed.filter(|is_news| *is_news).count());
    }
    assert_eq!(news, [1, 1]);
}
