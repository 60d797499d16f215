//! Who may have what, and what the others are told: nothing that they could not guess.
//!
//! Other users than the daemon's take root; without it only the first part runs.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod administration;
mod clients;
mod containers;
mod explained;
mod parts;
mod rules;
mod units;

use std::time::Duration;

use tokenbroker_testkit::{
    AuthServer, Client, Daemon, Install, Run, configuration, require_or_skip, root, wait_until,
};

/// Users and groups that no host has names for.
const ANN: u32 = 2001;
const BEN: u32 = 2002;
const SIGNERS: u32 = 3001;

const SOON: Duration = Duration::from_secs(20);

/// A daemon of root's whose clients all have a token, each with the rule that it is given.
struct Host {
    server: AuthServer,
    // Dropped before the directory, which has its log.
    daemon: Daemon,
    install: Install,
}

impl Host {
    /// `None` if there is no way to be somebody else.
    fn for_other_users(clients: &[(&str, &str)]) -> Option<Self> {
        require_or_skip("callers of other users", root()).then(|| {
            let host = Self::new("", clients);
            host.install.open_to_other_users();
            host
        })
    }

    fn new(daemon: &str, clients: &[(&str, &str)]) -> Self {
        Self::start(Install::new(), daemon, clients)
    }

    fn logging(level: &str, clients: &[(&str, &str)]) -> Self {
        let mut install = Install::new();
        install.env("TOKENBROKER_LOG", level);
        Self::start(install, "", clients)
    }

    fn start(install: Install, daemon: &str, clients: &[(&str, &str)]) -> Self {
        let server = AuthServer::start();
        install.config(&Self::configuration(&server, daemon, clients));
        let running = install.start();
        let host = Self { server, daemon: running, install };
        host.set_secrets(clients);
        host
    }

    /// Has all clients get their tokens.
    fn set_secrets(&self, clients: &[(&str, &str)]) {
        for (name, _) in clients {
            self.server.register(Client::secret_post(name, "secret"));
            self.install.cli(["secret", "set", name]).stdin("secret").run().success();
        }
        for (name, _) in clients {
            wait_until(SOON, || self.install.status(name)["state"] == "warm");
        }
    }

    fn configuration(server: &AuthServer, daemon: &str, clients: &[(&str, &str)]) -> String {
        let tables = clients.iter().map(|(name, rule)| {
            let allow = if rule.is_empty() { String::new() } else { format!("allow = [{rule}]\n") };
            configuration::client(name, "as", "client_secret_post") + &allow
        });
        format!("{}{}[daemon]\n{daemon}", configuration::issuer("as", server), tables.collect::<String>())
    }

    /// A command of a user who is in the group of the same number and no other.
    fn by(&self, user: u32, arguments: &[&str]) -> Run {
        self.install.cli(arguments).as_user(user, user)
    }
}
