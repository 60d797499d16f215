//! Daemons that don't start, callers without a daemon, reloads that are not taken, and how a daemon ends.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod absent;
mod ends;
mod reloads;
mod restarts;
mod second;
mod sockets;
mod state;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tokenbroker_testkit::{AuthServer, Client, Daemon, Install, configuration};

/// Ample: builds and other tests may be using the same processors.
const SOON: Duration = Duration::from_secs(20);

/// The daemon refuses its configuration with 78 and everything else with 1.
const REFUSED: i32 = 1;

/// The tables of these clients, which authenticate with a secret, and of their issuer.
fn tables(server: &AuthServer, clients: &[&str]) -> String {
    let tables = clients.iter().map(|name| configuration::client(name, "as", "client_secret_post"));
    configuration::issuer("as", server) + &tables.collect::<String>()
}

/// A daemon with one client, `app`, that has a token.
fn start(server: &AuthServer) -> (Install, Daemon) {
    server.register(Client::secret_post("app", "secret"));
    let install = Install::new();
    install.config(&tables(server, &["app"]));
    let daemon = install.start();
    install.cli(["secret", "set", "app"]).stdin("secret").run().success();
    install.cli(["get", "app"]).run().success();
    (install, daemon)
}

/// What a daemon says that does not start.
#[track_caller]
fn does_not_start(install: &Install, words: &[&str]) -> String {
    install.tokenbrokerd([""; 0]).run().refused(REFUSED, words)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}
