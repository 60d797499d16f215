//! The HTTP socket: what it answers, what it refuses, and whom it does not let get in the way of others.
//!
//! `real_programs` has curl, and callers in Python and Node with the libraries that people use there.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod caller;
mod foreign;
mod health;
mod limits;
mod metrics;
mod real_programs;
mod refused;
mod shutdown;
mod slow;
mod sockets;
mod status;
mod token_endpoint;
mod tokens;

use std::ffi::OsStr;
use std::time::Duration;

use serde_json::Value;
use tokenbroker_testkit::{AuthServer, Client, Daemon, Install, Run, configuration, wait_until};

use crate::caller::{Caller, Reply};

/// Ample: other tests use the same processors.
const DEADLINE: Duration = Duration::from_secs(30);

/// A user that no host has a name for.
const ANN: u32 = 2001;

/// A daemon that speaks HTTP.
struct Site {
    // Dropped first: its log is in the directory.
    daemon: Daemon,
    install: Install,
    server: AuthServer,
}

impl Site {
    /// With these clients, each with the keys that its table has besides the usual ones, all of them warm.
    fn new(clients: &[(&str, &str)]) -> Self {
        Self::cold(clients).warm(clients)
    }

    /// The same, with everything in the log that can be there.
    fn tracing(clients: &[(&str, &str)]) -> Self {
        let mut install = Install::new();
        install.env("TOKENBROKER_LOG", "trace");
        Self::start(install, clients).warm(clients)
    }

    /// The same without secrets.
    fn cold(clients: &[(&str, &str)]) -> Self {
        Self::start(Install::new(), clients)
    }

    fn start(install: Install, clients: &[(&str, &str)]) -> Self {
        let server = AuthServer::start();
        install.config(&config(&install, &server, clients));
        let daemon = install.start();
        for (name, _) in clients {
            server.register(Client::secret_post(name, "secret"));
        }
        Self { daemon, install, server }
    }

    /// Takes these keys for `[daemon]`, and returns once they count.
    fn reconfigure(&self, keys: &str, clients: &[(&str, &str)]) {
        self.install.config(&format!("{}{keys}\n", config(&self.install, &self.server, clients)));
        self.install.cli(["reload"]).run().success();
    }

    fn warm(self, clients: &[(&str, &str)]) -> Self {
        for (name, _) in clients {
            self.set_secret(name);
        }
        for (name, _) in clients {
            wait_until(DEADLINE, || self.install.status(name)["state"] == "warm");
        }
        self
    }

    fn set_secret(&self, client: &str) {
        self.install.cli(["secret", "set", client]).stdin("secret").run().success();
    }

    /// A connection on which nothing was said yet.
    fn dial(&self) -> Caller {
        Caller::connect(&self.install.http_socket())
    }

    /// A reply on a connection of its own.
    #[track_caller]
    fn get(&self, path: &str) -> Reply {
        self.dial().get(path)
    }

    /// The reply of the token endpoint to a form.
    #[track_caller]
    fn post(&self, form: &str) -> Reply {
        self.dial().post(&[], form)
    }

    /// The client's token, by the command line.
    #[track_caller]
    fn token(&self, client: &str) -> String {
        self.install.cli(["get", client]).run().success().trim_end().into()
    }

    /// What `get --json` says.
    #[track_caller]
    fn get_json(&self, client: &str) -> Value {
        let printed = self.install.cli(["get", client, "--json"]).run().success();
        serde_json::from_str(&printed).unwrap()
    }

    /// curl on the HTTP socket: silent, and what it got is the status in a line of its own after the body.
    fn curl(&self, arguments: &[&str]) -> Run {
        let socket = self.install.http_socket();
        let fixed = ["--silent", "--show-error", "--max-time", "30", "--write-out", "\n%{http_code}"];
        self.install
            .program("curl")
            .args(fixed)
            .args([OsStr::new("--unix-socket"), socket.as_os_str()])
            .args(arguments)
    }

    /// It runs and serves, and has not complained: a caller must not be able to fill the log.
    #[track_caller]
    fn expect_well(mut self, client: &str) {
        assert!(self.daemon.is_running());
        assert_eq!(self.get(&format!("/v1/tokens/{client}")).status, 200);
        let log = self.daemon.log();
        assert!(!log.contains("panicked") && log.lines().count() < 10, "{log}");
    }
}

fn config(install: &Install, server: &AuthServer, clients: &[(&str, &str)]) -> String {
    let tables = clients
        .iter()
        .map(|(name, keys)| configuration::client(name, "as", "client_secret_post") + keys + "\n");
    let tables: String = tables.collect();
    format!(
        "{}{tables}[daemon]\nhttp_socket = {:?}\n",
        configuration::issuer("as", server),
        install.http_socket()
    )
}
