//! The life of a client secret.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;
use tokenbroker_protocol::hello::{CallerHello, DaemonHello};
use tokenbroker_protocol::{Command, Request, encode, frame};
use tokenbroker_testkit::{AuthServer, Client, Fault, configuration, wait_until};

use crate::{DEADLINE, SECRET, Site};

fn list(site: &Site) -> Vec<Value> {
    serde_json::from_str(&site.cli(&["secret", "list", "--json"], "")).unwrap()
}

#[test]
fn a_secret_is_stored_listed_replaced_and_removed() {
    let site = Site::with_app(AuthServer::start());
    let stored = list(&site);
    assert_eq!(stored.len(), 1, "{stored:?}");
    assert_eq!((&stored[0]["client"], &stored[0]["kind"]), (&"app".into(), &"secret".into()));
    assert_eq!(stored[0]["store"], "encrypted-file");
    let version = &stored[0]["version"];
    site.status_when("app", |status| status["credential"]["version"] == *version);

    site.server.set_secret("app", "newer");
    site.set_secret("app", "newer");
    let replaced = list(&site);
    assert_eq!(replaced.len(), 1, "{replaced:?}");
    assert_ne!(replaced[0]["version"], *version);
    site.status_when("app", |status| status["generation"] == 2);
    site.assert_accepted(&site.get("app"));

    let said = site.cli(&["secret", "remove", "app"], "");
    assert!(said.contains("removed"), "{said}");
    assert!(list(&site).is_empty());
    site.install
        .cli(["secret", "remove", "app"])
        .run()
        .refused(1, &["error: no credential is stored for app\n", "hint: ", "tokenbroker secret list"]);
}

#[test]
fn s54_the_token_lives_on_while_a_new_secret_is_refused() {
    let site = Site::with_app(AuthServer::start());
    let token = site.get("app");
    site.set_secret("app", "not what the server knows");
    let status = site.status_once("app", "degraded");
    assert_eq!(status["last_error"]["code"], "invalid_client");
    assert_eq!(site.get("app"), token);

    site.set_secret("app", SECRET);
    let status = site.status_once("app", "warm");
    assert_eq!(status["generation"], 2);
}

#[test]
fn s55_a_removed_secret_takes_the_token_with_it_at_once() {
    let site = Site::with_app(AuthServer::start());
    site.get("app");
    site.cli(&["secret", "remove", "app"], "");

    let refused = site.install.cli(["get", "app"]).run().expect(6);
    assert!(refused.stdout.is_empty(), "{refused:?}");
    let status = site.install.status("app");
    assert_eq!((&status["state"], &status["expires_in"]), (&"blocked".into(), &Value::Null));
    assert_eq!(
        (&status["last_error"]["code"], &status["credential"]),
        (&"no_credential".into(), &Value::Null)
    );
    assert_eq!(site.server.token_requests("app"), 1);
}

#[test]
fn s55_a_token_that_arrives_after_its_secret_was_removed_is_not_kept() {
    let server = AuthServer::start();
    server.set_fault(Fault::Delay(Duration::from_secs(1)));
    let site = Site::with_app(server);
    wait_until(DEADLINE, || site.server.token_requests("app") == 1);
    site.cli(&["secret", "remove", "app"], "");
    wait_until(DEADLINE, || site.server.counts("app").accepted == 1);

    site.install.cli(["get", "app"]).run().expect(6);
    assert_eq!(site.install.status("app")["generation"], 0);
}

#[test]
fn a_secret_may_hold_every_character_that_is_special_somewhere() {
    let awkward = " + : % & = \" ' \\ æøå s3cret ";
    let server = AuthServer::start();
    server.register(Client::secret_basic("header", awkward));
    server.register(Client::secret_post("body", awkward));
    let clients = [("header", "client_secret_basic", ""), ("body", "client_secret_post", "")];
    let site = Site::start(server, &clients);
    for (client, ..) in clients {
        site.set_secret(client, &format!("{awkward}\n"));
        site.assert_accepted(&site.get(client));
    }
}

#[test]
fn a_secret_that_authenticates_assertions_is_not_sent() {
    const LONG: &str = "a secret of thirty-two bytes, and more";
    let server = AuthServer::start();
    server.register(Client::secret_jwt("app", LONG, "HS256"));
    let site = Site::start(server, &[("app", "client_secret_jwt", "")]);
    site.set_secret("app", LONG);
    site.assert_accepted(&site.get("app"));
    let refused = site.install.cli(["key", "generate", "app"]).run().expect(1);
    assert!(refused.stderr.contains("hint: set the secret with `tokenbroker secret set app`"), "{refused:?}");

    site.server.register(Client::secret_jwt("app", LONG, "HS512"));
    let refused = site.install.cli(["renew", "app"]).run().expect(5);
    for words in ["invalid_client", "assertion_alg", "at least 32 bytes for HS256"] {
        assert!(refused.stderr.contains(words), "{words}: {refused:?}");
    }
}

#[test]
fn s55_a_removal_counts_though_whoever_asked_for_it_has_left() {
    let site = Site::with_app(AuthServer::start());
    for _ in 0..10 {
        site.set_secret("app", SECRET);
        site.status_when("app", |status| status["state"] == "warm");
        ask_and_leave(&site, Command::CredentialRemove { client: "app".into(), next_only: false });
        wait_until(DEADLINE, || list(&site).is_empty());
        wait_until(DEADLINE, || site.install.status("app")["state"] == "blocked");
    }
}

#[test]
fn a_credential_of_a_client_that_left_the_configuration_is_listed_and_removed() {
    let site = Site::with_app(AuthServer::start());
    site.install.config(&configuration::issuer("as", &site.server));
    site.cli(&["reload"], "");
    assert_eq!(list(&site).len(), 1);
    site.cli(&["secret", "list", "app"], "");
    let said = site.cli(&["secret", "remove", "app"], "");
    assert!(said.contains("removed"), "{said}");
    assert!(list(&site).is_empty());
    site.install.cli(["secret", "remove", "app"]).run().refused(4, &["there is no client \"app\""]);
}

/// Sends a request, and closes the connection without waiting for the answer.
fn ask_and_leave(site: &Site, command: Command) {
    let mut stream = UnixStream::connect(site.install.socket()).unwrap();
    stream.write_all(frame(&CallerHello::OURS.to_bytes()).unwrap().expose()).unwrap();
    // Once it has greeted, it takes what comes.
    stream.read_exact(&mut [0; 4 + DaemonHello::LENGTH]).unwrap();
    stream.write_all(encode(&Request { id: 1, command }).unwrap().expose()).unwrap();
}
