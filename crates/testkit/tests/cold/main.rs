//! Many processes ask at once for a token that was never fetched.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokenbroker_client::TokenRequest;
use tokenbroker_client::blocking::Broker;
use tokenbroker_testkit::{
    AuthServer, Client, Fault, Install, Start, Stopwatch, Workers, configuration, work,
};

const CALLERS: usize = 50;

const DELAY: Duration = Duration::from_millis(500);

#[derive(Serialize, Deserialize)]
struct Task {
    socket: PathBuf,
}

#[derive(Serialize, Deserialize, PartialEq, Eq, Clone, Debug)]
enum Outcome {
    Generation(u64),
    Failure { code: String, message: String },
}

#[derive(Serialize, Deserialize)]
struct Report {
    outcome: Outcome,
    took: Duration,
}

/// A daemon that has fetched nothing yet: it starts only when all callers have been told to ask. Until then they
/// queue at its socket, which is open already, as under systemd.
fn ask_before_the_daemon_starts(server: &AuthServer) -> Vec<Report> {
    let install = Install::new();
    install.config(
        &(configuration::issuer("test", server)
            + &configuration::client("app", "test", "client_secret_basic")),
    );
    server.stop();
    let daemon = install.start();
    install.cli(["secret", "set", "app"]).stdin("s3cret").run().success();
    assert!(daemon.terminate().success());
    server.start_again();
    assert_eq!(server.all_token_requests(), 0, "its server was down, so it has fetched nothing");

    let listener = UnixListener::bind(install.socket()).unwrap();
    let workers = Workers::start("caller", (0..CALLERS).map(|_| Task { socket: install.socket() }));
    let _daemon = install.start_on(&listener);
    workers.finish()
}

#[test]
fn s18_fifty_processes_that_ask_at_once_cause_one_token_request() {
    let server = AuthServer::start();
    server.register(Client::secret_basic("app", "s3cret"));
    server.set_fault(Fault::Delay(DELAY));
    let reports = ask_before_the_daemon_starts(&server);

    assert_eq!(reports.len(), CALLERS);
    for report in &reports {
        assert_eq!(report.outcome, Outcome::Generation(1));
    }
    let waited = reports.iter().filter(|report| report.took >= DELAY / 2).count();
    assert!(waited > CALLERS / 2, "only {waited} came before the token, and this was no test");
    assert_eq!(server.token_requests("app"), 1);
}

#[test]
fn s18_fifty_processes_share_a_refusal_too() {
    let server = AuthServer::start();
    server.register(Client::secret_basic("app", "s3cret"));
    server.set_fault(Fault::Refuse("invalid_client"));
    let reports = ask_before_the_daemon_starts(&server);

    assert_eq!(reports.len(), CALLERS);
    for report in &reports {
        assert_eq!(report.outcome, reports[0].outcome);
    }
    let Outcome::Failure { code, message } = &reports[0].outcome else { panic!("{:?}", reports[0].outcome) };
    assert_eq!(code, "Blocked");
    assert!(message.contains("invalid_client"), "{message}");
    assert_eq!(server.token_requests("app"), 1);
}

/// The entry of the callers' processes.
#[test]
#[ignore = "run by the other tests, in processes of their own"]
fn caller() {
    work(|task: Task, start: Start| {
        let broker = Broker::builder().socket(&task.socket).cache(false).build();
        let request = TokenRequest::new("app").wait(Duration::from_secs(30));
        start.wait();
        let stopwatch = Stopwatch::start();
        let outcome = match broker.token_with(&request) {
            Ok(token) => Outcome::Generation(token.generation()),
            Err(error) => {
                Outcome::Failure { code: format!("{:?}", error.code().unwrap()), message: error.to_string() }
            }
        };
        Report { outcome, took: stopwatch.elapsed() }
    });
}
