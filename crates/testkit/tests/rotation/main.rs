//! Two credentials at a time: the next one is tried, falls back, takes its place; nobody goes without a token meanwhile.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

#[path = "../common/caller.rs"]
mod caller;
mod expiry;
mod keys;
mod load;
mod secrets;

use std::time::Duration;

use serde_json::Value;
use tokenbroker_testkit::{AuthServer, Client, Daemon, Install, configuration};

/// Ample: other tests use the same processors.
const DEADLINE: Duration = Duration::from_secs(60);

/// A server, and a daemon with the clients `app`, which has a secret, and `key`, which has a key.
struct Site {
    daemon: Daemon,
    install: Install,
    server: AuthServer,
}

impl Site {
    fn start(lifetime: Duration) -> Self {
        let server = AuthServer::builder().lifetime(lifetime).start();
        let install = Install::new();
        install.config(
            &(configuration::issuer("test", &server)
                + &configuration::client("app", "test", "client_secret_basic")
                + &configuration::client("key", "test", "private_key_jwt")
                + "assertion_alg = \"ES256\"\n"),
        );
        Self { daemon: install.start(), install, server }
    }

    /// With the secret "old", and a token got with it.
    fn with_secret(lifetime: Duration) -> Self {
        let site = Self::start(lifetime);
        site.server.register(Client::secret_basic("app", "old"));
        site.set(&["app"], "old");
        site.cli(&["get", "app"]);
        site
    }

    /// With a key that is registered, and a token got with it.
    fn with_key(lifetime: Duration) -> Self {
        let site = Self::start(lifetime);
        // Otherwise the daemon would be refused before the key can be registered.
        site.server.stop();
        site.cli(&["key", "generate", "key"]);
        site.server.start_again();
        site.register_keys();
        site.cli(&["renew", "key"]);
        site
    }

    fn register_keys(&self) {
        self.server.register(Client::private_key_jwt(
            "key",
            &self.cli(&["key", "public", "key", "--format", "jwks"]),
        ));
    }

    fn set(&self, arguments: &[&str], secret: &str) -> String {
        let arguments = ["secret", "set"].iter().chain(arguments);
        self.install.cli(arguments).stdin(secret).run().success()
    }

    fn cli(&self, arguments: &[&str]) -> String {
        self.install.cli(arguments).run().success()
    }

    fn status(&self, client: &str) -> Value {
        self.install.status(client)
    }

    /// What `key list` or `secret list` says of a client, by standing.
    fn listed(&self, client: &str) -> Vec<(String, Value)> {
        let listed: Vec<Value> =
            serde_json::from_str(&self.cli(&["secret", "list", client, "--json"])).unwrap();
        listed.into_iter().map(|one| (one["standing"].as_str().unwrap().to_owned(), one)).collect()
    }

    fn standings(&self, client: &str) -> Vec<String> {
        self.listed(client).into_iter().map(|(standing, _)| standing).collect()
    }
}
