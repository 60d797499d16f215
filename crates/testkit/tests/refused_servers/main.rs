//! Authorization servers that can't be reached, are not who they should be, or answer with something else than a
//! token: what a caller is told, how often they are asked, and that an unexpired token is served regardless.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod answers;
mod credentials;
mod discovery;
mod outages;
mod unreachable;

use std::time::Duration;

use serde_json::Value;
use tokenbroker_testkit::{AuthServer, Client, Daemon, Install, configuration, wait_for};

/// Ample: builds and other tests may be using the same processors.
const SOON: Duration = Duration::from_secs(20);

/// A daemon with one client, `app`, whose secret is stored.
struct Host {
    // Dropped first: its log is in the directory.
    daemon: Daemon,
    install: Install,
}

impl Host {
    /// The issuer is the server.
    fn of(server: &AuthServer) -> Self {
        server.register(Client::secret_post("app", "secret"));
        Self::with_issuer(&configuration::issuer("as", server))
    }

    /// The issuer is what this table says.
    fn with_issuer(table: &str) -> Self {
        let install = Install::new();
        install.config(&(table.to_owned() + &configuration::client("app", "as", "client_secret_post")));
        let daemon = install.start();
        install.cli(["secret", "set", "app"]).stdin("secret").run().success();
        Self { daemon, install }
    }

    /// What a caller who waits no longer than this is told, in these words and with this exit code.
    #[track_caller]
    fn refused(&self, code: i32, wait: &str, words: &[&str]) -> String {
        self.install.cli(["get", "app", "--wait", wait]).run().refused(code, words)
    }

    /// The status once it shows an error.
    #[track_caller]
    fn failed(&self) -> Value {
        let status =
            wait_for(SOON, || Some(self.install.status("app")).filter(|it| !it["last_error"].is_null()));
        status.expect("an error in the status")
    }

    /// The status once it shows an error with this code, in this state.
    #[track_caller]
    fn failed_with(&self, state: &str, code: &str) -> Value {
        let status = self.failed();
        assert_eq!(
            (&status["state"], &status["last_error"]["code"]),
            (&state.into(), &code.into()),
            "{status}"
        );
        status
    }

    fn get(&self) -> String {
        self.install.cli(["get", "app"]).run().success()
    }
}
