//! What is attacked: a daemon with a client, `app`, whose token is warm and who may have it.

use std::time::Duration;

use tokenbroker_testkit::{AuthServer, Client, Daemon, Install, configuration, wait_until};

use crate::Result;

/// The client.
pub(super) const CLIENT: &str = "app";

/// A user whom no rule names.
pub(super) const STRANGER: u32 = 2001;

pub(super) const SECRET: &str = "s3cret";

const SOON: Duration = Duration::from_secs(30);

pub(super) struct Site {
    // Dropped before the directory, which has its log.
    pub(super) daemon: Daemon,
    pub(super) install: Install,
    _server: AuthServer,
}

impl Site {
    /// With keys for the client, such as its rules, and for `[daemon]`.
    pub(super) fn start(of_client: &str, of_daemon: &str) -> Result<Self> {
        let (install, server) = set_up(of_client, of_daemon);
        let daemon = install.start();
        make_warm(&install);
        Ok(Self { daemon, install, _server: server })
    }

    /// How many records of the audit log are of this kind and about this user.
    pub(super) fn audited(&self, event: &str, uid: u32) -> Result<usize> {
        let log = std::fs::read_to_string(self.install.audit_log())?;
        let mut count = 0;
        for line in log.lines() {
            let record: serde_json::Value = serde_json::from_str(line)?;
            count += usize::from(record["event"] == event && record["uid"] == uid);
        }
        Ok(count)
    }
}

/// Stores the client's secret, and waits for its token: the rules may not permit us to get it.
pub(super) fn make_warm(install: &Install) {
    install.cli(["secret", "set", CLIENT]).stdin(SECRET).run().success();
    wait_until(SOON, || install.status(CLIENT)["state"] == "warm");
}

/// The same without a daemon, and without a secret in the key store.
pub(super) fn set_up(of_client: &str, of_daemon: &str) -> (Install, AuthServer) {
    let server = AuthServer::start();
    server.register(Client::secret_basic(CLIENT, SECRET));
    let install = Install::new();
    let client = configuration::client(CLIENT, "local", "client_secret_basic");
    let issuer = configuration::issuer("local", &server);
    install.config(&format!("{issuer}{client}{of_client}\n[daemon]\n{of_daemon}\n"));
    install.open_to_other_users();
    (install, server)
}
