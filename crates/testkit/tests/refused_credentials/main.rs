//! Secrets and keys that are refused: exit code and words, and what was there before goes on.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod keys;
mod secrets;
mod unseen;

use serde_json::Value;
use tokenbroker_testkit::{AuthServer, Daemon, Install, configuration};

/// A daemon with these clients, each with a method of authentication and an algorithm if that needs one.
fn start(server: &AuthServer, clients: &[(&str, &str)]) -> (Install, Daemon) {
    let install = Install::new();
    let tables = clients.iter().map(|(name, auth)| match *auth {
        "RS256" | "PS256" | "ES256" | "EdDSA" => {
            let table = configuration::client(name, "as", "private_key_jwt");
            format!("{table}assertion_alg = {auth:?}\n")
        }
        auth => configuration::client(name, "as", auth),
    });
    install.config(&(configuration::issuer("as", server) + &tables.collect::<String>()));
    let daemon = install.start();
    (install, daemon)
}

/// What is stored for a client: its version and the key ID if it has one.
fn stored(install: &Install, client: &str) -> Vec<(String, Option<String>)> {
    let listed = install.cli(["secret", "list", client, "--json"]).run().success();
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let version_and_kid = |stored: &Value| {
        (stored["version"].as_str().unwrap().to_owned(), stored["kid"].as_str().map(str::to_owned))
    };
    listed.iter().map(version_and_kid).collect()
}
