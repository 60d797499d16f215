//! Answers that come whole, and hold no token, a strange one, or one with strange words around it.

use serde_json::{Value, json};
use tokenbroker_testkit::HostileServer;
use tokenbroker_testkit::hostile::Script;

use crate::host::{Host, all_fail, blocking, tables, transient};
use crate::{CANARY, TOKEN};

/// A token response with these members besides, as JSON text.
fn token_with(members: &str) -> Script {
    Script::body(format!("{{\"access_token\":\"{TOKEN}\",\"token_type\":\"Bearer\"{members}}}"))
}

fn page(status: u16) -> Script {
    let html = format!("<!DOCTYPE html><html><title>{CANARY}</title></html>");
    Script::reply(status, &["Content-Type: text/html; charset=utf-8", &format!("X-Trace: {CANARY}")], html)
}

fn error(status: u16, code: &str) -> Script {
    Script::json(status, &json!({ "error": code, "error_description": CANARY, "error_uri": CANARY }))
}

#[test]
fn s28_what_gateways_and_applications_say_instead_of_a_token_is_a_failure_of_its_class() {
    let mut cases = transient(
        "http",
        "HTTP ",
        [
            ("page-500", page(500)),
            ("page-502", page(502)),
            ("page-503", page(503)),
            ("page-504", page(504)),
            ("page-599", page(599)),
            ("empty-408", Script::reply(408, &[], "")),
            ("empty-425", Script::reply(425, &[], "")),
            ("page-429", page(429)),
            ("credential-words-in-a-503", error(503, "invalid_client")),
        ],
    );
    cases.extend(transient(
        "malformed",
        "answered without a usable token: ",
        [
            ("page-200", page(200)),
            ("empty-200", Script::body("")),
            ("empty-204", Script::new().write("HTTP/1.1 204 No Content\r\n\r\n")),
            ("text-200", Script::reply(200, &["Content-Type: text/plain"], CANARY)),
            ("form-200", Script::body(format!("access_token={TOKEN}&token_type=Bearer"))),
            ("array-200", Script::body(format!("[\"{TOKEN}\"]"))),
            ("null-200", Script::body("null")),
            ("half-200", Script::body(format!("{{\"access_token\":\"{TOKEN}"))),
        ],
    ));
    cases.extend(transient("server_error", "(server_error)", [("error-500", error(500, "server_error"))]));
    cases.extend(blocking(
        "http",
        "HTTP ",
        [
            ("page-400", page(400)),
            ("page-401", page(401)),
            ("empty-403", Script::reply(403, &[], "")),
            ("page-404", page(404)),
            ("page-405", page(405)),
        ],
    ));
    cases.extend(blocking(
        "http",
        "an error code that no RFC knows",
        [("unknown-error", error(400, CANARY))],
    ));
    cases.extend(blocking(
        "invalid_client",
        "(invalid_client)",
        [("error-200", error(200, "invalid_client")), ("error-401", error(401, "invalid_client"))],
    ));
    cases.extend(blocking("invalid_scope", "(invalid_scope)", [("scope-400", error(400, "invalid_scope"))]));
    let (server, host) = all_fail(&cases, "");
    for case in cases.iter().filter(|case| case.exit_code == 6) {
        assert_eq!(server.requests(&format!("/{}", case.name)), 1, "{} is not repeated", case.name);
    }
    host.leaks_nothing();
}

#[test]
fn s29_no_redirect_is_followed_and_no_credential_is_sent_twice() {
    let elsewhere = HostileServer::start();
    let to = elsewhere.url("/token");
    let location = format!("Location: {to}");
    let redirect = |status| Script::reply(status, &[&location, &format!("Refresh: 0; url={to}")], CANARY);
    let cases = blocking(
        "http",
        "redirects are not followed",
        [
            ("status-300", redirect(300)),
            ("status-301", redirect(301)),
            ("status-302", redirect(302)),
            ("status-303", redirect(303)),
            ("status-307", redirect(307)),
            ("status-308", redirect(308)),
            ("to-itself", Script::reply(307, &["Location: /to-itself"], "")),
            ("to-a-file", Script::reply(302, &["Location: file:///etc/passwd"], "")),
            ("to-nowhere", Script::reply(302, &[], "")),
        ],
    );
    let (server, host) = all_fail(&cases, "");
    assert_eq!(elsewhere.connections(), 0, "nobody went there");
    for case in &cases {
        assert_eq!(server.requests(&format!("/{}", case.name)), 1, "{}", case.name);
    }
    host.leaks_nothing();
}

#[test]
fn s31_a_token_without_a_lifetime_has_the_configured_one_and_that_is_said() {
    let server = HostileServer::start();
    for name in ["usual", "short", "null"] {
        server.at(&format!("/{name}"), token_with(if name == "null" { ",\"expires_in\":null" } else { "" }));
    }
    let config = tables("usual", &server.url("/usual"), "")
        + &tables("short", &server.url("/short"), "default_lifetime = \"100s\"\n")
        + &tables("null", &server.url("/null"), "");
    let host = Host::start(&config, ["usual", "short", "null"]);
    for (name, lifetime) in [("usual", 300), ("short", 100), ("null", 300)] {
        let expires_in = host.get_json(name)["expires_in"].as_u64().unwrap();
        assert!((lifetime - 20..=lifetime).contains(&expires_in), "{name}: {expires_in}");
        let said = format!("assuming default_lifetime, {lifetime} s client={name}");
        assert!(host.daemon.log().contains(&said), "{}", host.daemon.log());
    }
    host.leaks_nothing();
}

#[test]
fn s32_a_lifetime_that_is_none_is_refused_and_not_asked_for_in_a_loop() {
    let lifetime = |value: &str| token_with(&format!(",\"expires_in\":{value}"));
    let mut cases = transient(
        "malformed",
        "expires_in is not a positive number of seconds",
        [
            ("zero", lifetime("0")),
            ("negative", lifetime("-3600")),
            ("fraction", lifetime("0.5")),
            ("word", lifetime("\"soon\"")),
            ("nan-word", lifetime("\"NaN\"")),
            ("boolean", lifetime("true")),
            ("array", lifetime("[3600]")),
        ],
    );
    cases.extend(transient("malformed", "it is not a JSON object", [("nan", lifetime("NaN"))]));
    let (server, host) = all_fail(&cases, "");
    for case in &cases {
        for _ in 0..5 {
            host.refused(case.name, 5, &["error: "]);
        }
        let requests = server.requests(&format!("/{}", case.name));
        assert!(requests <= 12, "{}: {requests} requests", case.name);
    }
    host.leaks_nothing();
}

#[test]
fn s33_a_lifetime_as_text_or_float_is_taken_and_a_huge_one_is_clamped_to_a_day() {
    let server = HostileServer::start();
    let lifetimes = [
        ("text", "\"3600\"", 3600),
        ("text-float", "\"3600.9\"", 3600),
        ("float", "3600.999", 3600),
        ("exponent", "3.6e3", 3600),
        ("year", "31536000", 86_400),
        ("huge", "99999999999999999999999999", 86_400),
        ("huge-text", "\"99999999999999999999999999\"", 86_400),
    ];
    for (name, value, _) in lifetimes {
        server.at(&format!("/{name}"), token_with(&format!(",\"expires_in\":{value}")));
    }
    let host = Host::of(&server, lifetimes.map(|(name, ..)| name), "");
    for (name, _, lifetime) in lifetimes {
        let expires_in = host.get_json(name)["expires_in"].as_u64().unwrap();
        assert!((lifetime - 40..=lifetime).contains(&expires_in), "{name}: {expires_in}");
        assert_eq!(server.requests(&format!("/{name}")), 1);
    }
    host.leaks_nothing();
}

#[test]
fn s35_s36_a_token_that_is_no_bearer_token_or_no_header_can_carry_is_refused() {
    let with_type =
        |value: &str| Script::body(format!("{{\"access_token\":\"{TOKEN}\",\"token_type\":{value}}}"));
    let with_token = |value: &str| {
        Script::body(format!("{{\"access_token\":{value},\"token_type\":\"Bearer\",\"expires_in\":3600}}"))
    };
    let mut cases = transient(
        "malformed",
        "the token_type is not Bearer",
        [
            ("dpop", with_type("\"DPoP\"")),
            ("mac", with_type("\"mac\"")),
            ("empty-type", with_type("\"\"")),
            ("padded-type", with_type("\"Bearer \"")),
        ],
    );
    cases.extend(transient("malformed", "it has no token_type", [("null-type", with_type("null"))]));
    cases.extend(transient(
        "malformed",
        "characters that a header can't carry",
        [
            ("line-break", with_token(&format!("\"{TOKEN}\\r\\nX-Admin: {CANARY}\""))),
            ("line-feed", with_token(&format!("\"{TOKEN}\\n\""))),
            ("nul", with_token(&format!("\"{TOKEN}\\u0000\""))),
            ("space", with_token(&format!("\"{TOKEN} {CANARY}\""))),
            ("quote", with_token(&format!("\"{TOKEN}\\\"\""))),
            ("umlaut", with_token(&format!("\"{TOKEN}ü\""))),
            ("escape", with_token(&format!("\"{TOKEN}\\u001b[2J\""))),
        ],
    ));
    cases.extend(transient("malformed", "it has no access_token", [("empty-token", with_token("\"\""))]));
    cases.extend(transient("malformed", "the wrong JSON type", [("number", with_token("12345"))]));
    cases.extend(transient(
        "malformed",
        "the access token is longer than 32 KiB",
        [("too-long", with_token(&format!("\"{}\"", TOKEN.repeat(8_000))))],
    ));
    let (_server, host) = all_fail(&cases, "");
    host.leaks_nothing();
}

#[test]
fn s35_letter_case_of_the_token_type_does_not_matter() {
    let server = HostileServer::start();
    for (name, token_type) in [("lower", "bearer"), ("upper", "BEARER"), ("mixed", "bEaReR")] {
        let body =
            json!({ "access_token": format!("{TOKEN}-{name}"), "token_type": token_type, "expires_in": 60 });
        server.at(&format!("/{name}"), Script::json(200, &body));
    }
    let host = Host::of(&server, ["lower", "upper", "mixed"], "");
    for name in ["lower", "upper", "mixed"] {
        let got = host.get_json(name);
        assert_eq!(
            (&got["token_type"], &got["access_token"]),
            (&json!("Bearer"), &json!(format!("{TOKEN}-{name}")))
        );
    }
    host.leaks_nothing();
}

#[test]
fn s37_json_that_two_readers_could_read_in_two_ways_is_refused() {
    let good = |more: &str| {
        format!("{{\"access_token\":\"{TOKEN}\",\"token_type\":\"Bearer\",\"expires_in\":3600{more}}}")
    };
    let with_bytes =
        |bytes: &[u8]| Script::body([b"{\"x\":\"", bytes, b"\",", &good("").as_bytes()[1..]].concat());
    let utf_16: Vec<u8> = good("").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut cases = transient(
        "malformed",
        "it holds a JSON key twice",
        [
            ("token-twice", Script::body(good(&format!(",\"access_token\":\"{TOKEN}2\"")))),
            ("type-twice", Script::body(good(",\"token_type\":\"DPoP\""))),
            ("other-twice", Script::body(good(",\"x\":1,\"x\":2"))),
            ("nested-twice", Script::body(good(",\"x\":[{\"y\":1,\"y\":1}]"))),
            ("escaped-twice", Script::body(good(&format!(",\"\\u0061ccess_token\":\"{CANARY}\"")))),
        ],
    );
    let deep = |open: &str, close: &str, depth: usize| {
        good(&format!(",\"x\":{}1{}", open.repeat(depth), close.repeat(depth)))
    };
    cases.extend(transient(
        "malformed",
        "it is not a JSON object",
        [
            ("nested-arrays", Script::body(deep("[", "]", 100_000))),
            ("nested-objects", Script::body(deep("{\"a\":", "}", 100_000))),
            ("half-nested", Script::body("[".repeat(500_000))),
            ("overlong-utf-8", with_bytes(b"\xc0\x80")),
            ("cut-utf-8", with_bytes(b"\xe2\x82")),
            ("latin-1", with_bytes(b"\xfc")),
            ("utf-16", Script::body([b"\xff\xfe".as_slice(), &utf_16].concat())),
            ("byte-order-mark", Script::body([b"\xef\xbb\xbf".as_slice(), good("").as_bytes()].concat())),
            ("two-objects", Script::body(good("") + &good(""))),
            ("more-after-it", Script::body(good("") + CANARY)),
            ("comment", Script::body(good("/* */"))),
        ],
    ));
    let (_server, host) = all_fail(&cases, "");
    host.leaks_nothing();
}

#[test]
fn s38_a_narrower_scope_is_served_and_shown_and_a_wider_one_is_refused() {
    let server = HostileServer::start();
    let granted = [
        ("same", Some("\"write read\"")),
        ("unnamed", None),
        ("narrower", Some("\"read\"")),
        ("wider", Some("\"read write admin\"")),
        ("other", Some("\"admin\"")),
        ("listed", Some("[\"read\",\"write\",\"admin\"]")),
    ];
    let mut config = String::new();
    for (name, scope) in granted {
        let scope = scope.map_or(String::new(), |scope| format!(",\"scope\":{scope}"));
        server.at(&format!("/{name}"), token_with(&format!(",\"expires_in\":3600{scope}")));
        config += &tables(name, &server.url(&format!("/{name}")), "");
        config += "scope = \"read write\"\n";
    }
    let host = Host::start(&config, granted.map(|(name, _)| name));
    for (name, scope) in [("same", "read write"), ("unnamed", "read write"), ("narrower", "read")] {
        let words: std::collections::BTreeSet<String> =
            host.get_json(name)["scope"].as_str().unwrap().split(' ').map(String::from).collect();
        assert_eq!(words, scope.split(' ').map(String::from).collect(), "{name}");
    }
    let warning = "the authorization server granted less than was asked client=narrower scope=read";
    assert!(host.daemon.log().contains(warning), "{}", host.daemon.log());
    for name in ["wider", "other", "listed"] {
        host.failed(name, "malformed");
        host.refused(name, 5, &["error: ", "the scope is wider than what was asked for"]);
    }
    assert_eq!(server.seen("/same")[0].field("scope"), Some("read write"));
    host.leaks_nothing();
}

#[test]
fn s21_a_warm_token_is_served_on_whatever_its_server_answers_meanwhile() {
    let bad: Vec<Script> = vec![
        Script::new().reset(),
        Script::new().write("HTTP/1.1 200 OK\r\nContent-Ty").hang(),
        Script::head(200, &["Content-Type: application/json"]).endless(" "),
        page(200),
        page(502),
        error(400, "invalid_scope"),
        error(401, "invalid_client"),
        token_with(",\"expires_in\":0"),
        token_with(&format!(",\"expires_in\":3600,\"access_token\":\"{CANARY}\"")),
        Script::reply(307, &["Location: /else"], ""),
    ];
    let failures = bad.len();
    let server = HostileServer::start();
    server.at_each("/app", move |seen| match seen.number {
        1 => Script::token(&format!("{TOKEN}-first"), 3600),
        number if number <= failures + 1 => bad[number - 2].clone(),
        _ => Script::token(&format!("{TOKEN}-last"), 3600),
    });
    let host = Host::of(&server, ["app"], "timeout = \"800ms\"\n");
    assert_eq!(host.get("app"), format!("{TOKEN}-first"));
    while server.requests("/app") <= failures {
        // Some attempts are made here, and some by themselves after a back-off.
        host.cli(&["renew", "app"]);
        let status = host.status("app");
        if status["generation"] == 1 {
            assert_eq!(status["state"], "degraded", "{status}");
            assert!(status["last_error"]["message"].is_string(), "{status}");
            assert_eq!(host.get("app"), format!("{TOKEN}-first"));
        }
    }
    host.cli(&["renew", "app"]).success();
    assert_eq!(host.get("app"), format!("{TOKEN}-last"));
    let status = host.status("app");
    assert_eq!((&status["state"], &status["last_error"]), (&"warm".into(), &Value::Null));
    host.leaks_nothing();
}
