//! What a hung issuer costs those who want nothing of it: warm gets while a hundred of its clients are cold.
//!
//! Each turn starts a daemon of its own and measures it undisturbed and with the issuer hung, in one order in every other
//! turn and in the other order in the rest: neither is always the younger daemon. Everything is on one CPU, so that
//! whatever the daemon does for the cold clients is in the way of the gets.

use std::hint::black_box;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokenbroker_client::TokenRequest;
use tokenbroker_client::blocking::Broker;
use tokenbroker_client::protocol::{Command, Storing};
use tokenbroker_testkit::{AuthServer, Client, Daemon, Fault, Install, configuration, wait_for};

use super::Settings;
use super::figure::Figure;
use super::report::{Entry, Section, Table};
use crate::Result;
use crate::clock::Laps;

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

/// Of one client, in nanoseconds.
#[derive(Default)]
struct Samples {
    undisturbed: Vec<u64>,
    hung: Vec<u64>,
}

pub(super) fn measure(settings: &Settings) -> Result<Section> {
    settings.cpus.use_one()?;
    let mut samples: [Samples; WARM.len()] = Default::default();
    for turn in 0..settings.rounds(TURNS) {
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
    let section =
        Section::new(format!("a warm get while an issuer hangs, {COLD} of its clients cold and waited for"));
    Ok(WARM
        .iter()
        .zip(samples)
        .fold(section, |section, ((_, client), samples)| add(section, client, samples)))
}

fn add(section: Section, client: &str, Samples { undisturbed, hung }: Samples) -> Section {
    let entries = [Entry::new("undisturbed", undisturbed), Entry::new("while the issuer hangs", hung)];
    let ratio = entries[1].rounds.percentile_ratio(&entries[0].rounds, 99);
    section
        .figure(Figure::new(format!("an issuer hangs, {client}, p99"), ratio, "x undisturbed").at_most(LIMIT))
        .table(Table::new(client, &entries))
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
        let command =
            Command::SecretSet { client: client.into(), secret: SECRET.into(), storing: Storing::default() };
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
        let mut laps = Laps::start();
        while laps.total() < TIME {
            black_box(self.broker.token(client)?);
            nanoseconds.push(laps.lap());
        }
        Ok(())
    }
}

fn cold() -> impl Iterator<Item = String> {
    (0..COLD).map(|number| format!("cold-{number}"))
}
