//! A get of a warm token, through the blocking half of tokenbroker-client from a real daemon.

use std::time::Duration;

use tokenbroker_client::blocking::Broker;
use tokenbroker_testkit::{AuthServer, Client, Daemon, Fault, Install};

use super::TOKEN;
use super::contender::Contender;
use crate::Result;

pub(crate) const NAME: &str = "warm get";

/// A daemon with one client, whose token is there.
pub(crate) struct WarmGet {
    broker: Broker,
    _daemon: Daemon,
    _install: Install,
    _server: AuthServer,
}

impl WarmGet {
    pub(crate) fn start() -> Result<Self> {
        let server = AuthServer::builder().lifetime(Duration::from_secs(3600)).start();
        server.register(Client::secret_basic("bench", "s3cret"));
        server.set_fault(Fault::Edited(|reply| {
            reply.insert("access_token".into(), "t".repeat(TOKEN).into());
        }));
        let install = Install::new();
        install.config(&format!(
            "[issuers.local]\nissuer = \"{}\"\nallow_plain_http = true\n\
             [clients.bench]\nissuer = \"local\"\nclient_id = \"bench\"\nauth = \"client_secret_basic\"\n",
            server.issuer()
        ));
        let daemon = install.start();
        install.cli(["secret", "set", "bench"]).stdin("s3cret").run().success();

        let broker = Broker::builder().socket(install.socket()).cache(false).connect()?;
        let length = broker.token("bench")?.value().len();
        if length != TOKEN {
            return Err(format!("the token has {length} bytes instead of {TOKEN}").into());
        }
        Ok(Self { broker, _daemon: daemon, _install: install, _server: server })
    }
}

impl Contender for WarmGet {
    fn name(&self) -> &'static str {
        NAME
    }

    fn exchange(&mut self) -> Result<usize> {
        Ok(self.broker.token("bench")?.value().len())
    }
}
