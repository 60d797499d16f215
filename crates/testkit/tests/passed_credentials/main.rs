//! Credentials that systemd passes to the service: used like any others, never written, and replaced where they come from.
//!
//! That systemd passes them, and decrypts them before, is tried under a real one: xtask/tests/systemd_at_work.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tokenbroker_testkit::{AuthServer, Client, Daemon, Install, configuration, data};

const SECRET: &str = "s3cret-canary";

/// A daemon with the clients `app` and `key`, to which credentials are passed, and `other`.
struct Site {
    daemon: Daemon,
    install: Install,
    server: AuthServer,
}

impl Site {
    fn start(passed: &[(&str, &str)], store: &str) -> Self {
        let server = AuthServer::start();
        let mut install = Install::new();
        install.config(
            &(configuration::issuer("test", &server)
                + &configuration::client("app", "test", "client_secret_basic")
                + &configuration::client("key", "test", "private_key_jwt")
                + &configuration::client("other", "test", "client_secret_post")
                + &format!("[keystore]\nstore = {store:?}\n")),
        );
        let directory = install.path().join("credentials");
        fs::create_dir(&directory).unwrap();
        install.env("CREDENTIALS_DIRECTORY", &directory);
        let site = |daemon, install, server| Self { daemon, install, server };
        for (name, content) in passed {
            let path = directory.join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o400)).unwrap();
        }
        server.register(Client::secret_basic("app", SECRET));
        server.register(Client::secret_post("other", SECRET));
        site(install.start(), install, server)
    }

    fn cli(&self, arguments: &[&str], stdin: &str) -> String {
        self.install.cli(arguments).stdin(stdin).run().success()
    }

    #[track_caller]
    fn assert_gets(&self, client: &str) {
        let token = self.cli(&["get", client], "");
        assert_eq!(data(self.server.address(), token.trim_end()).0, 200, "{client}");
    }

    fn credential(&self, client: &str) -> Value {
        self.install.status(client)["credential"].clone()
    }
}

fn private_key() -> String {
    let key = Command::new("openssl").args(["genpkey", "-algorithm", "RSA"]).output().unwrap();
    String::from_utf8(key.stdout).unwrap()
}

#[test]
fn what_systemd_passes_is_used_and_the_rest_is_stored() {
    let passed = [("client_app.secret", format!("{SECRET}\n")), ("client_key.key", private_key())];
    let passed = passed.each_ref().map(|(name, content)| (*name, content.as_str()));
    let site = Site::start(&passed, "auto");
    site.assert_gets("app");
    let credential = site.credential("app");
    assert_eq!(
        (&credential["store"], &credential["kind"]),
        (&"systemd-credentials".into(), &"secret".into())
    );

    let jwk = site.cli(&["key", "public", "key", "--format", "jwk"], "");
    site.server.register(Client::private_key_jwt("key", &jwk));
    site.cli(&["renew", "key"], "");
    site.assert_gets("key");

    site.cli(&["secret", "set", "other"], SECRET);
    site.assert_gets("other");
    assert_ne!(site.credential("other")["store"], "systemd-credentials");
    let listed = site.cli(&["secret", "list"], "");
    assert!(listed.contains("systemd-credentials") && !listed.contains(SECRET), "{listed}");
}

#[test]
fn a_passed_credential_is_not_replaced_here_but_where_it_comes_from() {
    let site = Site::start(&[("client_app.secret", SECRET)], "auto");
    for arguments in [&["secret", "set", "app"][..], &["secret", "set", "app", "--next"]] {
        let refused = site.install.cli(arguments).stdin("new").run();
        refused.refused(
            1,
            &["app is passed by systemd", "systemd-creds encrypt --name=client_app.secret", "restart"],
        );
    }
    let refused = site.install.cli(["secret", "remove", "app"]).run();
    refused.refused(1, &["app is passed by systemd", "remove client_app.secret"]);
    site.assert_gets("app");
}

#[test]
fn a_token_outlives_a_restart_and_a_replaced_secret_does_not_serve_the_old_ones() {
    let mut site = Site::start(&[("client_app.secret", SECRET)], "auto");
    site.assert_gets("app");
    site.daemon.terminate();
    site.daemon = site.install.start();
    site.assert_gets("app");
    assert_eq!(site.server.token_requests("app"), 1, "the secret is the same");

    let file: PathBuf = site.install.path().join("credentials/client_app.secret");
    fs::remove_file(&file).unwrap();
    fs::write(&file, "newer").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    site.server.set_secret("app", "newer");
    site.daemon.terminate();
    site.daemon = site.install.start();
    site.assert_gets("app");
    assert_eq!(site.server.token_requests("app"), 2);
}

#[test]
fn two_credentials_where_one_is_meant_are_an_error_of_that_client_alone() {
    let key = private_key();
    let passed = [("client_app.secret", SECRET), ("client_app.key", &key), ("client_other.secret", SECRET)];
    let site = Site::start(&passed, "auto");
    site.assert_gets("other");
    for (command, exit) in
        [(&["test", "app"][..], 1), (&["get", "app"], 5), (&["status", "app"], 0), (&["doctor"], 1)]
    {
        let run = site.install.cli(command).run().expect(exit);
        let said = format!("{}{}", run.stdout, run.stderr);
        for words in
            ["two credentials for client app", "client_app.secret", "client_app.key", "remove the one"]
        {
            assert!(said.contains(words), "{words:?} is not in {run:?}");
        }
    }
}

#[test]
fn with_systemd_as_the_only_store_nothing_can_be_stored() {
    let site = Site::start(&[("client_app.secret", SECRET)], "systemd-credentials");
    site.assert_gets("app");
    let refused = site.install.cli(["secret", "set", "other"]).stdin(SECRET).run();
    refused.refused(1, &["nothing can be stored", "client_other.secret"]);
    let refused = site.install.cli(["secret", "move", "--to", "systemd-credentials"]).run();
    refused.refused(1, &["nobody but systemd", "systemd-creds"]);
}
