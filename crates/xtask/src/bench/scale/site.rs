//! A host with any number of clients: their server, their secrets in the key store, and a daemon for them.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use serde_json::json;
use tokenbroker_client::TokenRequest;
use tokenbroker_client::blocking::Broker;
use tokenbroker_keystore::{KeyStore, Options, StoreChoice};
use tokenbroker_testkit::{AuthServer, Client, Daemon, Fault, Install};

use super::process::Process;
use crate::Result;
use crate::bench::TOKEN;

/// Nothing is due while it is measured.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Ample: a hundred thousand tokens may have to be fetched before.
const PATIENCE: Duration = Duration::from_secs(600);

pub(super) const SECRET: &str = "s3cret-s3cret-s3cret-s3cret-s3cret";

/// Where the authorities are that Debian, Fedora and others trust.
const AUTHORITIES: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// A host whose daemon does not run yet.
pub(super) struct Site {
    pub(super) server: AuthServer,
    pub(super) install: Install,
    clients: usize,
}

impl Site {
    /// With this many clients of one server by plain HTTP.
    pub(super) fn new(clients: usize) -> Result<Self> {
        Self::with_server(
            AuthServer::builder().lifetime(LIFETIME).start(),
            clients,
            "allow_plain_http = true",
        )
    }

    /// With one client of a server with TLS, whose authority is one of all those that the host trusts.
    pub(super) fn with_tls() -> Result<Self> {
        let server = AuthServer::builder().lifetime(LIFETIME).tls(true).start();
        let own = server.ca_pem().ok_or("the server has no authority")?.to_owned();
        let mut site = Self::with_server(server, 1, "")?;
        let hosts = AUTHORITIES.iter().find_map(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        let file = site.install.path().join("authorities.pem");
        fs::write(&file, hosts + &own)?;
        site.install.env("SSL_CERT_FILE", file);
        Ok(site)
    }

    fn with_server(server: AuthServer, clients: usize, trust: &str) -> Result<Self> {
        server.set_fault(Fault::Edited(|reply| {
            let token = reply.get("access_token").and_then(|token| token.as_str()).unwrap_or_default();
            let padded = json!(format!("{token:t<TOKEN$}"));
            reply.insert("access_token".into(), padded);
        }));
        let mut install = Install::new();
        // As the service unit has it.
        install.env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
        let mut config = format!(
            "[issuers.local]\nissuer = {:?}\n{trust}\nmax_in_flight = 64\nmax_per_second = 0\n",
            server.issuer()
        );
        for name in (0..clients).map(name) {
            server.register(Client::secret_post(&name, SECRET));
            write!(
                config,
                "[clients.{name}]\nissuer = \"local\"\nclient_id = {name:?}\nauth = \"client_secret_post\"\n\
                 scope = \"read write\"\n"
            )?;
        }
        install.config(&config);
        let mut store = KeyStore::open(Options {
            choice: StoreChoice::EncryptedFile,
            state_dir: install.state_dir(),
            ..Options::default()
        })?;
        store.set_secrets((0..clients).map(|number| (name(number), SECRET.into())).collect(), 0)?;
        Ok(Self { server, install, clients })
    }

    /// Starts the daemon.
    pub(super) fn start(&self) -> Running<'_> {
        Running { daemon: self.install.start(), site: self }
    }
}

/// A host whose daemon runs.
pub(super) struct Running<'a> {
    daemon: Daemon,
    site: &'a Site,
}

impl Running<'_> {
    pub(super) fn process(&self) -> Process {
        Process::new(self.daemon.pid())
    }

    /// A broker that is connected to it.
    pub(super) fn broker(&self) -> Result<Broker> {
        Ok(Broker::builder().socket(self.site.install.socket()).cache(false).connect()?)
    }

    /// Gets the token of every client, which is there then.
    pub(super) fn all_warm(&self) -> Result {
        let broker = self.broker()?;
        for client in (0..self.site.clients).map(name) {
            let token = broker.token_with(&TokenRequest::new(client).wait(PATIENCE))?;
            if token.value().len() != TOKEN {
                return Err(format!("a token has {} bytes instead of {TOKEN}", token.value().len()).into());
            }
        }
        Ok(())
    }

    /// Ends it, with all that it has to do then.
    pub(super) fn end(self) -> Result {
        if self.daemon.terminate().success() { Ok(()) } else { Err("the daemon did not end well".into()) }
    }
}

/// The name of a client, here and at the server.
pub(super) fn name(number: usize) -> String {
    format!("client-{number:06}")
}
