//! What callers can ask for besides a client's token: less than is configured, a newer token than one that was refused,
//! and why things are as they are.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod explain;
mod narrowing;
mod rejected;

use std::time::Duration;

use serde_json::Value;
use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{Command, Failure, GetToken, Response, Token};
use tokenbroker_testkit::{AuthServer, Client, Daemon, Install, configuration, wait_for};

/// Ample: other tests use the same processors.
const DEADLINE: Duration = Duration::from_secs(30);

const SECRET: &str = "s3cret";

/// What the client `app` is configured with unless a test says otherwise.
const FULL: &str = "scope = \"read sign write\"\nresource = [\"urn:one\", \"urn:two\"]\naudience = \"api\"\n";

/// A daemon with the client `app`, whose token is there.
struct Site {
    server: AuthServer,
    // Dropped before the directory, which has its log.
    daemon: Daemon,
    install: Install,
}

impl Site {
    /// `app` with these keys besides the usual ones, and whatever else the text has.
    fn new(keys: &str) -> Self {
        Self::with_install(Install::new(), keys)
    }

    fn with_install(install: Install, keys: &str) -> Self {
        let server = AuthServer::start();
        server.register(Client::secret_basic("app", SECRET));
        install.config(&configuration(&server, keys));
        let site = Self { daemon: install.start(), install, server };
        site.cli(&["secret", "set", "app"], SECRET);
        site.get(&[]);
        site
    }

    fn reload(&self, keys: &str) {
        self.install.config(&configuration(&self.server, keys));
        self.cli(&["reload"], "");
    }

    /// What the command line printed, which succeeded.
    #[track_caller]
    fn cli(&self, arguments: &[&str], stdin: &str) -> String {
        self.install.cli(arguments).stdin(stdin).run().success()
    }

    /// What `get app --json` says with these arguments.
    #[track_caller]
    fn get(&self, arguments: &[&str]) -> Value {
        let arguments = [&["get", "app", "--json"], arguments].concat();
        serde_json::from_str(&self.cli(&arguments, "")).unwrap()
    }

    /// What `get app` with these arguments complained of, in these words, with this exit code.
    #[track_caller]
    fn refused(&self, arguments: &[&str], code: i32, words: &[&str]) -> String {
        self.install.cli([&["get", "app"], arguments].concat()).run().refused(code, words)
    }

    #[track_caller]
    fn status_when(&self, condition: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = wait_for(DEADLINE, || {
            last = self.install.status("app");
            condition(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("the status has not become what was expected: {last}"))
    }

    fn broker(&self) -> Broker {
        Broker::builder().socket(self.install.socket()).cache(false).connect().unwrap()
    }

    fn requests(&self) -> u64 {
        self.server.token_requests("app")
    }

    /// Whether the protected resource takes the token.
    fn is_accepted(&self, token: &str) -> bool {
        tokenbroker_testkit::data(self.server.address(), token).0 == 200
    }
}

fn configuration(server: &AuthServer, keys: &str) -> String {
    let issuer = configuration::issuer("as", server);
    format!(
        "{issuer}max_per_second = 0\n\n{}{keys}",
        configuration::client("app", "as", "client_secret_basic")
    )
}

/// A token as the protocol has it, with its handle.
#[track_caller]
fn wire_token(broker: &Broker, client: &str) -> Token {
    let get = GetToken { client: client.into(), ..GetToken::default() };
    match broker.request(Command::GetToken(get), DEADLINE).unwrap() {
        Response::Token(token) => token,
        other => panic!("{other:?}"),
    }
}

/// What the daemon says to a command that it refuses.
#[track_caller]
fn wire_failure(broker: &Broker, command: Command) -> Failure {
    match broker.request(command, DEADLINE) {
        Err(error) => error.failure().unwrap_or_else(|| panic!("{error:?}")).clone(),
        other => panic!("{other:?}"),
    }
}
