//! What a host does to a daemon: kills it at any moment, gives it no room to write, takes its directory away.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use tokenbroker_client::protocol::{Command, Storing};
use tokenbroker_testkit::hostile::{Script, Seen};
use tokenbroker_testkit::{HostileServer, http_date, wait_until};

use crate::host::{Host, tables};
use crate::{SOON, TOKEN};

/// The daemon under a shell that lets it write nothing to any file, as on a full disk; its log goes through a pipe.
const NO_ROOM: &str = r#"
mkfifo "$HOME/log" && { cat "$HOME/log" >&2 & } && trap '' XFSZ && ulimit -f 0 && exec "$@" 2>"$HOME/log"
"#;

#[test]
fn s60_a_daemon_that_is_killed_at_any_moment_starts_again_with_what_it_had_confirmed() {
    const ROUNDS: u64 = 15;
    let server = HostileServer::start();
    server.at_each("/app", |seen| Script::token(&format!("{TOKEN}-{}", seen.number), 3600));
    let mut host = Host::of(&server, ["app"], "");
    let confirmed = AtomicU64::new(0);
    for round in 0..ROUNDS {
        let broker = host.broker();
        let before = confirmed.load(Ordering::SeqCst);
        let stopped = thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for number in before + 1.. {
                    let secret = format!("secret number {number}").as_str().into();
                    let command =
                        Command::SecretSet { client: "app".into(), secret, storing: Storing::default() };
                    if broker.request(command, SOON).is_err() {
                        return;
                    }
                    confirmed.store(number, Ordering::SeqCst);
                }
            });
            // Every round at another moment of a write.
            wait_until(SOON, || confirmed.load(Ordering::SeqCst) > before);
            thread::sleep(Duration::from_micros(round * 1_300));
            let stopped = host.killed();
            writer.join().unwrap();
            stopped
        });
        host = stopped.started_again();
        host.cli(&["renew", "app"]).success();
        let sent = server.seen("/app").pop().unwrap();
        let sent = sent.field("client_secret").unwrap().strip_prefix("secret number ").unwrap();
        let (sent, confirmed) = (sent.parse::<u64>().unwrap(), confirmed.load(Ordering::SeqCst));
        // One more may have been stored without anybody having heard of it.
        assert!((confirmed..=confirmed + 1).contains(&sent), "{sent} is sent, {confirmed} was confirmed");
    }
    assert!(host.cli(&["status"]).success().contains("warm"));
    host.leaks_nothing();
}

#[test]
fn s62_without_room_to_write_tokens_are_served_and_renewed_and_a_new_secret_is_refused() {
    let server = HostileServer::start();
    server.at_each("/app", |seen| Script::token(&format!("{TOKEN}-{}", seen.number), 3600));
    let host = Host::of(&server, ["app"], "");
    host.get("app");
    let stopped = host.stopped();
    let files = contents(&stopped.install.state_dir());
    let host = stopped.started_under(&["sh", "-c", NO_ROOM, "sh"]);
    let requests = server.requests("/app");

    let first = host.get("app");
    host.cli(&["renew", "app"]).success();
    assert_ne!(host.get("app"), first);
    assert!(server.requests("/app") > requests);
    let refused = host.install.cli(["secret", "set", "app"]).stdin("another").run();
    assert!(refused.code == 1 || refused.code == 5, "{refused:?}");
    assert!(refused.stderr.starts_with("error: ") && !refused.stderr.contains("another"), "{refused:?}");
    assert_eq!(contents(&host.install.state_dir()), files, "what was there is there");
    host.get("app");
    host.cli(&["renew", "app"]).success();
    assert_eq!(host.status("app")["state"], "warm");
    host.leaks_nothing();
}

#[test]
fn s62_a_store_that_can_not_be_read_costs_no_token_and_is_used_again_when_it_is_back() {
    let server = HostileServer::start();
    server.at_each("/app", |seen| Script::token(&format!("{TOKEN}-{}", seen.number), 3600));
    let host = Host::of(&server, ["app"], "");
    let token = host.get("app");
    let (store, elsewhere) =
        (host.install.state_dir().join("keystore"), host.install.path().join("elsewhere"));
    fs::rename(&store, &elsewhere).unwrap();
    fs::create_dir(&store).unwrap();

    host.cli(&["renew", "app"]).refused(5, &["error: "]);
    assert_eq!(host.get("app"), token);
    let status = host.failed("app", "key_store");
    assert_eq!(status["state"], "degraded", "{status}");
    let refused = host.install.cli(["secret", "set", "app"]).stdin("another").run();
    assert!(refused.code != 0 && refused.stderr.starts_with("error: "), "{refused:?}");

    fs::remove_dir(&store).unwrap();
    fs::rename(&elsewhere, &store).unwrap();
    wait_until(SOON, || host.install.cli(["renew", "app"]).run().code == 0);
    assert_ne!(host.get("app"), token);
    host.leaks_nothing();
}

#[test]
fn s40_every_attempt_has_an_assertion_of_its_own_for_the_right_audience_and_a_minute() {
    let server = HostileServer::start();
    server.at_each("/app", |seen| match seen.number {
        2 | 3 => Script::new().reset(),
        _ => Script::token(TOKEN, 3600),
    });
    let table = tables("app", &server.url("/app"), "").replace("client_secret_post", "private_key_jwt");
    let table = table.replace("token_endpoint", "assertion_audience = \"token-endpoint\"\ntoken_endpoint");
    let host = Host::start(&format!("{table}assertion_alg = \"ES256\"\n"), []);
    host.install.cli(["key", "generate", "app", "--alg", "ES256"]).run().success();
    host.get("app");
    host.cli(&["renew", "app"]).refused(5, &["error: "]);
    wait_until(SOON, || server.requests("/app") >= 4);
    host.cli(&["renew", "app"]).success();

    let attempts = server.seen("/app");
    let mut ids = Vec::new();
    for attempt in &attempts {
        assert_eq!(
            attempt.field("client_assertion_type"),
            Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        );
        assert_eq!(attempt.field("client_secret"), None);
        let assertion = attempt.field("client_assertion").unwrap();
        let claims = claims(attempt);
        assert_eq!((&claims["iss"], &claims["sub"]), (&"app".into(), &"app".into()));
        assert_eq!(claims["aud"], server.url("/app"), "one string");
        let seconds = |claim: &str| claims[claim].as_u64().unwrap();
        assert!(seconds("exp") - seconds("iat") <= 60, "{claims}");
        assert!(!host.daemon.log().contains(assertion));
        ids.push(claims["jti"].as_str().unwrap().to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), attempts.len(), "each has another jti");
    host.leaks_nothing();
}

#[test]
fn s40_a_server_whose_clock_is_minutes_off_gets_assertions_of_its_own_time_and_the_operator_is_told() {
    for off in [-600_i64, 600] {
        let server = HostileServer::start();
        server.at_each("/app", move |seen| {
            let date = format!("Date: {}", http_date(off));
            let body = format!(
                "{{\"access_token\":\"{TOKEN}-{}\",\"token_type\":\"Bearer\",\"expires_in\":3600}}",
                seen.number
            );
            Script::reply(200, &["Content-Type: application/json", &date], body)
        });
        let table = tables("app", &server.url("/app"), "").replace("client_secret_post", "private_key_jwt");
        let table =
            table.replace("token_endpoint", "assertion_audience = \"token-endpoint\"\ntoken_endpoint");
        let host = Host::start(&format!("{table}assertion_alg = \"ES256\"\n"), []);
        host.install.cli(["key", "generate", "app", "--alg", "ES256"]).run().success();
        host.get("app");
        host.cli(&["renew", "app"]).success();

        let dated = |number: usize| claims(&server.seen("/app")[number])["iat"].as_i64().unwrap();
        let moved = dated(1) - dated(0);
        assert!((off - 30..=off + 60).contains(&moved), "the second is dated {moved} s after the first");
        let expires_in = host.get_json("app")["expires_in"].as_u64().unwrap();
        assert!((3500..=3600).contains(&expires_in), "lifetimes don't notice: {expires_in}");
        let offset = host.status("app")["clock_offset"].as_i64().unwrap();
        assert!((off - 15..=off + 15).contains(&offset), "{offset}");
        let log = host.daemon.log();
        assert!(log.lines().any(|line| line.contains("WARN") && line.contains("clock")), "{log}");
        host.leaks_nothing();
    }
}

fn claims(attempt: &Seen) -> Value {
    let assertion = attempt.field("client_assertion").unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

/// The names and contents of a directory's files.
fn contents(directory: &std::path::Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> =
        entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect();
    files.sort();
    files
}
