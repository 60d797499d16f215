//! Starting and ending: passed sockets, readiness, callers in between, tokens that outlive the daemon.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod kept_tokens;
mod notify;
mod passed_socket;
mod shutdown;

use tokenbroker_testkit::{AuthServer, Client, Install, configuration};

/// A directory whose daemon knows a client `app`.
fn install(server: &AuthServer) -> Install {
    let install = Install::new();
    let client = configuration::client("app", "test", "client_secret_basic");
    install.config(&(configuration::issuer("test", server) + &client));
    install
}

fn server() -> AuthServer {
    let server = AuthServer::start();
    server.register(Client::secret_basic("app", "s3cret"));
    server
}

fn set_secret(install: &Install) {
    install.cli(["secret", "set", "app"]).stdin("s3cret").run().success();
}

/// The client's token, which the resource accepts.
fn get(install: &Install, server: &AuthServer) -> String {
    let token = install.cli(["get", "app"]).run().success();
    let token = token.trim_end();
    assert_eq!(tokenbroker_testkit::data(server.address(), token).0, 200);
    token.into()
}
