//! The formats of `get`, each read back by what it is meant for.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tokenbroker_testkit::{AuthServer, Client};

use crate::{SECRET, Site};

fn format(site: &Site, format: &str) -> String {
    site.cli(&["get", "app", "--format", format], "")
}

/// What a program prints that reads `stdin`.
fn filtered(program: &str, arguments: &[&str], stdin: String) -> String {
    let mut input = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut input, stdin.as_bytes()).unwrap();
    std::io::Seek::rewind(&mut input).unwrap();
    let output = Command::new(program).args(arguments).stdin(Stdio::from(input)).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_format_carries_the_same_token() {
    let site = Site::with_app(AuthServer::start());
    let token = site.get("app");

    assert_eq!(format(&site, "token"), format!("{token}\n"));
    assert_eq!(format(&site, "header"), format!("Authorization: Bearer {token}\n"));
    let script = format!("{}printf %s \"$ACCESS_TOKEN\"", format(&site, "env"));
    assert_eq!(filtered("sh", &[], script), token);
    let object: Value = serde_json::from_str(&format(&site, "json")).unwrap();
    assert_eq!(object["access_token"], *token);
    let curl = format(&site, "curl");
    assert_eq!(curl, format!("header = \"Authorization: Bearer {token}\"\n"));
    assert_eq!(site.server.token_requests("app"), 1);
}

#[test]
fn the_format_for_curl_works_with_curl() {
    if !tokenbroker_testkit::require_or_skip("curl", tokenbroker_testkit::programs(&["curl"])) {
        return;
    }
    let site = Site::with_app(AuthServer::start());
    let url = site.server.data_url();
    let data = filtered("curl", &["--silent", "--fail", "--config", "-", &url], format(&site, "curl"));
    assert_eq!(data, "This is the protected data.");
}

#[test]
fn the_object_has_exactly_the_documented_members() {
    let server = AuthServer::start();
    server.register(Client::secret_basic("app", SECRET));
    server.register(Client::secret_basic("scoped", SECRET));
    let clients =
        [("app", "client_secret_basic", ""), ("scoped", "client_secret_basic", "scope = [\"b\", \"a\"]")];
    let site = Site::start(server, &clients);
    site.set_secret("app", SECRET);
    site.set_secret("scoped", SECRET);

    let object = site.get_json("app", &[]);
    let members: BTreeSet<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    let documented = [
        "client",
        "access_token",
        "token_type",
        "expires_in",
        "expires_at",
        "scope",
        "generation",
        "min_ttl_met",
    ];
    assert_eq!(members, BTreeSet::from(documented));
    assert_eq!(object["client"], "app");
    assert_eq!(object["token_type"], "Bearer");
    assert_eq!(object["generation"], 1);
    assert_eq!(object["scope"], Value::Null);
    assert_eq!(object["min_ttl_met"], true);
    assert_eq!(object["access_token"], *site.get("app"));
    let expires_in = object["expires_in"].as_u64().unwrap();
    assert!((3500..3600).contains(&expires_in), "{object}");

    let expires_at = object["expires_at"].as_str().unwrap();
    assert!(expires_at.len() == 20 && expires_at.ends_with('Z'), "{expires_at}");
    let unix = |text: &str| filtered("date", &["-u", "-d", text, "+%s"], String::new());
    let seconds = |text: &str| unix(text).trim().parse::<u64>().unwrap();
    let left = seconds(expires_at) - seconds("now");
    assert!(left <= expires_in + 1 && left + 10 >= expires_in, "{left} s by the wall clock: {object}");

    assert_eq!(site.get_json("scoped", &[])["scope"], json!("a b"));
}
