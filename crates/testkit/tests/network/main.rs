//! What is between the daemon and an authorization server: redirects, proxies, addresses, compression, and servers that
//! change their place or their certificate.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod addresses;
mod bodies;
mod changes;
mod environment;
mod proxies;
mod proxy;
mod raw;
mod redirects;

use std::time::Duration;

use serde_json::Value;
use tokenbroker_testkit::{AuthServer, Client, Daemon, Install, configuration, wait_for};

use self::raw::Raw;

/// Ample: builds and other tests may be using the same processors.
const SOON: Duration = Duration::from_secs(20);

const SECRET: &str = "s3cr3t-of-app";

/// A daemon with one client, `app`, whose secret is stored.
struct Host {
    // Dropped first: its log is in the directory.
    daemon: Daemon,
    install: Install,
}

impl Host {
    /// The issuer is what this table says.
    fn with_issuer(table: &str) -> Self {
        Self::in_install(Install::new(), table)
    }

    fn in_install(install: Install, table: &str) -> Self {
        configure(&install, table);
        let daemon = install.start();
        install.cli(["secret", "set", "app"]).stdin(SECRET).run().success();
        Self { daemon, install }
    }

    /// The token endpoint is a server that is no authorization server.
    fn asking(server: &Raw) -> Self {
        let url = server.url("/token");
        Self::with_issuer(&format!("[issuers.as]\ntoken_endpoint = {url:?}\nallow_plain_http = true\n"))
    }

    /// The issuer is another one from now on.
    fn reconfigure(&self, table: &str) {
        configure(&self.install, table);
        self.install.cli(["reload"]).run().success();
    }

    /// What a caller who does not wait is told, in these words and with this exit code.
    #[track_caller]
    fn refused(&self, code: i32, words: &[&str]) -> String {
        self.install.cli(["get", "app", "--wait", "0s"]).run().refused(code, words)
    }

    /// The status once it shows an error.
    #[track_caller]
    fn failed(&self) -> Value {
        let status =
            wait_for(SOON, || Some(self.install.status("app")).filter(|it| !it["last_error"].is_null()));
        status.expect("an error in the status")
    }

    /// The status once it shows an error with this code, and the words of that error.
    #[track_caller]
    fn failed_with(&self, code: &str, words: &str) -> Value {
        let status = self.failed();
        assert_eq!(status["last_error"]["code"], code, "{status}");
        let message = status["last_error"]["message"].as_str().unwrap();
        assert!(message.contains(words), "there is no {words:?} in {status}");
        status
    }

    fn get(&self) -> String {
        self.install.cli(["get", "app"]).run().success()
    }

    fn renew(&self) {
        self.install.cli(["renew", "app"]).run().success();
    }
}

fn configure(install: &Install, table: &str) {
    install.config(&(table.to_owned() + &configuration::client("app", "as", "client_secret_post")));
}

/// An authorization server that knows the client. Through a proxy goes TLS only.
fn tls_server() -> AuthServer {
    let server = AuthServer::builder().tls(true).start();
    server.register(Client::secret_post("app", SECRET));
    server
}
