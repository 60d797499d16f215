//! Exchanges that never come to an end, or to a bad one.

use std::time::Duration;

use tokenbroker_testkit::hostile::{Port, Script, gzip};
use tokenbroker_testkit::{HostileServer, Stopwatch, wait_until};

use crate::host::{Host, all_fail, tables, transient};
use crate::{CANARY, SOON, TOKEN};

const JSON: &str = "Content-Type: application/json";

const MEBIBYTE: usize = 1024 * 1024;

/// More than kernels hold between two processes of one host.
const IN_SOCKETS: u64 = 16 * MEBIBYTE as u64;

/// Far more than a command takes on a busy machine.
const GENEROUS: Duration = Duration::from_secs(4);

/// The beginning of a body that would be a token.
fn beginning() -> String {
    format!("{{\"access_token\":\"{TOKEN}\",\"token_type\":\"Bearer\",\"expires_in\":3600,\"x\":\"{CANARY}\"")
}

fn promise(length: usize) -> Script {
    Script::head(200, &[JSON, &format!("Content-Length: {length}")])
}

#[test]
fn s25_a_connection_that_breaks_anywhere_is_tried_again() {
    let cases = transient(
        "network",
        "the exchange broke off with 127.0.0.1: ",
        [
            ("reset-before-headers", Script::new().reset()),
            ("reset-in-status-line", Script::new().write("HTTP/1").reset()),
            ("reset-in-headers", Script::new().write("HTTP/1.1 200 OK\r\nContent-Ty").reset()),
            ("reset-in-body", promise(500).write(beginning()).reset()),
            (
                "reset-in-chunk",
                Script::head(200, &[JSON, "Transfer-Encoding: chunked"]).write("ff\r\n{").reset(),
            ),
            ("close-before-headers", Script::new()),
            ("close-in-headers", Script::new().write("HTTP/1.1 200 OK\r\nContent-Ty")),
            ("close-in-body", promise(500).write(beginning())),
            ("close-in-chunk", Script::head(200, &[JSON, "Transfer-Encoding: chunked"]).write("ff\r\n{")),
            ("no-http", Script::new().write(format!("220 {CANARY} ESMTP\r\n"))),
            (
                "bad-chunks",
                Script::head(200, &[JSON, "Transfer-Encoding: chunked"]).write("zz\r\n{}\r\n0\r\n\r\n"),
            ),
        ],
    );
    let stopwatch = Stopwatch::start();
    let (server, host) = all_fail(&cases, "");
    for case in &cases {
        let requests = server.requests(&format!("/{}", case.name));
        assert!(requests <= 12, "{}: {requests} requests in {:?}", case.name, stopwatch.elapsed());
    }
    host.leaks_nothing();
}

#[test]
fn s25_one_deadline_holds_for_the_whole_exchange_wherever_it_hangs_or_trickles() {
    let trickle = Duration::from_millis(50);
    let cases = transient(
        "timeout",
        "127.0.0.1 did not answer in time",
        [
            ("hang-before-headers", Script::new().hang()),
            ("hang-in-status-line", Script::new().write("HTTP/1.1 20").hang()),
            ("hang-in-headers", Script::new().write("HTTP/1.1 200 OK\r\nContent-Ty").hang()),
            ("hang-before-body", promise(500).hang()),
            ("hang-in-body", promise(500).write(beginning()).hang()),
            (
                "hang-in-chunk",
                Script::head(200, &[JSON, "Transfer-Encoding: chunked"]).write("ff\r\n{").hang(),
            ),
            ("hang-after-continue", Script::new().write("HTTP/1.1 100 Continue\r\n\r\n").hang()),
            ("trickled-headers", Script::new().trickle("HTTP/1.1 200 OK\r\nX: ".repeat(50), trickle)),
            ("trickled-body", promise(5000).trickle(" ".repeat(5000), trickle)),
            (
                "trickled-interim-answers",
                Script::new().trickle("HTTP/1.1 102 Processing\r\n\r\n".repeat(50), Duration::from_millis(5)),
            ),
            // As with a byte a second: each is in time, and all of them together are not.
            ("a-byte-a-second", promise(500).trickle(" ".repeat(500), Duration::from_secs(1))),
        ],
    );
    let stopwatch = Stopwatch::start();
    let (server, host) = all_fail(&cases, "timeout = \"1500ms\"\nmax_in_flight = 1\n");
    for case in &cases {
        let status = host.status(case.name);
        // Each attempt takes 1.5 s, and between them there are pauses.
        let most = 1 + stopwatch.elapsed().as_millis() / 1500;
        let requests = server.requests(&format!("/{}", case.name)) as u128;
        assert!((1..=most).contains(&requests), "{requests} requests, at most {most}: {status}");
        host.refused(case.name, 5, &["\nhint: the issuer's timeout is 1.5 s"]);
    }
    host.leaks_nothing();
}

#[test]
fn s25_a_port_that_is_closed_deaf_mute_or_resets_is_tried_again() {
    let closed = HostileServer::start().address();
    let (deaf, mute) = (HostileServer::on(Port::Deaf), HostileServer::on(Port::Says(Script::new().hang())));
    let resets = HostileServer::on(Port::Says(Script::new().reset()));
    let servers = [
        ("closed", format!("http://{closed}/"), "network", "can't connect to 127.0.0.1: "),
        ("deaf", deaf.url("/"), "timeout", "127.0.0.1 did not answer in time"),
        ("mute", mute.url("/"), "timeout", "127.0.0.1 did not answer in time"),
        ("resets", resets.url("/"), "network", "the exchange broke off with 127.0.0.1: "),
    ];
    let config: String =
        servers.iter().map(|(name, url, ..)| tables(name, url, "timeout = \"500ms\"\n")).collect();
    let host = Host::start(&config, servers.iter().map(|(name, ..)| *name));
    for (name, _, code, words) in &servers {
        let status = host.failed(name, code);
        assert_eq!(status["state"], "unavailable", "{status}");
        host.refused(name, 5, &["error: ", words]);
    }
    assert!(resets.connections() <= 12, "{} connections", resets.connections());
    host.leaks_nothing();
}

#[test]
fn s25_many_clients_that_fail_at_once_do_not_try_again_at_once() {
    const CLIENTS: usize = 20;
    let server = HostileServer::start();
    let names: Vec<String> = (0..CLIENTS).map(|number| format!("client-{number}")).collect();
    for name in &names {
        server.at(&format!("/{name}"), Script::reply(503, &[], CANARY));
    }
    let host = Host::of(&server, names.iter().map(String::as_str), "");
    let paths: Vec<String> = names.iter().map(|name| format!("/{name}")).collect();
    wait_until(SOON, || paths.iter().all(|path| server.requests(path) >= 2));
    let mut pauses: Vec<Duration> = paths
        .iter()
        .map(|path| server.seen(path))
        .map(|seen| seen[1].at.saturating_sub(seen[0].at))
        .collect();
    pauses.sort();
    // The first pause is drawn from up to a second, evenly.
    assert!(pauses[0] >= Duration::from_millis(95), "{pauses:?}");
    let (low, high) = (pauses[CLIENTS / 5], pauses[CLIENTS - 1 - CLIENTS / 5]);
    assert!(high.saturating_sub(low) >= Duration::from_millis(150), "they are alike: {pauses:?}");
    host.leaks_nothing();
}

#[test]
fn s30_a_body_that_is_too_long_is_not_read_on_whatever_it_pretends_to_be() {
    let long = beginning() + &" ".repeat(2 * MEBIBYTE) + "}";
    let chunked: &[&str] = &[JSON, "Transfer-Encoding: chunked"];
    let cases = transient(
        "malformed",
        "is longer than 1048576 bytes",
        [
            ("long", Script::body(&long)),
            ("long-until-close", Script::head(200, &[JSON]).write(&long)),
            ("endless", Script::head(200, &[JSON]).write(beginning()).endless(" ")),
            ("endless-chunks", Script::head(200, chunked).endless("10\r\n                \r\n")),
            ("endless-error", Script::head(400, &[JSON]).write("{").endless(CANARY)),
            ("huge-promise", promise(1 << 40).write(beginning()).endless(" ")),
        ],
    );
    let (server, host) = all_fail(&cases, "timeout = \"20s\"\n");
    for case in &cases {
        let path = format!("/{}", case.name);
        let (written, requests) = (server.written(&path), server.requests(&path) as u64);
        assert!(written / requests < IN_SOCKETS, "{}: {written} bytes in {requests} answers", case.name);
    }
    let peak = host.peak_memory();
    assert!(peak < 100 * MEBIBYTE as u64, "{} MiB", peak / MEBIBYTE as u64);
    host.leaks_nothing();
}

/// As little as 24 KiB becomes four mebibytes: a token with spaces after it, were it ever decoded to its end.
#[test]
fn s30_a_gzip_bomb_is_stopped() {
    let bomb = |size| gzip::bomb((beginning() + "}").as_bytes(), b' ', size);
    let packed = ["Content-Type: application/json", "Content-Encoding: gzip"];
    let twice = ["Content-Type: application/json", "Content-Encoding: gzip, gzip"];
    assert!(bomb(4 * MEBIBYTE).len() < 30_000);
    let server = HostileServer::start();
    server.at("/bomb", Script::reply(200, &packed, bomb(4 * MEBIBYTE)));
    server.at("/larger", Script::reply(200, &packed, bomb(12 * MEBIBYTE)));
    server.at("/twice", Script::reply(200, &twice, bomb(4 * MEBIBYTE)));
    server.at("/error", Script::reply(400, &packed, bomb(4 * MEBIBYTE)));
    let host = Host::of(&server, ["bomb", "larger", "twice", "error"], "");
    host.statuses_once(|status| !status["last_error"].is_null() && status["expires_in"].is_null());
    for name in ["bomb", "larger", "twice"] {
        let status = host.failed(name, "malformed");
        assert_eq!(status["state"], "unavailable", "{status}");
        host.refused(name, 5, &["error: "]);
    }
    let peak = host.peak_memory();
    assert!(peak < 100 * MEBIBYTE as u64, "{} MiB", peak / MEBIBYTE as u64);
    host.leaks_nothing();
}

#[test]
fn an_honest_packed_answer_is_an_answer() {
    let token = format!("{{\"access_token\":\"{TOKEN}\",\"token_type\":\"Bearer\",\"expires_in\":3600}}");
    let packed = ["Content-Type: application/json", "Content-Encoding: gzip"];
    let server = HostileServer::start();
    server.at("/app", Script::reply(200, &packed, gzip::bomb(token.as_bytes(), b' ', 258)));
    let host = Host::of(&server, ["app"], "");
    assert_eq!(host.get("app"), TOKEN);
    host.leaks_nothing();
}

#[test]
fn s30_headers_without_end_are_not_read_on() {
    let server = HostileServer::start();
    let floods = [
        ("header-lines", Script::new().write("HTTP/1.1 200 OK\r\n").endless(format!("X-Y: {CANARY}\r\n"))),
        ("one-header", Script::new().write("HTTP/1.1 200 OK\r\nX-Y: ").endless(CANARY)),
        ("status-line", Script::new().write("HTTP/1.1 200 ").endless(CANARY)),
        ("interim-answers", Script::new().write("HTTP/1.1 100 Continue\r\n\r\n".repeat(20_000)).hang()),
    ];
    for (name, script) in &floods {
        server.at(&format!("/{name}"), script.clone());
    }
    let host = Host::of(&server, floods.iter().map(|(name, _)| *name), "timeout = \"1s\"\n");
    let statuses = host.statuses_once(|status| !status["last_error"].is_null());
    for (name, _) in &floods {
        assert_eq!(statuses[*name]["state"], "unavailable", "{}", statuses[*name]);
        host.refused(name, 5, &["error: ", "127.0.0.1"]);
        let path = format!("/{name}");
        let (written, requests) = (server.written(&path), server.requests(&path) as u64);
        assert!(written / requests <= IN_SOCKETS, "{name}: {written} bytes in {requests} answers");
    }
    let peak = host.peak_memory();
    assert!(peak < 100 * MEBIBYTE as u64, "{} MiB", peak / MEBIBYTE as u64);
    host.leaks_nothing();
}

/// HTTP knows no limit for them, and whoever reads them has no time for anything else.
#[test]
fn s25_an_endless_flood_of_interim_answers_stops_neither_callers_nor_the_event_loop() {
    let (flood, other) = (HostileServer::start(), HostileServer::start());
    flood.at("/flood", Script::new().endless("HTTP/1.1 100 Continue\r\n\r\n"));
    other.at("/warm", Script::token(TOKEN, 3600));
    other.at("/cold", Script::token(TOKEN, 3600));
    let config = tables("flood", &flood.url("/flood"), "timeout = \"1s\"\n")
        + &tables("warm", &other.url("/warm"), "")
        + &tables("cold", &other.url("/cold"), "");
    let host = Host::start(&config, ["warm"]);
    host.get("warm");
    host.set_secrets(["flood"]);
    wait_until(SOON, || flood.written("/flood") > MEBIBYTE as u64);
    host.set_secrets(["cold"]);
    for _ in 0..10 {
        let stopwatch = Stopwatch::start();
        assert_eq!(host.get("warm"), TOKEN);
        host.status("flood");
        host.cli(&["get", "flood", "--wait", "100ms"]).refused(5, &["error: "]);
        assert!(stopwatch.elapsed() < GENEROUS, "{:?}", stopwatch.elapsed());
    }
    host.failed("flood", "timeout");
    let stopwatch = Stopwatch::start();
    host.status_once("cold", |status| status["state"] == "warm");
    assert!(stopwatch.elapsed() < GENEROUS, "nor another issuer's token: {:?}", stopwatch.elapsed());
    host.leaks_nothing();
}

#[test]
fn answers_that_lie_about_their_length_give_no_half_token() {
    let body = format!("{{\"access_token\":\"{TOKEN}\",\"token_type\":\"Bearer\",\"expires_in\":3600}}");
    let shorter = format!("Content-Length: {}", body.len() - 20);
    let server = HostileServer::start();
    server.at("/shorter", Script::head(200, &[JSON, &shorter]).write(&body));
    server.at("/longer", Script::head(200, &[JSON, "Content-Length: 5000"]).write(&body));
    server.at("/two-lengths", Script::head(200, &[JSON, &shorter, "Content-Length: 10"]).write(&body));
    server.at("/negative", Script::head(200, &[JSON, "Content-Length: -1"]).write(&body));
    let host = Host::of(&server, ["shorter", "longer", "two-lengths", "negative"], "");
    let statuses = host.statuses_once(|status| !status["last_error"].is_null());
    for (name, status) in &statuses {
        assert_eq!(status["state"], "unavailable", "{status}");
        host.refused(name, 5, &["error: "]);
    }
    host.leaks_nothing();
}

#[test]
fn an_answer_of_http_1_0_or_after_interim_ones_is_an_answer() {
    let body = format!("{{\"access_token\":\"{TOKEN}-old\",\"token_type\":\"Bearer\",\"expires_in\":3600}}");
    let server = HostileServer::start();
    server.at("/old", Script::new().write(format!("HTTP/1.0 200 OK\r\n{JSON}\r\n\r\n{body}")));
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n".repeat(20);
    server.at("/hinted", Script::token(&format!("{TOKEN}-hinted"), 3600).after(Script::new().write(interim)));
    let host = Host::of(&server, ["old", "hinted"], "");
    assert_eq!(host.get("old"), format!("{TOKEN}-old"));
    assert_eq!(host.get("hinted"), format!("{TOKEN}-hinted"));
    host.leaks_nothing();
}

#[test]
fn a_second_answer_to_one_request_is_not_taken_for_the_answer_to_the_next() {
    let server = HostileServer::start();
    server.at_each("/app", |seen| {
        let answer = |token: String| {
            let body =
                format!("{{\"access_token\":\"{token}\",\"token_type\":\"Bearer\",\"expires_in\":3600}}");
            format!("HTTP/1.1 200 OK\r\n{JSON}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        };
        let (right, smuggled) = (format!("{TOKEN}-{}", seen.number), format!("{TOKEN}-smuggled"));
        Script::new().write(answer(right) + &answer(smuggled)).hang()
    });
    let host = Host::of(&server, ["app"], "");
    assert_eq!(host.get("app"), format!("{TOKEN}-1"));
    for _ in 0..3 {
        host.cli(&["renew", "app"]).success();
        let number = server.requests("/app");
        assert_eq!(host.get("app"), format!("{TOKEN}-{number}"));
    }
    assert!(server.requests("/app") >= 4);
    host.leaks_nothing();
}
