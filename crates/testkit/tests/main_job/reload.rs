//! A new configuration while the daemon runs.

use tokenbroker_testkit::{AuthServer, Client};

use crate::{SECRET, Site, config};

const ONE: (&str, &str, &str) = ("app", "client_secret_basic", "");
const OTHER: (&str, &str, &str) = ("other", "client_secret_post", "");

#[test]
fn reload_adds_and_removes_a_client_and_leaves_the_others_alone() {
    let site = Site::with_app(AuthServer::start());
    site.server.register(Client::secret_post("other", SECRET));
    let token = site.get("app");
    site.install.cli(["get", "other"]).run().expect(4);

    site.install.config(&config(&site.server, &[ONE, OTHER]));
    site.cli(&["reload"], "");
    site.install.cli(["get", "other"]).run().expect(6);
    site.set_secret("other", SECRET);
    let other = site.get("other");
    site.assert_accepted(&other);
    assert_eq!(site.get("app"), token);

    site.install.config(&config(&site.server, &[ONE]));
    site.cli(&["reload"], "");
    site.install.cli(["get", "other"]).run().expect(4);

    // What it was given before it was taken out is still in the key store.
    site.install.config(&config(&site.server, &[ONE, OTHER]));
    site.cli(&["reload"], "");
    let again = site.get("other");
    site.assert_accepted(&again);
    assert_ne!(again, other);
    assert_eq!(site.server.token_requests("app"), 1);
}

#[test]
fn sighup_reloads_as_well() {
    let site = Site::with_app(AuthServer::start());
    let token = site.get("app");
    site.install.config(&config(&site.server, &[ONE, OTHER]));
    site.daemon.reload();
    tokenbroker_testkit::wait_until(crate::DEADLINE, || site.install.cli(["get", "other"]).run().code == 6);
    assert_eq!(site.get("app"), token);
}

#[test]
fn a_client_whose_scope_changes_gets_another_token() {
    let site = Site::with_app(AuthServer::start());
    let token = site.get("app");
    site.install.config(&config(&site.server, &[(ONE.0, ONE.1, "scope = \"api:read\"")]));
    site.cli(&["reload"], "");
    let scoped = site.get_json("app", &[]);
    assert_ne!(scoped["access_token"], *token);
    assert_eq!(scoped["scope"], "api:read");
}
