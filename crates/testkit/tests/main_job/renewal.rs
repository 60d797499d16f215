//! Tokens that are replaced before they expire, or when somebody asks.

use std::time::Duration;

use tokenbroker_testkit::AuthServer;

use crate::Site;

fn site(lifetime: u64) -> Site {
    Site::with_app(AuthServer::builder().lifetime(Duration::from_secs(lifetime)).start())
}

#[test]
fn tokens_are_renewed_before_they_expire_without_anybody_asking() {
    let site = site(4);
    let first = site.get("app");
    let status = site.status_when("app", |status| {
        assert_ne!(status["expires_in"], serde_json::Value::Null, "there is a token at every moment");
        status["generation"].as_u64() >= Some(3)
    });
    let token = site.get("app");
    assert_ne!(token, first);
    site.assert_accepted(&token);
    assert_eq!(status["generation"], status["token_requests"]);
    assert_eq!(site.server.counts("app").rejected, 0);
}

#[test]
fn renew_brings_a_new_token_at_once() {
    let site = site(3600);
    let first = site.get_json("app", &[]);
    let said = site.cli(&["renew", "app"], "");
    assert!(said.starts_with("app: renewed, generation 2"), "{said}");
    let second = site.get_json("app", &[]);
    assert_eq!(second["generation"], 2);
    assert_ne!(second["access_token"], first["access_token"]);
    site.assert_accepted(second["access_token"].as_str().unwrap());
    assert_eq!(site.server.token_requests("app"), 2);
}

#[test]
fn a_token_that_lives_too_short_is_replaced_if_a_fresh_one_lives_longer() {
    let site = site(30);
    site.get("app");
    site.status_when("app", |status| status["expires_in"].as_u64() <= Some(26));
    assert_eq!(site.get_json("app", &["--min-ttl", "20s"])["generation"], 1);

    let fresh = site.get_json("app", &["--min-ttl", "28s"]);
    assert_eq!((&fresh["generation"], &fresh["min_ttl_met"]), (&2.into(), &true.into()));
}

#[test]
fn more_time_than_a_fresh_token_has_gets_the_fresh_token_and_no_token_request_each_time() {
    let site = site(3600);
    for _ in 0..3 {
        let token = site.get_json("app", &["--min-ttl", "2h"]);
        assert_eq!((&token["generation"], &token["min_ttl_met"]), (&1.into(), &false.into()));
    }
    let warned = site.install.cli(["get", "app", "--min-ttl", "2h"]).run().expect(0);
    assert!(warned.stderr.starts_with("warning: "), "{warned:?}");
    assert_eq!(site.server.token_requests("app"), 1);
}
