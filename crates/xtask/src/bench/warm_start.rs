//! A start with the tokens that the daemon before it kept: from the process to the first reply and the first token.

use std::fmt::Write as _;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use tokenbroker_client::TokenRequest;
use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{Command, Storing};
use tokenbroker_testkit::{AuthServer, Client, Fault, Install};

use super::figure::Figure;
use super::report::{Entry, Section, Table};
use super::{Settings, TOKEN};
use crate::Result;
use crate::clock::{Stopwatch, nanoseconds};

const CLIENTS: usize = 1_000;

const STARTS: usize = 21;

/// The most milliseconds that the first token may take (p50).
const LIMIT_MS: f64 = 50.0;

/// Ample, for what is done once.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn measure(settings: &Settings) -> Result<Section> {
    settings.cpus.use_one()?;
    let (install, expected) = prepare()?;
    // Connected before the daemon runs: nothing is polled for.
    let listener = UnixListener::bind(install.socket())?;
    let starts = settings.rounds(STARTS);
    let (mut replies, mut tokens) = (Vec::with_capacity(starts), Vec::with_capacity(starts));
    for number in 0..starts {
        let stopwatch = Stopwatch::start();
        let daemon = install.start_on(&listener);
        replies.push(nanoseconds(stopwatch.elapsed()));
        let broker = Broker::builder().socket(install.socket()).connect()?;
        let token = broker.token(&name(number * CLIENTS / starts))?;
        tokens.push(nanoseconds(stopwatch.elapsed()));
        if token.value() != expected {
            return Err("the token is not the one that was kept".into());
        }
        if !daemon.terminate().success() {
            return Err("the daemon did not end well".into());
        }
    }
    // The first reply is the hello: it takes the process and its configuration, and no token.
    let entries = [Entry::new("first reply", replies), Entry::new("first token", tokens)];
    let milliseconds = entries[1].rounds.percentile(50) / 1_000.0;
    Ok(Section::new(format!("a start with the kept tokens of {CLIENTS} clients"))
        .figure(Figure::new("first token after a start, p50", milliseconds, "ms").at_most(LIMIT_MS))
        .table(Table::new("from the start of the process, on one CPU", &entries)))
}

/// A directory in which a daemon has kept the tokens of all clients, and what they are. The server is gone: there are no
/// others.
fn prepare() -> Result<(Install, String)> {
    let server = AuthServer::builder().lifetime(Duration::from_secs(24 * 3600)).start();
    server.set_fault(Fault::Edited(|reply| {
        reply.insert("access_token".into(), "t".repeat(TOKEN).into());
    }));
    let mut config = format!(
        "[issuers.local]\nissuer = {:?}\nallow_plain_http = true\nmax_in_flight = 100\nmax_per_second = 0\n",
        server.issuer()
    );
    for name in (0..CLIENTS).map(name) {
        server.register(Client::secret_basic(&name, "s3cret"));
        write!(
            config,
            "[clients.{name}]\nissuer = \"local\"\nclient_id = {name:?}\nauth = \"client_secret_basic\"\n\
             scope = \"read write\"\n"
        )?;
    }
    let install = Install::new();
    install.config(&config);
    let daemon = install.start();
    let broker = Broker::builder().socket(install.socket()).connect()?;
    for client in (0..CLIENTS).map(name) {
        broker.request(
            Command::SecretSet { client, secret: "s3cret".into(), storing: Storing::default() },
            PATIENCE,
        )?;
    }
    for client in (0..CLIENTS).map(name) {
        broker.token_with(&TokenRequest::new(client).wait(PATIENCE))?;
    }
    if !daemon.terminate().success() {
        return Err("the daemon did not end well".into());
    }
    server.stop();
    Ok((install, "t".repeat(TOKEN)))
}

fn name(number: usize) -> String {
    format!("client-{number:04}")
}
