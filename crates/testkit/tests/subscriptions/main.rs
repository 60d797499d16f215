//! Callers that ask once and are told of every change, over the native socket of a real daemon.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod cancelled;
mod changes;
mod pushed;

use tokenbroker_protocol::{Command, Failure, GetToken, Reply, Response, Token};
use tokenbroker_testkit::{AuthServer, Client, Daemon, Install, Wire, configuration};

/// A daemon with one client, `app`, that has a token for `read write`.
struct Host {
    // Dropped first: its log is in the directory.
    _daemon: Daemon,
    install: Install,
    server: AuthServer,
}

impl Host {
    fn new() -> Self {
        let server = AuthServer::start();
        server.register(Client::secret_post("app", "secret"));
        let install = Install::new();
        install.config(&Self::configuration(&server, "scope = \"read write\""));
        let daemon = install.start();
        let host = Self { _daemon: daemon, install, server };
        host.set_secret();
        host.install.cli(["get", "app"]).run().success();
        host
    }

    fn configuration(server: &AuthServer, keys: &str) -> String {
        let client = configuration::client("app", "as", "client_secret_post");
        format!("{}{client}{keys}\n", configuration::issuer("as", server))
    }

    /// Takes other keys for the client, and returns once they count.
    fn reload(&self, keys: &str) {
        self.install.config(&Self::configuration(&self.server, keys));
        self.install.cli(["reload"]).run().success();
    }

    fn set_secret(&self) {
        self.install.cli(["secret", "set", "app"]).stdin("secret").run().success();
    }

    fn renew(&self) {
        self.install.cli(["renew", "app"]).run().success();
    }

    fn greeted(&self) -> Wire {
        let mut wire = Wire::connect(&self.install.socket());
        wire.shake_hands();
        wire
    }

    /// A connection with a subscription to the configured token, and that token.
    fn subscribed(&self) -> (Wire, Token) {
        let mut wire = self.greeted();
        wire.ask(1, subscribe("app", None));
        let token = token(&mut wire, 1);
        (wire, token)
    }
}

fn subscribe(client: &str, scope: Option<&str>) -> Command {
    Command::Subscribe(GetToken {
        client: client.into(),
        scope: scope.map(str::to_owned),
        ..GetToken::default()
    })
}

/// The next reply, which is a token for this id.
#[track_caller]
fn token(wire: &mut Wire, id: u32) -> Token {
    match wire.reply().unwrap() {
        Reply { id: of, response: Response::Token(token) } if of == id => token,
        other => panic!("{other:?}"),
    }
}

/// The next reply, which is a failure for this id.
#[track_caller]
fn failure(wire: &mut Wire, id: u32) -> Failure {
    match wire.reply().unwrap() {
        Reply { id: of, response: Response::Failed(failure) } if of == id => failure,
        other => panic!("{other:?}"),
    }
}

/// The next reply, which has nothing to say for this id but that.
#[track_caller]
fn expect(wire: &mut Wire, id: u32, response: Response) {
    assert_eq!(wire.reply().unwrap(), Reply { id, response });
}
