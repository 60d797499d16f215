//! How often servers are asked: at a start, after failures, at the end of an outage, for tokens that hardly live.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokenbroker_testkit::hostile::{Script, Seen};
use tokenbroker_testkit::{HostileServer, Stopwatch, http_date, wait_until};

use crate::host::{Host, tables};
use crate::{CANARY, SOON, TOKEN};

const SECOND: Duration = Duration::from_secs(1);

fn error(status: u16, code: &str) -> Script {
    Script::json(status, &json!({ "error": code, "error_description": CANARY }))
}

/// What a server does before and after it is told to change its mind.
struct Switch(Arc<AtomicBool>);

impl Switch {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn turn(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn answer(&self, before: Script, after: Script) -> impl Fn(&Seen) -> Script + Send + Sync + 'static {
        let turned = Arc::clone(&self.0);
        move |_| if turned.load(Ordering::SeqCst) { after.clone() } else { before.clone() }
    }
}

/// The most requests in any second.
fn most_in_a_second(mut seen: Vec<Seen>) -> usize {
    seen.sort_by_key(|seen| seen.at);
    let within = |from: &Seen, all: &[Seen]| all.iter().take_while(|seen| seen.at < from.at + SECOND).count();
    (0..seen.len()).map(|first| within(&seen[first], &seen[first..])).max().unwrap_or(0)
}

/// Clients of one issuer, each at a path of its own by a parameter: the issuer's budget is for all of them.
fn one_issuer(server: &HostileServer, names: &[String], issuer_keys: &str) -> String {
    let endpoint = server.url("/token");
    let mut config =
        format!("[issuers.as]\ntoken_endpoint = {endpoint:?}\nallow_plain_http = true\n{issuer_keys}\n");
    for name in names {
        config += &format!(
            "[clients.{name}]\nissuer = \"as\"\nclient_id = {name:?}\nauth = \"client_secret_post\"\n"
        );
    }
    config
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("client-{number:03}")).collect()
}

#[test]
fn s19_s20_a_cold_start_is_bounded_those_with_callers_go_first_and_renewals_are_spread() {
    const CLIENTS: usize = 150;
    const IN_FLIGHT: usize = 4;
    const PER_SECOND: usize = 50;
    let (server, open) = (HostileServer::start(), Switch::new());
    let token = Script::token(TOKEN, 3600).after(Script::new().pause(Duration::from_millis(30)));
    server.at_each("/token", open.answer(Script::reply(503, &["Retry-After: 3600"], ""), token));
    let names = names(CLIENTS);
    let keys = format!("max_in_flight = {IN_FLIGHT}\nmax_per_second = {PER_SECOND}\n");
    let host = Host::start(&one_issuer(&server, &names, &keys), names.iter().map(String::as_str));
    let host = host.stopped();
    open.turn();
    server.forget();

    let host = host.started_again();
    let last = names.last().unwrap();
    assert_eq!(host.get(last), TOKEN);
    let place = server.all_seen().iter().position(|seen| seen.field("client_id") == Some(last)).unwrap();
    assert!(place < CLIENTS / 2, "its caller waited, and {place} went before it");
    wait_until(SOON, || server.requests("/token") >= CLIENTS);
    let statuses = host.statuses_once(|status| status["state"] == "warm");

    assert_eq!(server.requests("/token"), CLIENTS, "one each");
    assert!(server.most_at_once() <= IN_FLIGHT, "{} at once", server.most_at_once());
    let most = most_in_a_second(server.all_seen());
    assert!(most <= PER_SECOND + PER_SECOND / 10 + 5, "{most} in a second");
    // Between 0.65 and 0.75 of an hour, drawn evenly.
    let mut renew_in: Vec<u64> =
        statuses.values().map(|status| status["renew_in"].as_u64().unwrap()).collect();
    renew_in.sort();
    assert!(renew_in[0] >= 2280 && renew_in[CLIENTS - 1] <= 2700, "{renew_in:?}");
    for minute in (2280..2700).step_by(60) {
        let due = renew_in.iter().filter(|seconds| (minute..minute + 60).contains(*seconds)).count();
        assert!(due <= CLIENTS / 3, "{due} renewals in a minute of six: {renew_in:?}");
    }
    host.leaks_nothing();
}

#[test]
fn s23_the_end_of_an_outage_is_no_herd() {
    const CLIENTS: usize = 60;
    const PER_SECOND: usize = 20;
    let (server, over) = (HostileServer::start(), Switch::new());
    server.at_each("/token", over.answer(Script::reply(503, &[], CANARY), Script::token(TOKEN, 3600)));
    let names = names(CLIENTS);
    let keys = format!("max_in_flight = 100\nmax_per_second = {PER_SECOND}\n");
    let host = Host::start(&one_issuer(&server, &names, &keys), names.iter().map(String::as_str));
    host.statuses_once(|status| status["state"] == "unavailable");
    over.turn();
    host.statuses_once(|status| status["state"] == "warm");
    let most = most_in_a_second(server.all_seen());
    assert!(most <= PER_SECOND + PER_SECOND / 10 + 5, "{most} in a second");
    host.leaks_nothing();
}

#[test]
fn s24_retry_after_is_obeyed_in_both_forms_and_clamped() {
    let answers = [
        ("seconds", 503, "300".into(), Some(300)),
        ("too-many", 429, "300".into(), Some(300)),
        ("date", 503, http_date(300), Some(300)),
        ("padded", 503, "  300  ".into(), Some(300)),
        ("a-day", 503, "86400".into(), Some(3600)),
        ("huge", 503, "9".repeat(40), Some(3600)),
        ("far-date", 429, http_date(10 * 365 * 86_400), Some(3600)),
        ("past-date", 503, http_date(-3600), None),
        ("zero", 503, "0".into(), None),
        ("negative", 503, "-300".into(), None),
        ("fraction", 429, "300.5".into(), None),
        ("word", 429, format!("soon {CANARY}"), None),
        ("empty", 503, String::new(), None),
    ];
    let server = HostileServer::start();
    for (name, status, value, _) in &answers {
        server.at(&format!("/{name}"), Script::reply(*status, &[&format!("Retry-After: {value}")], CANARY));
    }
    let host = Host::of(&server, answers.iter().map(|(name, ..)| *name), "");
    for (name, _, value, expected) in &answers {
        let status = host.failed(name, "http");
        let path = format!("/{name}");
        match expected {
            Some(wait) => {
                let next_try = status["last_error"]["next_try_in"].as_u64().unwrap();
                assert!((wait - 20..=*wait).contains(&next_try), "{name}: {value}: {status}");
                (0..5).for_each(|_| drop(host.refused(name, 5, &["error: ", "HTTP ", "; next try in "])));
                assert_eq!(server.requests(&path), 1, "{name}");
            }
            None => wait_until(SOON, || server.requests(&path) >= 2),
        }
    }
    host.leaks_nothing();
}

#[test]
fn s26_a_credential_that_was_never_right_is_shown_once_and_once_more_when_somebody_asks() {
    let server = HostileServer::start();
    server.at("/app", error(401, "invalid_client"));
    let host = Host::of(&server, ["app"], "");
    for _ in 0..10 {
        let output = host.cli(&["get", "app", "--wait", "5s"]);
        output.refused(6, &["error: ", "(invalid_client); next try in ", "\nhint: check client_id"]);
    }
    let status = host.failed("app", "invalid_client");
    let next_try = status["last_error"]["next_try_in"].as_u64().unwrap();
    assert!((40..=60).contains(&next_try), "{status}");
    assert_eq!((server.requests("/app"), &status["state"]), (1, &"blocked".into()));

    host.cli(&["renew", "app"]).refused(6, &["error: ", "(invalid_client)"]);
    assert_eq!(server.requests("/app"), 2);
    let next_try = host.status("app")["last_error"]["next_try_in"].as_u64().unwrap();
    assert!((40..=3600).contains(&next_try), "{next_try}");
    host.leaks_nothing();
}

#[test]
fn s27_a_refused_request_is_remembered_until_the_configuration_changes() {
    for code in ["invalid_scope", "invalid_target", "unauthorized_client"] {
        let server = HostileServer::start();
        server.at_each("/app", move |seen| match seen.field("scope") {
            Some("right") => Script::token(TOKEN, 3600),
            _ => error(400, code),
        });
        let table = tables("app", &server.url("/app"), "");
        let host = Host::start(&format!("{table}scope = \"wrong\"\n"), ["app"]);
        for _ in 0..5 {
            host.cli(&["get", "app", "--wait", "5s"]).refused(6, &["error: ", &format!("({code})")]);
        }
        host.cli(&["reload"]).success();
        host.refused("app", 6, &["error: "]);
        assert_eq!(server.requests("/app"), 1, "{code}: nothing changed");

        host.install.config(&format!("{table}scope = \"right\"\n"));
        host.cli(&["reload"]).success();
        assert_eq!(host.get("app"), TOKEN);
        assert_eq!(server.requests("/app"), 2, "{code}");
        host.leaks_nothing();
    }
}

#[test]
fn s22_no_token_is_served_past_its_expiry_however_often_somebody_asks() {
    const LIFETIME: u64 = 3;
    let server = HostileServer::start();
    server.at_each("/app", |seen| match seen.number {
        1 => Script::token(TOKEN, LIFETIME),
        _ => Script::reply(502, &["Content-Type: text/html"], CANARY),
    });
    let host = Host::of(&server, ["app"], "");
    host.get("app");
    let expires = server.seen("/app")[0].at + Duration::from_secs(LIFETIME);
    let broker = host.broker();
    let request = tokenbroker_client::TokenRequest::new("app").wait(Duration::ZERO);
    let mut served = 0;
    let refused = loop {
        let asked = server.running_for();
        match broker.token_with(&request) {
            Ok(token) => {
                assert!(asked < expires, "served {:?} after its expiry", asked - expires);
                assert!(!token.expires_in().is_zero());
                served += 1;
            }
            Err(error) => break error,
        }
    };
    assert!(served > 100, "{served} before it expired");
    assert!(refused.to_string().contains("HTTP 502"), "{refused}");
    assert!(server.running_for() >= expires - SECOND, "it was served to its end");
    let status = host.status("app");
    assert_eq!((&status["state"], &status["expires_in"]), (&"unavailable".into(), &serde_json::Value::Null));
    host.leaks_nothing();
}

#[test]
fn s34_a_server_that_issues_the_same_token_again_until_it_expires_is_not_asked_in_a_loop() {
    const LIFETIME: Duration = Duration::from_secs(4);
    let server = HostileServer::start();
    server.at_each("/app", |seen| {
        // One token for every four seconds, whoever asks when.
        let period = seen.at.as_secs() / LIFETIME.as_secs();
        let left = (LIFETIME * (period as u32 + 1)).saturating_sub(seen.at).as_secs();
        Script::token(&format!("{TOKEN}-{period}"), left.max(1))
    });
    let host = Host::of(&server, ["app"], "");
    let first = host.get("app");
    let broker = host.broker();
    let mut last = String::new();
    wait_until(SOON, || {
        let request = tokenbroker_client::TokenRequest::new("app").min_ttl(Duration::from_secs(60));
        last = broker.token_with(&request).map(|token| token.value().to_owned()).unwrap_or(last.clone());
        server.running_for() > 2 * LIFETIME
    });
    assert_ne!(first, last, "the next token was noticed");
    let requests = server.requests("/app");
    let most = server.running_for().as_secs() as usize + 2;
    assert!(requests <= most, "{requests} requests in {:?}", server.running_for());
    host.leaks_nothing();
}

#[test]
fn s50_a_token_that_lives_a_second_or_two_is_served_for_what_it_is_worth_without_a_loop() {
    let server = HostileServer::start();
    for (name, lifetime) in [("one", 1), ("two", 2)] {
        server.at_each(&format!("/{name}"), move |seen| {
            Script::token(&format!("{TOKEN}-{}", seen.number), lifetime)
        });
    }
    let stopwatch = Stopwatch::start();
    let host = Host::of(&server, ["one", "two"], "");
    let broker = host.broker();
    let mut served = 0;
    while stopwatch.elapsed() < 4 * SECOND {
        for name in ["one", "two"] {
            let token = broker.token(name).unwrap();
            assert!(!token.expires_in().is_zero() && token.expires_in() <= 2 * SECOND);
            served += 1;
        }
    }
    assert!(served > 100, "{served}");
    for name in ["one", "two"] {
        let requests = server.requests(&format!("/{name}"));
        let most = 2 * stopwatch.elapsed().as_secs() as usize + 3;
        assert!((2..=most).contains(&requests), "{name}: {requests} requests in {:?}", stopwatch.elapsed());
    }
    host.leaks_nothing();
}

#[test]
fn s51_lifetime_counts_from_the_request_and_not_from_the_reply() {
    let late = |lifetime| Script::token(TOKEN, lifetime).after(Script::new().pause(2 * SECOND));
    let server = HostileServer::start();
    server.at("/long", late(60));
    server.at("/gone", late(1));
    let host = Host::of(&server, ["long", "gone"], "");
    let expires_in = host.get_json("long")["expires_in"].as_u64().unwrap();
    assert!(expires_in <= 58, "{expires_in}");
    host.failed("gone", "timeout");
    host.refused("gone", 5, &["error: the token had expired before the reply with it arrived"]);
    assert!(server.requests("/gone") <= 4);
    host.leaks_nothing();
}
