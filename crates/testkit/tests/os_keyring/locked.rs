//! A keyring that is locked: no dialog, no hang, and it is used again as soon as somebody unlocked it.

use crate::{SECRET, Site, keyring};

#[test]
fn s52_a_daemon_that_starts_with_a_locked_keyring_says_so_and_recovers_when_it_is_unlocked() {
    let Some(keyring) = keyring() else { return };
    let site = Site::new(Some(keyring.bus_address()));
    let daemon = site.install.start();
    site.server.stop();
    site.cli(&["secret", "set", "app"], SECRET);
    assert!(daemon.terminate().success());
    site.server.start_again();

    keyring.lock();
    let daemon = site.install.start();
    site.assert_unavailable(|| daemon.log(), "the OS keyring is locked", "--replace --unlock");
    assert!(!keyring.has_prompted());

    keyring.unlock();
    site.status_once("warm");
    site.assert_gets("app");
    assert!(!keyring.has_prompted());
}

#[test]
fn s52_a_keyring_that_is_locked_later_leaves_the_token_alone() {
    let Some(keyring) = keyring() else { return };
    let site = Site::new(Some(keyring.bus_address()));
    let daemon = site.install.start();
    site.cli(&["secret", "set", "app"], SECRET);
    site.assert_gets("app");

    keyring.lock();
    let refused = site.install.cli(["renew", "app"]).run().expect(5);
    assert!(refused.stderr.contains("the OS keyring is locked"), "{refused:?}");
    let status = site.install.status("app");
    assert_eq!((&status["state"], &status["last_error"]["code"]), (&"degraded".into(), &"key_store".into()));
    assert!(daemon.log().contains("the OS keyring is locked"), "{}", daemon.log());
    site.assert_gets("app");
    assert!(!keyring.has_prompted());
    keyring.provoke_prompt();

    keyring.unlock();
    site.status_once("warm");
}

#[test]
fn s52_s70_tokens_that_a_locked_keyring_hides_are_left_for_a_start_with_an_unlocked_one() {
    let Some(keyring) = keyring() else { return };
    let site = Site::new(Some(keyring.bus_address()));
    let daemon = site.install.start();
    site.cli(&["secret", "set", "app"], SECRET);
    let token = site.cli(&["get", "app"], "");
    assert!(daemon.terminate().success());
    site.server.stop();

    keyring.lock();
    let daemon = site.install.start();
    site.status_once("unavailable");
    assert!(daemon.terminate().success());
    assert!(!keyring.has_prompted());

    keyring.unlock();
    let _daemon = site.install.start();
    assert_eq!(site.cli(&["get", "app"], ""), token);
}
