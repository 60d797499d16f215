//! No session bus, and so no keyring.

use crate::Site;

#[test]
fn s52_without_a_session_bus_the_daemon_starts_and_says_so() {
    let site = Site::new(None);
    let daemon = site.install.start();
    site.assert_unavailable(|| daemon.log(), "there is no session bus", "run the daemon in a login session");
    assert!(daemon.terminate().success());
}
