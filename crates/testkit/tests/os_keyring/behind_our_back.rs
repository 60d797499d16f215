//! Credentials that somebody removes from the keyring with another program.

use tokenbroker_testkit::{Daemon, Keyring};

use crate::{SECRET, Site, keyring};

/// With a warm token of `app`, whose secret is gone.
fn cleared(keyring: &Keyring) -> (Site, Daemon) {
    let site = Site::new(Some(keyring.bus_address()));
    let daemon = site.install.start();
    site.cli(&["secret", "set", "app"], SECRET);
    site.assert_gets("app");
    keyring.clear();
    (site, daemon)
}

#[track_caller]
fn assert_gone(site: &Site) {
    site.install.cli(["get", "app"]).run().expect(6);
    assert_eq!(site.install.status("app")["last_error"]["code"], "no_credential");
}

#[test]
fn s55_a_credential_that_is_gone_is_noticed_when_it_is_used_next() {
    let Some(keyring) = keyring() else { return };
    let (site, _daemon) = cleared(&keyring);
    site.install.cli(["renew", "app"]).run().expect(6);
    assert_gone(&site);
    assert_eq!(site.server.token_requests("app"), 1);
}

#[test]
fn s55_removing_what_is_gone_takes_the_token_with_it() {
    let Some(keyring) = keyring() else { return };
    let (site, _daemon) = cleared(&keyring);
    let removal = site.install.cli(["secret", "remove", "app"]).run();
    removal.refused(1, &["error: no credential is stored for app\n"]);
    assert_gone(&site);
}
