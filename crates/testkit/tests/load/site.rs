//! Seven clients with tokens that live six seconds.

use std::time::Duration;

use tokenbroker_testkit::{AuthServer, Client, Daemon, Install, configuration};

pub(crate) const CLIENTS: [&str; 7] = ["basic-1", "basic-2", "basic-3", "post-1", "post-2", "key-1", "key-2"];

pub(crate) const LIFETIME: Duration = Duration::from_secs(6);

const SECRET: &str = "s3cret";

pub(crate) struct Site {
    pub(crate) install: Install,
    pub(crate) server: AuthServer,
}

impl Site {
    pub(crate) fn start() -> Self {
        let server = AuthServer::builder().lifetime(LIFETIME).start();
        let mut config = configuration::issuer("test", &server);
        for client in CLIENTS {
            let keys = match client.split('-').next() {
                Some("basic") => configuration::client(client, "test", "client_secret_basic"),
                Some("post") => configuration::client(client, "test", "client_secret_post"),
                _ => configuration::client(client, "test", "private_key_jwt") + "assertion_alg = \"ES256\"\n",
            };
            config.push_str(&keys);
        }
        let install = Install::new();
        install.config(&config);
        Self { install, server }
    }

    /// With all credentials stored, all clients registered, and all tokens warm.
    pub(crate) fn start_daemon(&self) -> Daemon {
        let daemon = self.install.start();
        for client in CLIENTS {
            self.provide(client);
            self.cli(&["get", client], "");
        }
        daemon
    }

    /// How many tokens the daemon has given out since it was started.
    pub(crate) fn gets(&self) -> u64 {
        CLIENTS.iter().filter_map(|client| self.install.status(client)["gets"].as_u64()).sum()
    }

    fn provide(&self, client: &str) {
        if !client.starts_with("key") {
            self.server.register(match client.starts_with("basic") {
                true => Client::secret_basic(client, SECRET),
                false => Client::secret_post(client, SECRET),
            });
            self.cli(&["secret", "set", client], SECRET);
            return;
        }
        // Otherwise the daemon would be refused before the key can be registered.
        self.server.stop();
        self.cli(&["key", "generate", client, "--alg", "ES256"], "");
        let jwk = self.cli(&["key", "public", client, "--format", "jwk"], "");
        self.server.start_again();
        self.server.register(Client::private_key_jwt(client, &jwk));
        self.cli(&["renew", client], "");
    }

    fn cli(&self, arguments: &[&str], stdin: &str) -> String {
        self.install.cli(arguments).stdin(stdin).run().success()
    }
}
