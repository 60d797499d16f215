//! A host with a daemon and the command line, in a temporary directory.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokenbroker_client::blocking::Broker;
use tokenbroker_testkit::{Daemon, Install};

use super::{INVOICES, REPORTS, SIGNTEXT};
use crate::Result;

/// What both clients with a secret have; with characters that are easily sent wrongly.
pub(crate) const SECRET: &str = "correct horse + battery & staple = 100%";

/// A configuration, and the daemon that runs on it. Dropping it ends the daemon and removes the directory.
pub(crate) struct Host {
    // In the order in which they are to be dropped.
    daemon: Daemon,
    install: Install,
}

#[derive(Deserialize)]
struct Status {
    client: String,
    state: String,
}

impl Host {
    pub(crate) fn start(issuer: &str) -> Result<Self> {
        let install = Install::new();
        install.config(&configuration(issuer));
        Ok(Self { daemon: install.start(), install })
    }

    pub(crate) fn directory(&self) -> &Path {
        self.install.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.install.socket()
    }

    pub(crate) fn broker(&self) -> Result<Broker> {
        Ok(Broker::builder().socket(self.socket()).connect()?)
    }

    /// What a `tokenbroker` command prints.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_with_stdin(arguments, "")
    }

    /// The same for a command that reads a secret.
    pub(crate) fn run_with_secret(&self, arguments: &[&str]) -> Result<String> {
        self.run_with_stdin(arguments, SECRET)
    }

    /// What the status calls the state of a client.
    pub(crate) fn state(&self, client: &str) -> Result<String> {
        let statuses: Vec<Status> = serde_json::from_str(&self.run(&["status", "--json"])?)?;
        let status = statuses.into_iter().find(|status| status.client == client);
        Ok(status.ok_or_else(|| format!("{client} has no status"))?.state)
    }

    /// What the daemon logged so far.
    pub(crate) fn log(&self) -> String {
        self.daemon.log()
    }

    /// SIGTERM, and everything is removed.
    pub(crate) fn stop(self) -> Result {
        let status = self.daemon.terminate();
        if status.success() { Ok(()) } else { Err(format!("the daemon ended badly: {status}").into()) }
    }

    fn run_with_stdin(&self, arguments: &[&str], stdin: &str) -> Result<String> {
        let output = self.install.cli(arguments).stdin(stdin).run();
        if output.code != 0 {
            let command = arguments.join(" ");
            return Err(
                format!("`tokenbroker {command}`: exit code {}: {}", output.code, output.stderr).into()
            );
        }
        Ok(output.stdout)
    }
}

fn configuration(issuer: &str) -> String {
    format!(
        r#"
[issuers.local]
issuer = "{issuer}"
allow_plain_http = true                 # on loopback only, even then

[clients.{INVOICES}]
issuer = "local"
client_id = "{INVOICES}"
auth = "client_secret_basic"

[clients.{REPORTS}]
issuer = "local"
client_id = "{REPORTS}"
auth = "client_secret_post"

[clients.{SIGNTEXT}]
issuer = "local"
client_id = "{SIGNTEXT}"
auth = "private_key_jwt"
"#
    )
}
