//! A start with the tokens that the daemon before it kept: from the process to the first reply and the first token.

use std::fmt::{self, Write as _};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use serde::Serialize;
use tokenbroker_client::TokenRequest;
use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::Command;
use tokenbroker_testkit::{AuthServer, Client, Fault, Install};

use super::TOKEN;
use super::report::percentile;
use crate::Result;
use crate::clock::Stopwatch;

const CLIENTS: usize = 1_000;

const STARTS: usize = 21;

/// The most that the first token may take (p50).
const LIMIT: Duration = Duration::from_millis(50);

/// Ample, for what is done once.
const PATIENCE: Duration = Duration::from_secs(60);

/// The times of many starts. The first reply is the hello: it takes the process and its configuration, and no token.
#[derive(Debug, Serialize)]
pub(crate) struct WarmStart {
    clients: usize,
    starts: usize,
    first_reply_p50_ms: f64,
    first_reply_p99_ms: f64,
    first_token_p50_ms: f64,
    first_token_p99_ms: f64,
    /// To the first reply.
    first_token_p50_ratio: f64,
}

impl WarmStart {
    pub(crate) fn measure() -> Result<Self> {
        let (install, expected) = prepare()?;
        // Connected before the daemon runs: nothing is polled for.
        let listener = UnixListener::bind(install.socket())?;
        let (mut replies, mut tokens) = (Vec::with_capacity(STARTS), Vec::with_capacity(STARTS));
        for number in 0..STARTS {
            let stopwatch = Stopwatch::start();
            let daemon = install.start_on(&listener);
            replies.push(nanoseconds(stopwatch)?);
            let broker = Broker::builder().socket(install.socket()).connect()?;
            let token = broker.token(&name(number * CLIENTS / STARTS))?;
            tokens.push(nanoseconds(stopwatch)?);
            if token.value() != expected {
                return Err("the token is not the one that was kept".into());
            }
            if !daemon.terminate().success() {
                return Err("the daemon did not end well".into());
            }
        }
        Ok(Self::of(replies, tokens))
    }

    /// From the times of each start, in nanoseconds.
    pub(super) fn of(mut replies: Vec<u64>, mut tokens: Vec<u64>) -> Self {
        replies.sort_unstable();
        tokens.sort_unstable();
        let milliseconds = |sorted: &[u64], percent| percentile(sorted, percent) / 1_000.0;
        let (reply, token) = (milliseconds(&replies, 50), milliseconds(&tokens, 50));
        Self {
            clients: CLIENTS,
            starts: tokens.len(),
            first_reply_p50_ms: reply,
            first_reply_p99_ms: milliseconds(&replies, 99),
            first_token_p50_ms: token,
            first_token_p99_ms: milliseconds(&tokens, 99),
            first_token_p50_ratio: token / reply,
        }
    }

    /// An error if the first token takes longer than it may.
    pub(crate) fn check(&self) -> Result {
        let (took, limit) = (self.first_token_p50_ms, LIMIT.as_secs_f64() * 1_000.0);
        if took > limit {
            return Err(format!("the first token takes {took:.1} ms; at most {limit} ms are allowed").into());
        }
        Ok(())
    }
}

impl fmt::Display for WarmStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} starts with the kept tokens of {} clients:", self.starts, self.clients)?;
        writeln!(f)?;
        writeln!(f, "{:16} {:>9} {:>6} {:>9}", "", "p50 ms", "ratio", "p99 ms")?;
        let (p50, p99) = (self.first_reply_p50_ms, self.first_reply_p99_ms);
        writeln!(f, "{:16} {p50:9.1} {:6.2} {p99:9.1}", "first reply", 1.0)?;
        let (p50, p99) = (self.first_token_p50_ms, self.first_token_p99_ms);
        writeln!(f, "{:16} {p50:9.1} {:6.2} {p99:9.1}", "first token", self.first_token_p50_ratio)
    }
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
        broker.request(Command::SecretSet { client, secret: "s3cret".into() }, PATIENCE)?;
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

fn nanoseconds(stopwatch: Stopwatch) -> Result<u64> {
    Ok(u64::try_from(stopwatch.elapsed().as_nanos())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_token_over_the_limit_is_an_error() {
        let milliseconds = |times: [u64; 3]| times.map(|time| time * 1_000_000).to_vec();
        let replies = || milliseconds([10, 5, 90]);
        let start = WarmStart::of(replies(), milliseconds([50, 20, 99]));
        assert_eq!((start.first_token_p50_ratio, start.starts), (5.0, 3));
        assert!(start.check().is_ok());
        assert!(WarmStart::of(replies(), milliseconds([51, 20, 99])).check().is_err());
    }
}
