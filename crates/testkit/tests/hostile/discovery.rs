//! Metadata documents that lead nowhere good: nobody follows them, and no credential is sent.

use serde_json::json;
use tokenbroker_testkit::HostileServer;
use tokenbroker_testkit::hostile::{Identity, Port, Script};

use crate::host::Host;
use crate::{CANARY, SOON, TOKEN};

/// Where the metadata of the issuer at this path is looked up (RFC 8414, OpenID Connect Discovery).
fn places(path: &str) -> [String; 2] {
    [
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("{path}/.well-known/openid-configuration"),
    ]
}

fn tables(name: &str, issuer: &str, keys: &str) -> String {
    format!(
        "[issuers.{name}]\nissuer = {issuer:?}\n{keys}\n\
         [clients.{name}]\nissuer = {name:?}\nclient_id = {name:?}\nauth = \"client_secret_post\"\n"
    )
}

/// Each client's issuer is at the path of its name, where this is all that its metadata says.
fn start(server: &HostileServer, documents: &[(&str, Script)], keys: &str) -> Host {
    let mut config = String::new();
    for (name, script) in documents {
        let path = format!("/{name}");
        for place in places(&path) {
            server.at(&place, script.clone());
        }
        config += &tables(name, &server.url(&path), keys);
    }
    Host::start(&config, documents.iter().map(|(name, _)| *name))
}

#[test]
fn s39_metadata_that_names_another_issuer_or_a_bad_endpoint_is_refused() {
    let (server, elsewhere) = (HostileServer::start(), HostileServer::start());
    let document = |name: &str, endpoint: &str| {
        Script::json(
            200,
            &json!({ "issuer": server.url(&format!("/{name}")), "token_endpoint": endpoint, "x": CANARY }),
        )
    };
    let other = |issuer: &str| {
        Script::json(
            200,
            &json!({ "issuer": issuer, "token_endpoint": elsewhere.url("/token"), "x": CANARY }),
        )
    };
    let nameless = Script::json(200, &json!({ "token_endpoint": elsewhere.url("/token"), "x": CANARY }));
    let documents = [
        ("other-issuer", other(&format!("https://{CANARY}.example"))),
        ("other-port", other(&elsewhere.url("/other-port"))),
        ("other-case", other(&server.url("/OTHER-CASE"))),
        ("nameless", nameless),
        ("plain-http", document("plain-http", &format!("http://{CANARY}.example/token"))),
        ("plain-address", document("plain-address", "http://192.0.2.1/token")),
        ("relative", document("relative", "/token")),
        ("file", document("file", "file:///etc/passwd")),
        (
            "with-password",
            document("with-password", &elsewhere.url("/token").replace("//", &format!("//u:{CANARY}@"))),
        ),
    ];
    let host = start(&server, &documents, "allow_plain_http = true\n");
    for (name, _) in &documents {
        let status = host.failed(name, "malformed");
        assert_eq!(status["state"], "blocked", "{status}");
        host.refused(name, 6, &["error: discovery of issuer ", name, " failed: ", "\nhint: "]);
        assert_eq!(status["token_requests"], 0, "{status}");
    }
    assert_eq!(elsewhere.connections(), 0);
    assert!(server.all_seen().iter().all(|seen| seen.method == "GET"), "a credential was sent");
    host.leaks_nothing();
}

#[test]
fn s39_an_https_issuer_can_not_lead_to_plain_http() {
    let (server, elsewhere) = (HostileServer::on(Port::Https(Identity::Right)), HostileServer::start());
    let document = Script::json(
        200,
        &json!({ "issuer": server.url("/down"), "token_endpoint": elsewhere.url("/token"), "x": CANARY }),
    );
    let host = start(&server, &[("down", document)], &format!("ca_file = {:?}\n", server.ca_file()));
    let status = host.failed("down", "malformed");
    assert_eq!(status["state"], "blocked", "{status}");
    host.refused("down", 6, &["error: ", "plain http is refused"]);
    assert_eq!(elsewhere.connections(), 0);
    host.leaks_nothing();
}

#[test]
fn discovery_that_goes_wrong_is_classified_and_asks_for_no_token() {
    let (server, elsewhere) = (HostileServer::start(), HostileServer::start());
    let location = format!("Location: {}", elsewhere.url("/"));
    let twice = format!(
        "{{\"issuer\":\"https://{CANARY}.example\",\"issuer\":{:?},\"token_endpoint\":\"{}\"}}",
        server.url("/twice"),
        elsewhere.url("/token")
    );
    let documents = [
        ("hang", Script::new().hang(), "unavailable", "timeout"),
        (
            "hang-in-body",
            Script::head(200, &["Content-Length: 500"]).write("{").hang(),
            "unavailable",
            "timeout",
        ),
        ("reset", Script::new().reset(), "unavailable", "network"),
        ("endless", Script::head(200, &[]).endless(" "), "unavailable", "malformed"),
        ("twice", Script::body(twice), "unavailable", "malformed"),
        ("page", Script::reply(200, &["Content-Type: text/html"], CANARY), "unavailable", "malformed"),
        ("gateway", Script::reply(502, &["Content-Type: text/html"], CANARY), "unavailable", "http"),
        ("redirect", Script::reply(302, &[&location], CANARY), "blocked", "http"),
        ("missing", Script::reply(404, &[], CANARY), "blocked", "http"),
    ];
    let scripts = documents.clone().map(|(name, script, ..)| (name, script));
    let host = start(&server, &scripts, "allow_plain_http = true\ntimeout = \"700ms\"\n");
    for (name, _, state, code) in &documents {
        let status = host.failed(name, code);
        assert_eq!(status["state"], *state, "{name}: {status}");
        host.refused(name, if *state == "blocked" { 6 } else { 5 }, &["error: "]);
    }
    assert_eq!(elsewhere.connections(), 0);
    assert!(server.all_seen().iter().all(|seen| seen.method == "GET"), "a credential was sent");
    host.leaks_nothing();
}

#[test]
fn one_look_up_serves_all_clients_of_an_issuer_and_each_reads_it_once() {
    let server = HostileServer::start();
    let document = json!({ "issuer": server.url(""), "token_endpoint": server.url("/token") });
    server.at(&places("")[0], Script::json(200, &document).after(Script::new().pause(SOON / 100)));
    server.at("/token", Script::token(TOKEN, 3600));
    let names: Vec<String> = (0..20).map(|number| format!("client-{number:02}")).collect();
    let mut config = format!("[issuers.as]\nissuer = {:?}\nallow_plain_http = true\n", server.url(""));
    for name in &names {
        config += &format!(
            "[clients.{name}]\nissuer = \"as\"\nclient_id = {name:?}\nauth = \"client_secret_post\"\n"
        );
    }
    let host = Host::start(&config, names.iter().map(String::as_str));
    host.statuses_once(|status| status["state"] == "warm");
    assert_eq!((server.requests(&places("")[0]), server.requests("/token")), (1, 20));
    host.leaks_nothing();
}
