//! What is soaked: a daemon with many clients whose tokens live shortly, on a socket that outlives it.

use std::fmt::Write as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{Command, Storing};
use tokenbroker_testkit::{AuthServer, Client, Daemon, Install, configuration, wait_for};

use crate::Result;
use crate::host::Sample;

pub(super) const CLIENTS: usize = 1_000;

/// Renewals at half of it: about fifty token requests a second.
const LIFETIME: Duration = Duration::from_secs(40);

const SECRET: &str = "s3cret";

/// Ample, for what is done once.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) struct Site {
    // Dropped before the directory, which has its log.
    daemon: Option<Daemon>,
    listener: UnixListener,
    install: Install,
    pub(super) server: AuthServer,
    reloads: usize,
}

impl Site {
    /// With every token warm.
    pub(super) fn start() -> Result<Self> {
        let server = AuthServer::builder().lifetime(LIFETIME).start();
        let install = Install::new();
        let listener = UnixListener::bind(install.socket())?;
        let mut site = Self { daemon: None, listener, install, server, reloads: 0 };
        site.configure()?;
        site.daemon = Some(site.install.start_on(&site.listener));
        let broker = Broker::builder().socket(site.socket()).connect()?;
        for client in (0..CLIENTS).map(name) {
            site.server.register(Client::secret_basic(&client, SECRET));
            broker.request(
                Command::SecretSet { client, secret: SECRET.into(), storing: Storing::default() },
                PATIENCE,
            )?;
        }
        let all = || (0..CLIENTS).all(|number| site.server.counts(&name(number)).accepted > 0).then_some(());
        wait_for(PATIENCE, all).ok_or("not every client has got a token")?;
        Ok(site)
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.install.socket()
    }

    /// Ends the daemon, at once and without a warning if it is killed, and starts the next.
    pub(super) fn restart(&mut self, kill: bool) -> Result {
        let daemon = self.daemon.take().ok_or("there is no daemon")?;
        if kill {
            daemon.kill();
        } else if !daemon.terminate().success() {
            return Err("the daemon did not end well".into());
        }
        self.daemon = Some(self.install.start_on(&self.listener));
        Ok(())
    }

    /// Another configuration: a setting of every client is another one each time, and some clients come and go.
    pub(super) fn reload(&mut self) -> Result {
        self.reloads += 1;
        self.configure()?;
        self.install.cli(["reload"]).run().success();
        Ok(())
    }

    pub(super) fn sample(&self) -> Result<Sample> {
        Sample::of_process(self.daemon.as_ref().ok_or("there is no daemon")?.pid())
    }

    /// How many tokens each client has got so far.
    pub(super) fn issued(&self) -> Vec<u64> {
        (0..CLIENTS).map(|number| self.server.counts(&name(number)).accepted).collect()
    }

    fn configure(&self) -> Result {
        let mut config = configuration::issuer("local", &self.server);
        config += "max_in_flight = 64\nmax_per_second = 0\n";
        let renew_at = ["0.5", "0.6"][self.reloads % 2];
        for client in (0..CLIENTS).map(name) {
            config += &configuration::client(&client, "local", "client_secret_basic");
            writeln!(config, "renew_at = {renew_at}")?;
        }
        // Nobody asks for them, and nobody has a credential for them.
        for number in 0..self.reloads % 3 * 10 {
            config += &configuration::client(&format!("guest-{number}"), "local", "client_secret_basic");
        }
        self.install.config(&config);
        Ok(())
    }
}

pub(super) fn name(number: usize) -> String {
    format!("client-{number}")
}
