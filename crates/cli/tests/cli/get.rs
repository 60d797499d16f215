//! `get`, in each format.

use tokenbroker_client::protocol::{Command, GetToken, Response, Token};
use tokenbroker_secret::SecretString;

use crate::fake::FakeDaemon;

/// Longer than what is left of it, so that seconds spent on the way can't change what is printed.
const LEFT_MS: u64 = 3_599_900;

fn token(value: &str) -> Token {
    Token {
        access_token: SecretString::from(value),
        token_type: "Bearer".into(),
        expires_in_ms: LEFT_MS,
        serve_for_ms: LEFT_MS,
        answered_at_ms: 1,
        expires_at_ms: 1_795_471_199_400,
        scope: Some("signtext_api".into()),
        generation: 7,
        min_ttl_met: true,
        handle: 1,
    }
}

fn printed(arguments: &[&str]) -> String {
    let daemon = FakeDaemon::with(Response::Token(token("ey.J-0_/+=")));
    let outcome = daemon.cli(arguments).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    outcome.stdout
}

#[test]
fn the_token_and_a_newline_by_default() {
    assert_eq!(printed(&["get", "signtext"]), "ey.J-0_/+=\n");
    assert_eq!(printed(&["get", "signtext", "--format", "token"]), "ey.J-0_/+=\n");
}

#[test]
fn a_line_for_http_a_shell_or_curl() {
    assert_eq!(printed(&["get", "signtext", "--format", "header"]), "Authorization: Bearer ey.J-0_/+=\n");
    assert_eq!(printed(&["get", "signtext", "--format", "env"]), "ACCESS_TOKEN='ey.J-0_/+='\n");
    assert_eq!(
        printed(&["get", "signtext", "--format", "curl"]),
        "header = \"Authorization: Bearer ey.J-0_/+=\"\n"
    );
}

#[test]
fn an_object_with_all_that_is_known() {
    let json = printed(&["get", "signtext", "--json"]);
    assert_eq!(
        json,
        "{\"client\":\"signtext\",\"access_token\":\"ey.J-0_/+=\",\"token_type\":\"Bearer\",\"expires_in\":3599,\
         \"expires_at\":\"2026-11-23T21:59:59Z\",\"scope\":\"signtext_api\",\"generation\":7,\
         \"min_ttl_met\":true}\n"
    );
    assert_eq!(printed(&["get", "signtext", "--format", "json"]), json);
    assert_eq!(printed(&["get", "signtext", "--json", "--format", "json"]), json);
}

#[test]
fn the_longest_token_arrives_whole() {
    let longest = "x".repeat(tokenbroker_client::protocol::MAX_TOKEN);
    let daemon = FakeDaemon::with(Response::Token(token(&longest)));
    assert_eq!(daemon.cli(&["get", "signtext"]).run().stdout, format!("{longest}\n"));
}

#[test]
fn what_is_asked_is_what_the_arguments_say() {
    let asked = |arguments: &[&str]| {
        let daemon = FakeDaemon::with(Response::Token(token("x")));
        assert_eq!(daemon.cli(arguments).run().code, Some(0));
        match daemon.asked().as_slice() {
            [Command::GetToken(asked)] => asked.clone(),
            asked => panic!("asked {asked:?}"),
        }
    };
    let plain = GetToken { client: "signtext".into(), ..GetToken::default() };
    assert_eq!(asked(&["get", "signtext"]), plain);
    let narrowed = GetToken {
        scope: Some("a b c".into()),
        resource: vec!["urn:r1".into(), "urn:r2".into()],
        audience: Some("aud".into()),
        ..plain.clone()
    };
    let words =
        ["--scope", "a b", "--scope=c", "--resource", "urn:r1", "--resource=urn:r2", "--audience", "aud"];
    assert_eq!(asked(&[&["get", "signtext"], &words[..]].concat()), narrowed);
    let asked = asked(&["get", "signtext", "--min-ttl", "5m", "--wait", "2s"]);
    assert_eq!(asked.min_ttl_ms, 300_000);
    // Less what connecting took.
    assert!(asked.wait_ms.is_some_and(|wait| (1_000..=2_000).contains(&wait)), "{asked:?}");
}

#[test]
fn a_token_that_lives_shorter_than_asked_is_printed_with_a_warning() {
    let short = Token { min_ttl_met: false, ..token("short") };
    let daemon = FakeDaemon::with(Response::Token(short));
    let outcome = daemon.cli(&["get", "signtext", "--min-ttl", "2h"]).run();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "short\n"));
    assert_eq!(outcome.stderr, "warning: the token lives for 59 min 59 s, which is less than was asked\n");

    let outcome = daemon.cli(&["get", "signtext", "--min-ttl", "2h", "--json"]).run();
    assert!(outcome.stdout.contains("\"min_ttl_met\":false"), "{}", outcome.stdout);
    assert_eq!(outcome.stderr, "");
}
