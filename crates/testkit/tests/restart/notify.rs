//! What the service manager is told.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use tokenbroker_testkit::Install;

use crate::{install, server};

struct ServiceManager(UnixDatagram);

impl ServiceManager {
    fn of(install: &mut Install) -> Self {
        let path = install.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        install.env("NOTIFY_SOCKET", path);
        Self(socket)
    }

    /// The next message, by lines.
    fn told(&self) -> Vec<String> {
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).lines().map(String::from).collect()
    }
}

#[test]
fn the_service_manager_is_told_of_start_reload_and_end() {
    let server = server();
    let mut install = install(&server);
    let manager = ServiceManager::of(&mut install);

    let daemon = install.start();
    assert_eq!(manager.told(), ["READY=1"]);

    daemon.reload();
    let reloading = manager.told();
    assert_eq!(reloading[0], "RELOADING=1");
    assert!(reloading[1].starts_with("MONOTONIC_USEC="), "{reloading:?}");
    assert_eq!(manager.told(), ["READY=1"]);

    assert!(daemon.terminate().success());
    assert_eq!(manager.told(), ["STOPPING=1"]);
}

#[test]
fn it_is_ready_without_an_authorization_server() {
    let server = server();
    server.stop();
    let mut install = install(&server);
    let manager = ServiceManager::of(&mut install);
    let _daemon = install.start();
    assert_eq!(manager.told(), ["READY=1"]);
}
