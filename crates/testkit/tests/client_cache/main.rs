//! The client crate's cache against a real daemon: what a subscribed caller gets, and when it asks.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod changes;
mod restarts;

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokenbroker_client::{Broker, Error, Token, TokenRequest, blocking};
use tokenbroker_testkit::{AuthServer, Client, Daemon, Install, configuration, wait_until};
use tokio::runtime::{self, Runtime};
use tokio::task::JoinSet;

/// Ample: other tests use the same processors.
const DEADLINE: Duration = Duration::from_secs(30);

const SECRET: &str = "s3cret";

/// A daemon with one client, `app`, that has a token.
struct Host {
    // Dropped first: its log is in the directory.
    daemon: Daemon,
    install: Install,
    server: AuthServer,
}

impl Host {
    fn new() -> Self {
        let server = AuthServer::start();
        server.register(Client::secret_basic("app", SECRET));
        let install = Install::new();
        install.config(&Self::configuration(&server, ""));
        let host = Self { daemon: install.start(), install, server };
        host.set_secret();
        host.cli(&["get", "app"]);
        host
    }

    fn configuration(server: &AuthServer, keys: &str) -> String {
        let client = configuration::client("app", "as", "client_secret_basic");
        format!("{}{client}{keys}\n", configuration::issuer("as", server))
    }

    /// Takes other keys for the client, and returns once they count.
    fn reload(&self, keys: &str) {
        self.install.config(&Self::configuration(&self.server, keys));
        self.cli(&["reload"]);
    }

    fn set_secret(&self) {
        self.install.cli(["secret", "set", "app"]).stdin(SECRET).run().success();
    }

    fn cli(&self, arguments: &[&str]) -> String {
        self.install.cli(arguments).run().success()
    }

    /// How often the daemon has given a token.
    fn gets(&self) -> u64 {
        let Value::Number(gets) = &self.install.status("app")["gets"] else { panic!("there is no number") };
        gets.as_u64().unwrap()
    }

    /// A caller of each kind whose gets are served from memory by now.
    fn subscribed(&self) -> [Caller; 2] {
        let callers = Caller::both(&self.install.socket());
        callers.iter().for_each(|caller| self.warm(caller));
        callers
    }

    /// Gets until that is not to be seen in what the daemon counts.
    fn warm(&self, caller: &Caller) {
        wait_until(DEADLINE, || {
            caller.token().unwrap();
            let before = self.gets();
            caller.token().unwrap();
            self.gets() == before
        });
    }

    fn status_of_resource(&self, token: &Token) -> u16 {
        tokenbroker_testkit::data(self.server.address(), token.value()).0
    }
}

/// A caller of either kind.
enum Caller {
    Blocking(blocking::Broker),
    Async(Runtime, Broker),
}

impl Caller {
    fn both(socket: &Path) -> [Self; 2] {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        [
            Self::Blocking(blocking::Broker::builder().socket(socket).build()),
            Self::Async(runtime, Broker::builder().socket(socket).build()),
        ]
    }

    fn token(&self) -> Result<Token, Error> {
        match self {
            Self::Blocking(broker) => broker.token("app"),
            Self::Async(runtime, broker) => runtime.block_on(broker.token("app")),
        }
    }

    fn rejected(&self, token: &Token) -> Result<Token, Error> {
        match self {
            Self::Blocking(broker) => broker.rejected(token),
            Self::Async(runtime, broker) => runtime.block_on(broker.rejected(token)),
        }
    }

    fn generation(&self) -> u64 {
        self.token().unwrap().generation()
    }
}

#[test]
fn gets_of_a_subscribed_caller_do_not_reach_the_daemon() {
    let host = Host::new();
    for caller in host.subscribed() {
        let before = host.gets();
        for _ in 0..10_000 {
            assert_eq!(caller.generation(), 1);
        }
        assert_eq!(host.gets(), before);
    }
    assert_eq!(host.server.token_requests("app"), 1);
}

#[test]
fn s10_more_gets_at_a_time_than_there_may_be_connections_are_answered_within_their_wait() {
    let host = Host::new();
    host.reload("[daemon]\nmax_connections_per_uid = 8");
    let [_, Caller::Async(runtime, broker)] = Caller::both(&host.install.socket()) else { unreachable!() };
    let gets = (0..100).map(|_| {
        let broker = broker.clone();
        async move { broker.token_with(&TokenRequest::new("app").wait(DEADLINE)).await }
    });
    runtime.block_on(async {
        for outcome in gets.collect::<JoinSet<_>>().join_all().await {
            assert_eq!(outcome.unwrap().generation(), 1);
        }
    });
}

#[test]
fn a_subscribed_caller_knows_how_long_its_token_lives() {
    let host = Host::new();
    for caller in host.subscribed() {
        let left = caller.token().unwrap().expires_in();
        let status = host.install.status("app")["expires_in"].as_u64().unwrap();
        assert!(left.as_secs().abs_diff(status) <= 1, "{left:?} here, {status} s there");
    }
}
