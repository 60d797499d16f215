//! The audit log of a real daemon: what is in it, what is not, and that nobody waits for it.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod administration;
mod denials;
mod files;
mod floods;
mod journal;
mod tokens;

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokenbroker_protocol::{Command, GetToken, Response, Token};
use tokenbroker_testkit::{AuthServer, Client, Daemon, Install, Wire, configuration, wait_for, wait_until};

/// Ample: other tests use the same processors.
const SOON: Duration = Duration::from_secs(30);

/// A user that no host has a name for.
const ANN: u32 = 2001;

/// A daemon with one client, `app`, that has a token.
struct Host {
    // Dropped first: its log is in the directory.
    daemon: Daemon,
    install: Install,
    server: AuthServer,
}

impl Host {
    fn new() -> Self {
        Self::with("")
    }

    /// With these keys of `[daemon]`.
    fn with(keys: &str) -> Self {
        Self::start(Install::new(), keys, Install::start)
    }

    fn start(install: Install, keys: &str, start: impl FnOnce(&Install) -> Daemon) -> Self {
        let server = AuthServer::start();
        server.register(Client::secret_post("app", "secret"));
        install.config(&Self::configuration(&server, keys, ""));
        let host = Self { daemon: start(&install), install, server };
        host.install.cli(["secret", "set", "app"]).stdin("secret").run().success();
        wait_until(SOON, || host.install.status("app")["state"] == "warm");
        host
    }

    fn configuration(server: &AuthServer, keys: &str, of_client: &str) -> String {
        let client = configuration::client("app", "as", "client_secret_post");
        format!("{}{client}{of_client}\n[daemon]\n{keys}\n", configuration::issuer("as", server))
    }

    /// Takes other keys for `[daemon]` and the client, and returns once they count.
    fn reload(&self, keys: &str, of_client: &str) {
        self.install.config(&Self::configuration(&self.server, keys, of_client));
        self.install.cli(["reload"]).run().success();
    }

    fn greeted(&self) -> Wire {
        let mut wire = Wire::connect(&self.install.socket());
        wire.shake_hands();
        wire
    }

    /// What is in the log so far.
    fn records(&self) -> Vec<Value> {
        records(&self.install.audit_log())
    }

    /// Records of this kind, as soon as there are so many of them; the ones before the last can't become more.
    #[track_caller]
    fn wait_for(&self, event: &str, count: usize) -> Vec<Value> {
        let found = wait_for(SOON, || {
            let found = of(self.records(), event);
            (found.len() >= count).then_some(found)
        });
        let found = found.unwrap_or_else(|| panic!("not {count} of {event} in {:?}", self.records()));
        assert_eq!(found.len(), count, "{:?}", &found[..found.len().min(count + 3)]);
        found
    }
}

/// Every line of a log but one that is being written.
#[track_caller]
fn records(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"))).collect()
}

/// Those of one kind.
fn of(records: Vec<Value>, event: &str) -> Vec<Value> {
    records.into_iter().filter(|record| record["event"] == event).collect()
}

fn get(client: &str) -> Command {
    Command::GetToken(GetToken { client: client.into(), ..GetToken::default() })
}

/// Gets the token of `app` on this connection.
#[track_caller]
fn token(wire: &mut Wire) -> Token {
    wire.ask(1, get("app"));
    match wire.reply().unwrap().response {
        Response::Token(token) => token,
        other => panic!("{other:?}"),
    }
}
