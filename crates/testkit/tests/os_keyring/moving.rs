//! From the encrypted file to a real gnome-keyring and back: `secret move`.

use std::fs;

use tokenbroker_testkit::{Keyring, require_or_skip};

use crate::Site;

/// The store of each credential of the client.
fn stores(site: &Site, client: &str) -> Vec<String> {
    let listed: serde_json::Value =
        serde_json::from_str(&site.cli(&["secret", "list", client, "--json"], "")).unwrap();
    listed.as_array().unwrap().iter().map(|one| one["store"].as_str().unwrap().to_owned()).collect()
}

fn with_store(site: &Site, store: &str) {
    let text = fs::read_to_string(site.install.config_file()).unwrap();
    let line = text.lines().find(|line| line.starts_with("store = ")).unwrap();
    fs::write(site.install.config_file(), text.replace(line, &format!("store = {store:?}"))).unwrap();
}

#[test]
fn s53_credentials_move_to_the_keyring_and_back_and_no_get_fails() {
    if !require_or_skip("gnome-keyring", Keyring::available()) {
        return;
    }
    let keyring = Keyring::start();
    let site = Site::new(Some(keyring.bus_address()));
    with_store(&site, "encrypted-file");
    let daemon = site.install.start();
    site.cli(&["secret", "set", "app"], crate::SECRET);
    site.cli(&["secret", "set", "app", "--next"], "another");
    site.assert_gets("app");
    assert_eq!(stores(&site, "app"), ["encrypted-file", "encrypted-file"]);
    let moved = site.install.cli(["secret", "move", "--to", "os-keyring"]).run().expect(0);
    assert!(moved.stdout.contains("moved 2 credentials from encrypted-file to os-keyring"), "{moved:?}");
    assert!(moved.stderr.contains("set store = \"os-keyring\" under [keystore] before"), "{moved:?}");
    assert_eq!(stores(&site, "app"), ["os-keyring", "os-keyring"]);
    site.assert_gets("app");
    daemon.terminate();

    // Until the configuration says so, too, the daemon finds the two apart, and loses nothing.
    let daemon = site.install.start();
    let refused = site.install.cli(["secret", "list"]).run();
    refused.refused(
        1,
        &["the configuration says encrypted-file", "tokenbroker secret move --to encrypted-file"],
    );
    daemon.terminate();
    with_store(&site, "os-keyring");
    let daemon = site.install.start();
    assert_eq!(site.status_once("warm")["credential"]["store"], "os-keyring");
    site.cli(&["renew", "app"], "");
    site.assert_gets("app");
    let kept = fs::read(site.install.state_dir().join("keystore")).unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains("app/"), "nothing of it is left in the file");

    // The next one takes its place in the keyring as it does in the file.
    site.server.set_secret("app", "another");
    site.cli(&["renew", "app"], "");
    assert_eq!(stores(&site, "app"), ["os-keyring"]);
    assert_eq!(site.server.counts("app").rejected, 1);
    daemon.terminate();

    with_store(&site, "auto");
    let _daemon = site.install.start();
    site.cli(&["secret", "move", "--to", "encrypted-file"], "");
    assert_eq!(stores(&site, "app"), ["encrypted-file"]);
    site.cli(&["renew", "app"], "");
    site.assert_gets("app");
}
