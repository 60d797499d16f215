//! What a hung issuer costs those who want nothing of it: warm gets while a hundred of its clients are cold.
//!
//! Each turn starts a daemon of its own and measures it undisturbed and with the issuer hung, in one order in every other
//! turn and in the other order in the rest: neither is always the younger daemon. Everything is on one CPU, so that
//! whatever the daemon does for the cold clients is in the way of the gets.

use std::fmt;
use std::hint::black_box;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Serialize;
use tokenbroker_client::TokenRequest;
use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::Command;
use tokenbroker_testkit::{AuthServer, Client, Daemon, Fault, Install, configuration, wait_for};

use super::report::percentile;
use crate::Result;
use crate::clock::Stopwatch;

/// The most that the p99 of a warm get may grow while an issuer hangs.
const LIMIT: f64 = 1.5;

const TURNS: usize = 8;

/// How long each client is asked for in each part of a turn.
const TIME: Duration = Duration::from_millis(1200);

const WARM_UP: usize = 500;

/// Clients of the hung issuer that never had a token; a caller waits for each of them.
const COLD: usize = 100;

/// Shorter than a part of a turn: attempts hang, are given up and begin again while gets are measured.
const KEYS: &str = "timeout = \"500ms\"\nmax_per_second = 0\n";

/// How many requests an issuer may have under way unless configured otherwise.
const MAX_IN_FLIGHT: u64 = 8;

const DEADLINE: Duration = Duration::from_secs(30);

/// How long callers wait for cold tokens: longer than the gets are measured meanwhile.
const WAIT: Duration = Duration::from_secs(5);

const SECRET: &str = "s3cret";

/// The warm clients, and what the report calls them.
const WARM: [(&str, &str); 2] =
    [("theirs", "another issuer's client"), ("ours", "a client of the hung issuer")];

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Isolation {
    cold_clients: usize,
    limit: f64,
    clients: Vec<Measured>,
}

#[derive(Debug, Serialize)]
struct Measured {
    client: &'static str,
    gets: [usize; 2],
    undisturbed_p50_us: f64,
    undisturbed_p99_us: f64,
    hung_p50_us: f64,
    hung_p99_us: f64,
    p99_ratio: f64,
}

/// Of one client, in nanoseconds.
#[derive(Default)]
struct Samples {
    undisturbed: Vec<u64>,
    hung: Vec<u64>,
}

impl Isolation {
    pub(crate) fn measure() -> Result<Self> {
        let mut samples: [Samples; WARM.len()] = Default::default();
        for turn in 0..TURNS {
            let site = Site::start()?;
            let hung_first = turn % 2 == 1;
            if !hung_first {
                site.measure(&mut samples, |samples| &mut samples.undisturbed)?;
            }
            let callers = site.hang()?;
            site.measure(&mut samples, |samples| &mut samples.hung)?;
            if cold().any(|client| site.ours.counts(&client).accepted > 0) {
                return Err("the issuer did not hang as it should, and this was no measurement".into());
            }
            if hung_first {
                site.recover()?;
                site.measure(&mut samples, |samples| &mut samples.undisturbed)?;
            }
            drop(site);
            callers.into_iter().for_each(|caller| drop(caller.join()));
        }
        let measured = WARM.iter().zip(samples).map(|((_, words), samples)| Measured::new(words, samples));
        Ok(Self { cold_clients: COLD, limit: LIMIT, clients: measured.collect() })
    }

    pub(crate) fn write(&self, path: &Path) -> Result {
        Ok(std::fs::write(path, serde_json::to_vec_pretty(self)?)?)
    }

    /// An error if gets were slowed down by more than the limit.
    pub(crate) fn check(&self) -> Result {
        match self.clients.iter().find(|measured| measured.p99_ratio > self.limit) {
            Some(Measured { client, p99_ratio, .. }) => Err(format!(
                "with an issuer hung, the p99 of a warm get for {client} is {p99_ratio:.2} times the undisturbed one; \
                 at most {LIMIT} is allowed"
            )
            .into()),
            None => Ok(()),
        }
    }
}

impl Measured {
    fn new(client: &'static str, Samples { mut undisturbed, mut hung }: Samples) -> Self {
        undisturbed.sort_unstable();
        hung.sort_unstable();
        let (undisturbed_p99_us, hung_p99_us) = (percentile(&undisturbed, 99), percentile(&hung, 99));
        Self {
            client,
            gets: [undisturbed.len(), hung.len()],
            undisturbed_p50_us: percentile(&undisturbed, 50),
            undisturbed_p99_us,
            hung_p50_us: percentile(&hung, 50),
            hung_p99_us,
            p99_ratio: hung_p99_us / undisturbed_p99_us,
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "A warm get while an issuer hangs, {} of its clients cold and waited for:",
            self.cold_clients
        )?;
        writeln!(f)?;
        writeln!(f, "{:28} {:>19} {:>19} {:>6}", "", "undisturbed p50/p99", "hung p50/p99 us", "ratio")?;
        for measured in &self.clients {
            let Measured { client, undisturbed_p50_us, undisturbed_p99_us, .. } = measured;
            let Measured { hung_p50_us, hung_p99_us, p99_ratio, .. } = measured;
            writeln!(
                f,
                "{client:28} {undisturbed_p50_us:9.1} {undisturbed_p99_us:9.1} {hung_p50_us:9.1} {hung_p99_us:9.1} \
                 {p99_ratio:6.2}"
            )?;
        }
        write!(f, "(p99 at most {:.1} times the undisturbed one)", self.limit)
    }
}

/// Two issuers with a warm client each; one of them has cold clients besides.
struct Site {
    broker: Broker,
    _daemon: Daemon,
    install: Install,
    ours: AuthServer,
    _theirs: AuthServer,
}

impl Site {
    fn start() -> Result<Self> {
        let (ours, theirs) = (AuthServer::start(), AuthServer::start());
        let mut config =
            configuration::issuer("ours", &ours) + KEYS + &configuration::issuer("theirs", &theirs);
        theirs.register(Client::secret_basic("theirs", SECRET));
        config += &configuration::client("theirs", "theirs", "client_secret_basic");
        for client in cold().chain(["ours".into()]) {
            ours.register(Client::secret_basic(&client, SECRET));
            config += &configuration::client(&client, "ours", "client_secret_basic");
        }
        let install = Install::new();
        install.config(&config);
        let daemon = install.start();
        let broker = Broker::builder().socket(install.socket()).cache(false).connect()?;
        let site = Self { broker, _daemon: daemon, install, ours, _theirs: theirs };
        for (client, _) in WARM {
            site.set_secret(client)?;
            site.broker.token(client)?;
        }
        Ok(site)
    }

    fn set_secret(&self, client: &str) -> Result {
        let command = Command::SecretSet { client: client.into(), secret: SECRET.into() };
        self.broker.request(command, DEADLINE)?;
        Ok(())
    }

    /// From now on our server hangs, with as many requests under way as there can be. A caller waits for each cold
    /// client.
    fn hang(&self) -> Result<Vec<JoinHandle<()>>> {
        self.ours.set_fault(Fault::Hang);
        cold().try_for_each(|client| self.set_secret(&client))?;
        let callers = cold()
            .map(|client| {
                let broker = Broker::builder().socket(self.install.socket()).build();
                thread::spawn(move || {
                    let request = TokenRequest::new(client).wait(WAIT);
                    // There is no token, and in the end perhaps no daemon.
                    let _ = broker.token_with(&request);
                })
            })
            .collect();
        let under_way = || (self.ours.all_token_requests() > MAX_IN_FLIGHT).then_some(());
        wait_for(DEADLINE, under_way).ok_or("the cold clients were not fetched")?;
        Ok(callers)
    }

    /// Our server answers again, and what it has to answer is over.
    fn recover(&self) -> Result {
        self.ours.set_fault(Fault::None);
        let all_warm = || cold().all(|client| self.ours.counts(&client).accepted > 0).then_some(());
        Ok(wait_for(DEADLINE, all_warm).ok_or("the cold clients have not recovered")?)
    }

    fn measure(
        &self,
        samples: &mut [Samples; WARM.len()],
        part: impl Fn(&mut Samples) -> &mut Vec<u64>,
    ) -> Result {
        WARM.iter().zip(samples).try_for_each(|((client, _), samples)| self.gets(client, part(samples)))
    }

    fn gets(&self, client: &str, nanoseconds: &mut Vec<u64>) -> Result {
        for _ in 0..WARM_UP {
            black_box(self.broker.token(client)?);
        }
        let whole = Stopwatch::start();
        while whole.elapsed() < TIME {
            let stopwatch = Stopwatch::start();
            black_box(self.broker.token(client)?);
            nanoseconds.push(u64::try_from(stopwatch.elapsed().as_nanos())?);
        }
        Ok(())
    }
}

fn cold() -> impl Iterator<Item = String> {
    (0..COLD).map(|number| format!("cold-{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_slows_warm_gets_by_more_than_the_limit_is_an_error() {
        let measured = |slower: u64| {
            let samples = |factor: u64| (1..=1000).map(|n| n * factor).collect();
            Measured::new("a client", Samples { undisturbed: samples(10), hung: samples(slower) })
        };
        let isolation = |slower| Isolation { cold_clients: 1, limit: LIMIT, clients: vec![measured(slower)] };
        assert!(isolation(15).check().is_ok());
        assert!(isolation(16).check().is_err());
        assert_eq!(measured(20).p99_ratio, 2.0);
    }
}
