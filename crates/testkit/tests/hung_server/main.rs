//! A server that takes requests and never answers: it delays nobody but those who wait for it.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::time::Duration;

use tokenbroker_client::blocking::Broker;
use tokenbroker_testkit::{AuthServer, Client, Daemon, Fault, Install, Stopwatch, configuration, wait_until};

const DEADLINE: Duration = Duration::from_secs(30);

/// How many requests an issuer may have under way unless configured otherwise: with as many that hang, no other
/// client of the issuer gets its turn.
const MAX_IN_FLIGHT: usize = 8;

const WARM_GETS: usize = 3000;

/// Far more than a warm get takes on a busy machine, and far less than anything that waits for the server.
const GENEROUS: Duration = Duration::from_millis(50);

/// Two issuers with warm clients `ours` and `theirs`; ours has clients besides that were never fetched.
struct Site {
    _daemon: Daemon,
    install: Install,
    ours: AuthServer,
    theirs: AuthServer,
}

impl Site {
    fn start() -> Self {
        let (ours, theirs) = (AuthServer::start(), AuthServer::start());
        let mut config = configuration::issuer("ours", &ours) + &configuration::issuer("theirs", &theirs);
        config += &configuration::client("theirs", "theirs", "client_secret_basic");
        theirs.register(Client::secret_basic("theirs", "s3cret"));
        for client in cold().chain(["ours".into()]) {
            config += &configuration::client(&client, "ours", "client_secret_basic");
            ours.register(Client::secret_basic(&client, "s3cret"));
        }
        let install = Install::new();
        install.config(&config);
        let site = Self { _daemon: install.start(), install, ours, theirs };
        for client in ["ours", "theirs"] {
            site.set_secret(client);
            site.install.cli(["get", client]).run().success();
        }
        site
    }

    fn set_secret(&self, client: &str) {
        self.install.cli(["secret", "set", client]).stdin("s3cret").run().success();
    }

    /// From now on our server hangs, with as many requests under way as there can be.
    fn hang(&self) {
        self.ours.set_fault(Fault::Hang);
        cold().for_each(|client| self.set_secret(&client));
        wait_until(DEADLINE, || self.ours.all_token_requests() > MAX_IN_FLIGHT as u64);
    }

    fn median_of_warm_gets(&self, client: &str) -> Duration {
        let broker = Broker::builder().socket(self.install.socket()).cache(false).connect().unwrap();
        let mut times: Vec<_> = (0..WARM_GETS)
            .map(|_| {
                let stopwatch = Stopwatch::start();
                broker.token(client).unwrap();
                stopwatch.elapsed()
            })
            .collect();
        times.sort();
        times[WARM_GETS / 2]
    }
}

/// One more than can be under way.
fn cold() -> impl Iterator<Item = String> {
    (0..=MAX_IN_FLIGHT).map(|number| format!("cold-{number}"))
}

#[test]
fn s25_warm_tokens_of_the_hung_server_and_of_others_are_served_on() {
    let site = Site::start();
    site.hang();
    for client in ["ours", "theirs"] {
        let median = site.median_of_warm_gets(client);
        assert!(median < GENEROUS, "{client}: {median:?}");
    }
}

#[test]
fn s25_other_issuers_tokens_are_fetched_and_renewed_as_ever() {
    let site = Site::start();
    site.hang();
    site.install.cli(["renew", "theirs"]).run().success();
    let status = site.install.status("theirs");
    assert_eq!((&status["generation"], &status["state"]), (&2.into(), &"warm".into()));
    assert_eq!(site.theirs.token_requests("theirs"), 2);
}

#[test]
fn s25_who_waits_for_the_hung_server_is_told_when_its_time_is_over() {
    let site = Site::start();
    site.hang();
    // One whose request is under way, or waits for its turn behind those that are.
    for client in [cold().next(), cold().last()].into_iter().flatten() {
        let stopwatch = Stopwatch::start();
        let refused = site.install.cli(["get", &client, "--wait", "1s"]).run().expect(5);
        let took = stopwatch.elapsed();
        assert!(refused.stdout.is_empty(), "{refused:?}");
        assert!((Duration::from_millis(950)..Duration::from_secs(5)).contains(&took), "{took:?}");
    }
}

#[test]
fn s25_a_request_that_hangs_ends_at_the_issuer_s_timeout() {
    let server = AuthServer::start();
    server.register(Client::secret_basic("app", "s3cret"));
    for fault in [Fault::Hang, Fault::Stall] {
        server.set_fault(fault);
        let install = Install::new();
        let issuer = configuration::issuer("test", &server) + "timeout = \"500ms\"\n";
        install.config(&(issuer + &configuration::client("app", "test", "client_secret_basic")));
        let _daemon = install.start();
        install.cli(["secret", "set", "app"]).stdin("s3cret").run().success();
        wait_until(DEADLINE, || install.status("app")["state"] == "unavailable");
        assert_eq!(install.status("app")["last_error"]["code"], "timeout");
    }
}
