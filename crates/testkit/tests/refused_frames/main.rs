//! Bytes on the native socket that are no conversation: the connection is closed, and the daemon serves the others.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod descriptors;
mod hello;
mod pipelined;
mod quotas;
mod requests;
mod slow;

use tokenbroker_testkit::{AuthServer, Client, Daemon, Install, Wire, configuration, wait_until};

/// A daemon with one client, `app`, that has a token.
struct Host {
    // Dropped first: its log is in the directory.
    daemon: Daemon,
    install: Install,
    server: AuthServer,
}

impl Host {
    fn new() -> Self {
        Self::with("")
    }

    /// With keys for `[daemon]`.
    fn with(keys: &str) -> Self {
        let server = AuthServer::start();
        server.register(Client::secret_post("app", "secret"));
        let install = Install::new();
        let client = configuration::client("app", "as", "client_secret_post");
        install.config(&format!("{}{client}[daemon]\n{keys}\n", configuration::issuer("as", &server)));
        let daemon = install.start();
        install.cli(["secret", "set", "app"]).stdin("secret").run().success();
        install.cli(["get", "app"]).run().success();
        Self { daemon, install, server }
    }

    /// The daemon again, started by a program that becomes it; its client has its token.
    fn restart_under(&mut self, wrapper: &[&str]) {
        self.daemon.signal(rustix::process::Signal::TERM);
        wait_until(std::time::Duration::from_secs(20), || !self.daemon.is_running());
        self.daemon = self.install.start_under(wrapper);
        self.install.cli(["get", "app"]).run().success();
    }

    /// A connection on which nothing was said yet.
    fn dial(&self) -> Wire {
        Wire::connect(&self.install.socket())
    }

    /// A connection whose hello was answered.
    fn greeted(&self) -> Wire {
        let mut wire = self.dial();
        wire.shake_hands();
        wire
    }

    /// It runs and serves, and has not complained: a caller must not be able to fill the log.
    #[track_caller]
    fn expect_well(mut self) {
        assert!(self.daemon.is_running());
        self.install.cli(["get", "app"]).run().success();
        let log = self.daemon.log();
        assert!(!log.contains("panicked") && log.lines().count() < 10, "{log}");
    }
}
