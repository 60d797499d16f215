//! SIGHUP and `reload`: whole or not at all.

use serde_json::Value;
use tokenbroker_testkit::{AuthServer, Client, Daemon, Install, configuration, wait_until};

use crate::{SOON, start, tables};

const NOTHING_CHANGED: &str = "\nhint: nothing was changed; correct this and reload again\n";

fn clients(install: &Install) -> Vec<String> {
    let statuses = install.cli(["status", "--json"]).run().success();
    let statuses: Vec<Value> = serde_json::from_str(&statuses).unwrap();
    statuses.iter().map(|status| status["client"].as_str().unwrap().to_owned()).collect()
}

fn log_says(daemon: &Daemon, words: &str) {
    wait_until(SOON, || daemon.log().contains(words));
}

#[test]
fn s67_a_configuration_with_a_mistake_is_not_taken_and_the_error_says_where() {
    let server = AuthServer::start();
    let (install, daemon) = start(&server);
    let token = install.cli(["get", "app"]).run().success();
    let text = tables(&server, &["other"]);
    install.config(&format!("{text}sope = \"read\"\n"));
    let line = text.lines().count() + 1;
    let place =
        format!("{}:{line}:1: unknown key `sope` in [clients.other]", install.config_file().display());

    let words = ["error: ", &place, "\nhint: did you mean `scope`?", NOTHING_CHANGED];
    install.cli(["reload"]).run().refused(1, &words);
    assert_eq!(clients(&install), ["app"]);

    daemon.reload();
    log_says(&daemon, &place);
    assert_eq!(clients(&install), ["app"]);
    assert_eq!(install.cli(["get", "app"]).run().success(), token);

    install.config(&tables(&server, &["app"]));
    install.cli(["reload"]).run().success();
    assert_eq!(
        install.cli(["get", "app"]).run().success(),
        token,
        "nothing changed, so the token is the same"
    );
}

#[test]
fn s67_a_configuration_that_is_gone_or_unsafe_is_not_taken() {
    let server = AuthServer::start();
    let (install, _daemon) = start(&server);
    crate::set_mode(&install.config_file(), 0o666);
    let words = ["error: ", "config.toml can be written by others (mode 0666)", NOTHING_CHANGED];
    install.cli(["reload"]).run().refused(1, &words);
    std::fs::remove_file(install.config_file()).unwrap();
    install
        .cli(["reload"])
        .run()
        .refused(1, &["error: ", "config.toml: there is no such file", NOTHING_CHANGED]);
    install.cli(["get", "app"]).run().success();
}

#[test]
fn s67_a_secret_in_the_new_configuration_is_not_repeated() {
    let server = AuthServer::start();
    let (install, daemon) = start(&server);
    install.config(&(tables(&server, &["app"]) + "client_secret = \"c4n4ry\"\n"));
    let words = ["error: ", "a secret must not be in the configuration", NOTHING_CHANGED];
    let said = install.cli(["reload"]).run().refused(1, &words);
    assert!(!said.contains("c4n4ry") && !daemon.log().contains("c4n4ry"), "{said}");
}

#[test]
fn clients_are_added_removed_and_changed() {
    let server = AuthServer::start();
    let (install, daemon) = start(&server);
    let old = install.cli(["get", "app"]).run().success();

    server.register(Client::secret_post("new", "secret"));
    install.config(&tables(&server, &["app", "new"]));
    install.cli(["reload"]).run().success();
    assert_eq!(clients(&install), ["app", "new"]);
    install.cli(["secret", "set", "new"]).stdin("secret").run().success();
    install.cli(["get", "new"]).run().success();
    assert_eq!(install.cli(["get", "app"]).run().success(), old);

    install.config(&(tables(&server, &["app"]) + "scope = \"read\"\n"));
    daemon.reload();
    wait_until(SOON, || clients(&install) == ["app"]);
    install.cli(["get", "new"]).run().refused(4, &["error: there is no client \"new\""]);
    let changed = install.cli(["get", "app", "--json"]).run().success();
    let changed: Value = serde_json::from_str(&changed).unwrap();
    assert_eq!(changed["scope"], "read");
    assert_ne!(changed["access_token"], old.trim_end(), "a token for another scope is another token");
}

#[test]
fn another_method_for_a_client_says_that_its_credential_does_not_fit() {
    let server = AuthServer::start();
    let (install, _daemon) = start(&server);
    let client = configuration::client("app", "as", "private_key_jwt");
    install.config(&(configuration::issuer("as", &server) + &client));
    install.cli(["reload"]).run().success();
    install.cli(["renew", "app"]).run().expect(6);
    install.cli(["get", "app"]).run().refused(
        6,
        &[
            "error: the key store holds a secret for client app, which needs a private key",
            "\nhint: generate a key",
        ],
    );
}
