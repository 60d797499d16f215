//! What the broker is for, on the programs as users run them: secrets and keys in, tokens out, and what is said about it.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod formats;
mod keys;
mod library;
mod presets;
mod reload;
mod renewal;
mod secrets;
mod states;
mod tokens;

use std::time::Duration;

use serde_json::Value;
use tokenbroker_testkit::{AuthServer, Client, Daemon, Install, configuration, wait_for};

/// Ample: other tests use the same processors.
const DEADLINE: Duration = Duration::from_secs(30);

const SECRET: &str = "s3cret";

/// An authorization server, and a daemon that knows it as the issuer `test`.
struct Site {
    daemon: Daemon,
    install: Install,
    server: AuthServer,
}

impl Site {
    /// With these clients, each with the keys that its table has besides the usual ones.
    fn start(server: AuthServer, clients: &[(&str, &str, &str)]) -> Self {
        let install = Install::new();
        install.config(&config(&server, clients));
        Self { daemon: install.start(), install, server }
    }

    /// With one client, `app`, that has its secret stored already, and registered.
    fn with_app(server: AuthServer) -> Self {
        server.register(Client::secret_basic("app", SECRET));
        let site = Self::start(server, &[("app", "client_secret_basic", "")]);
        site.set_secret("app", SECRET);
        site
    }

    fn set_secret(&self, client: &str, secret: &str) {
        self.cli(&["secret", "set", client], secret);
    }

    /// What the command line printed, which succeeded.
    #[track_caller]
    fn cli(&self, arguments: &[&str], stdin: &str) -> String {
        self.install.cli(arguments).stdin(stdin).run().success()
    }

    /// The client's token.
    #[track_caller]
    fn get(&self, client: &str) -> String {
        self.cli(&["get", client], "").trim_end().into()
    }

    /// What `get --json` says, with these arguments besides.
    #[track_caller]
    fn get_json(&self, client: &str, arguments: &[&str]) -> Value {
        let arguments = [&["get", client, "--json"], arguments].concat();
        serde_json::from_str(&self.cli(&arguments, "")).unwrap()
    }

    /// The client's status as soon as it is in this state.
    #[track_caller]
    fn status_once(&self, client: &str, state: &str) -> Value {
        self.status_when(client, |status| status["state"] == state)
    }

    #[track_caller]
    fn status_when(&self, client: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = wait_for(DEADLINE, || {
            last = self.install.status(client);
            condition(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("the status has not become what was expected: {last}"))
    }

    #[track_caller]
    fn assert_accepted(&self, token: &str) {
        let answer = tokenbroker_testkit::data(self.server.address(), token);
        assert_eq!(answer, (200, "This is the protected data.".into()));
    }
}

fn config(server: &AuthServer, clients: &[(&str, &str, &str)]) -> String {
    let mut config = configuration::issuer("test", server);
    for (name, auth, keys) in clients {
        config.push_str(&format!("\n{}{keys}\n", configuration::client(name, "test", auth)));
    }
    config
}
