//! What `status CLIENT` says.

use super::harness::*;

fn explained(world: &World) -> String {
    world.engine.explain("a", world.clocks()).unwrap().join("\n")
}

#[track_caller]
fn assert_says(world: &World, parts: &[&str]) {
    let text = explained(world);
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn every_state_is_explained_with_what_happens_next_and_when() {
    let mut world = World::new(&config([client("a", &issuer().into())]));
    world.server.latency = seconds(2);
    assert_says(&world, &["It has no token yet.", "are being read"]);
    world.run(seconds(1));
    let caller = world.get("a");
    assert_says(&world, &["the token request was sent", "given up 10 s after", "1 caller waits for it now"]);
    world.run(seconds(2));
    assert!(world.answer(caller).unwrap().is_ok());
    assert_says(
        &world,
        &[
            "It has a token, generation 1, for another 59 min",
            "It is renewed in",
            "got a token before",
            "1 token request, of which 1 got",
        ],
    );

    world.server.reply = Reply::Later(503, "120".into());
    world.run(minutes(46));
    assert_says(
        &world,
        &[
            "The last attempt failed (http)",
            "goes on being served",
            "It is tried again in",
            "Retry-After",
            "failed for the moment",
        ],
    );

    world.server.reply = Reply::Error("invalid_client");
    world.run(minutes(15));
    assert_says(
        &world,
        &[
            "Its last token, generation 1, has expired",
            "(invalid_client)",
            "What to do: check client_id",
            "ever more rarely",
        ],
    );

    world.remove_credentials("a");
    assert_says(&world, &["(no_credential)", "tokenbroker secret set a"]);
}

#[test]
fn whoever_waits_for_its_turn_learns_why() {
    let issuer = std::sync::Arc::new(crate::config::Issuer { max_per_second: 1, ..issuer() });
    let mut world = World::new(&config([client("a", &issuer), client("0", &issuer)]));
    world.run(std::time::Duration::from_millis(100));
    assert_says(&world, &["waits for its turn at the issuer, behind", "max_per_second"]);
    assert!(world.status("a").queued);
    world.get("a");
    assert_says(&world, &["among those that callers wait for"]);
}

#[test]
fn s46_a_refused_token_is_said_to_be_the_reason_for_the_next_renewal() {
    let mut world = World::new(&config([client("a", &issuer().into())]));
    world.run(seconds(1));
    let handle = world.engine.slots().find("a").unwrap().handle();
    assert!(!explained(&world).contains("resource refused"));
    world.reject("a", handle, 1);
    world.run(seconds(1));
    assert!(!explained(&world).contains("resource refused"), "that token is replaced");
    world.reject("a", handle, 2);
    assert_says(
        &world,
        &["generation 2", "A caller said that a resource refused this token", "It is renewed in 59 s"],
    );
}

#[test]
fn a_part_without_a_token_is_said_with_its_failure_and_when_it_is_tried_again() {
    let mut world = World::new(&config([client("a", &issuer().into())]));
    world.run(seconds(1));
    world.server.reply = Reply::Error("invalid_scope");
    world.get_scope("a", "read");
    world.run(seconds(1));
    let text = explained(&world);
    let line = text.lines().find(|line| line.starts_with("There is no token for")).unwrap();
    assert!(
        line.starts_with("There is no token for scope \"read\" (invalid_scope); it is tried again in "),
        "{line}"
    );
    assert!(text.contains("It has a token, generation 1") && text.contains("1 were refused"), "{text}");
}

#[test]
fn what_was_saved_is_counted() {
    let mut world = World::new(&config([client("a", &issuer().into())]));
    world.run(seconds(1));
    assert_says(&world, &["no token was given to a caller yet."]);
    let slot = world.engine.slots().find("a").unwrap();
    slot.served_late();
    assert_says(&world, &["1 token given to a caller, none of them from the cache."]);
    (0..1200).for_each(|_| slot.served());
    assert_says(
        &world,
        &["1,201 tokens given to callers, 1,200 of them from the cache: 1,200 token requests avoided."],
    );
}

#[test]
fn a_client_that_is_not_configured_is_not_explained() {
    let world = World::new(&config([client("a", &issuer().into())]));
    assert_eq!(world.engine.explain("b", world.clocks()), None);
}

#[test]
fn s55_a_token_that_went_with_its_credential_is_not_said_to_have_expired() {
    let mut world = World::new(&config([client("a", &issuer().into())]));
    world.run(seconds(1));
    world.remove_credentials("a");
    let lines = world.engine.explain("a", world.clocks()).unwrap();
    assert_eq!(lines[0], "Its last token, generation 1, went with its credential.");
}
