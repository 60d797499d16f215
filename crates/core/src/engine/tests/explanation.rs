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
fn a_client_that_is_not_configured_is_not_explained() {
    let world = World::new(&config([client("a", &issuer().into())]));
    assert_eq!(world.engine.explain("b", world.clocks()), None);
}
