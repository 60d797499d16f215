//! Credentials that the server refuses, and credentials that are not there.

use tokenbroker_testkit::{AuthServer, Client, Install, configuration, wait_until};

use crate::{Host, SOON};

#[test]
fn s26_a_wrong_secret_in_the_place_of_a_good_one_does_not_cost_the_token() {
    let server = AuthServer::start();
    let host = Host::of(&server);
    let token = host.get();
    let before = server.token_requests("app");
    host.install.cli(["secret", "set", "app"]).stdin("wr0ng").run().success();
    wait_until(SOON, || host.install.status("app")["last_error"]["code"] == "invalid_client");

    for _ in 0..10 {
        assert_eq!(host.get(), token);
    }
    host.failed_with("degraded", "invalid_client");
    assert!(server.token_requests("app") - before <= 2, "{:?}", server.counts("app"));
}

#[test]
fn s26_a_secret_that_was_never_right_blocks_the_client_and_says_so_at_once() {
    let server = AuthServer::start();
    server.register(Client::secret_post("app", "another"));
    let install = Install::new();
    let client = configuration::client("app", "as", "client_secret_post");
    install.config(&(configuration::issuer("as", &server) + &client));
    let daemon = install.start();
    install.cli(["secret", "set", "app"]).stdin("wr0ng").run().success();

    let host = Host { daemon, install };
    for _ in 0..10 {
        let said = host.refused(
            6,
            "10s",
            &[
                "error: the authorization server refused the client ID or its credential (invalid_client); next try ",
                "\nhint: check client_id, and set the secret again with `tokenbroker secret set app`\n",
            ],
        );
        assert!(!said.contains("wr0ng"), "{said}");
    }
    host.failed_with("blocked", "invalid_client");
    let counts = server.counts("app");
    assert!((1..=2).contains(&counts.requests), "{counts:?}");
    assert!(!host.daemon.log().contains("wr0ng"), "{}", host.daemon.log());

    host.install.cli(["secret", "set", "app"]).stdin("another").run().success();
    host.get();
    assert!(host.install.status("app")["last_error"].is_null());
}

#[test]
fn a_client_without_a_credential_is_blocked_with_the_command_that_helps() {
    let server = AuthServer::start();
    let install = Install::new();
    let clients = configuration::client("app", "as", "client_secret_post")
        + &configuration::client("signer", "as", "private_key_jwt");
    install.config(&(configuration::issuer("as", &server) + &clients));
    let _daemon = install.start();
    for (client, hint) in [
        ("app", "hint: store the secret with `tokenbroker secret set app`\n"),
        ("signer", "hint: generate a key with `tokenbroker key generate signer --alg RS256`\n"),
    ] {
        let words =
            [&format!("error: there is no credential for client {client} in the key store"), "\n", hint];
        install.cli(["get", client]).run().refused(6, &words);
        let status = install.status(client);
        assert_eq!(
            (&status["state"], &status["last_error"]["code"]),
            (&"blocked".into(), &"no_credential".into())
        );
    }
    assert_eq!(server.all_token_requests(), 0);
}

#[test]
fn s55_a_removed_secret_ends_its_token_at_once() {
    let server = AuthServer::start();
    let host = Host::of(&server);
    host.get();
    host.install.cli(["secret", "remove", "app"]).run().success();
    host.refused(6, "0s", &["error: there is no credential for client app in the key store"]);
    assert!(host.install.status("app")["expires_in"].is_null());
}
