//! `test` and `doctor`.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use tokenbroker_client::protocol::{
    Check, Command, Failure, FailureCode, LastError, Outcomes, Response, State, Status, StatusPage, Verdict,
};

use crate::fake::{FakeDaemon, cli, left_alone};

fn check(verdict: Verdict, subject: &str, finding: &str, remedy: Option<&str>) -> Check {
    Check { subject: subject.into(), verdict, finding: finding.into(), remedy: remedy.map(str::to_owned) }
}

fn well() -> Vec<Check> {
    vec![
        check(Verdict::Good, "resolve", "as.example is 192.0.2.7", None),
        check(Verdict::Good, "authenticate", "the authorization server issued a token", None),
    ]
}

fn refused() -> Vec<Check> {
    let mut checks = well();
    checks[1] = check(
        Verdict::Bad,
        "authenticate",
        "the authorization server refused the client's credential (invalid_client)",
        Some("store the right one: `tokenbroker secret set signtext`"),
    );
    checks.push(check(Verdict::Skipped, "token", "there is none to look at", None));
    checks
}

#[test]
fn a_test_shows_each_step_and_that_all_is_well() {
    let daemon = FakeDaemon::with(Response::Checks(well()));
    let outcome = daemon.cli(&["test", "signtext"]).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        outcome.stdout,
        "\
ok    resolve       as.example is 192.0.2.7
ok    authenticate  the authorization server issued a token

all is well
"
    );
    assert_eq!(daemon.asked(), [Command::Test { client: "signtext".into() }]);
}

#[test]
fn a_step_that_fails_is_a_failure_with_what_to_change() {
    let daemon = FakeDaemon::with(Response::Checks(refused()));
    let outcome = daemon.cli(&["test", "signtext"]).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), ""));
    assert_eq!(
        outcome.stdout,
        "\
ok    resolve       as.example is 192.0.2.7
FAIL  authenticate  the authorization server refused the client's credential
                    (invalid_client)
      what to do: store the right one: `tokenbroker secret set signtext`
-     token         there is none to look at

what to change: store the right one: `tokenbroker secret set signtext`
"
    );
    let json = daemon.cli(&["test", "signtext", "--json"]).run();
    assert_eq!(json.code, Some(1));
    assert!(
        json.stdout.ends_with(
            ",{\"subject\":\"token\",\"verdict\":\"skipped\",\"finding\":\"there is none to look at\",\"remedy\":null}]\n"
        ),
        "{}",
        json.stdout
    );
}

#[test]
fn a_test_of_a_client_that_is_not_there_is_denied() {
    let daemon =
        FakeDaemon::with(Response::Failed(Failure::new(FailureCode::UnknownClient, "no such client")));
    let outcome = daemon.cli(&["test", "signtxet"]).run();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(4), ""));
    assert_eq!(outcome.stderr, "error: no such client\n");
}

#[test]
fn a_doctor_looks_at_the_host_first_and_then_asks_the_daemon() {
    let daemon = FakeDaemon::with(Response::Checks(well()));
    let outcome = daemon.cli(&["doctor"]).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{}", outcome.stdout);
    let version = concat!("ok    command line  tokenbroker ", env!("CARGO_PKG_VERSION"), "\n");
    assert!(outcome.stdout.starts_with(version), "{}", outcome.stdout);
    assert!(
        flat(&outcome.stdout).contains("): a daemon answers ok resolve as.example"),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.ends_with("\n\nall is well\n"), "{}", outcome.stdout);
    assert_eq!(daemon.asked(), [Command::Doctor]);

    let sick = FakeDaemon::with(Response::Checks(refused()));
    let outcome = sick.cli(&["doctor", "--json"]).run();
    assert_eq!(outcome.code, Some(1));
    let checks: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let subjects: Vec<_> =
        checks.as_array().unwrap().iter().map(|check| check["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["command line", "socket", "resolve", "authenticate", "token"]);
    assert_eq!(checks[3]["verdict"], "bad");
}

#[test]
fn without_a_daemon_the_doctor_says_what_is_there_and_what_to_do() {
    let outcome = cli(Path::new("/nowhere/broker.sock"), &["doctor"]).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), ""));
    let said = flat(&outcome.stdout);
    assert!(said.contains("FAIL socket /nowhere/broker.sock: there is no such socket"), "{said}");
    assert!(
        said.contains("FAIL daemon no tokenbroker daemon can be reached: /nowhere/broker.sock"),
        "{said}"
    );
    assert!(said.contains(" configuration /etc/tokenbroker/config.toml"), "{said}");
    assert!(said.contains("what to change: start the daemon"), "{said}");
    assert_eq!(outcome.stdout.lines().filter(|line| line.starts_with("what to change: ")).count(), 1);
}

#[test]
fn a_socket_with_nobody_behind_it_is_told_from_none() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("broker.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let outcome = cli(&socket, &["doctor"]).run();
    assert_eq!(outcome.code, Some(1));
    assert!(flat(&outcome.stdout).contains("): nobody is listening"), "{}", outcome.stdout);
}

#[test]
fn the_users_socket_is_found_and_the_systems_left_alone() {
    let daemon = FakeDaemon::with(Response::Checks(well()));
    let runtime = tempfile::tempdir().unwrap();
    symlink(daemon.socket().parent().unwrap(), runtime.path().join("tokenbroker")).unwrap();
    let outcome = left_alone(&["doctor"]).env("XDG_RUNTIME_DIR", runtime.path()).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
    let said = flat(&outcome.stdout);
    assert!(said.contains("ok user's socket "), "{said}");
    let system =
        "- system's socket /run/tokenbroker/broker.sock was not looked at: callers don't get any further";
    assert!(said.contains(system), "{said}");
}

#[test]
fn a_socket_that_a_variable_names_is_shown_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("broker.sock");
    fs::write(&file, "").unwrap();
    let outcome = left_alone(&["doctor"]).env("TOKENBROKER_SOCKET", &file).run();
    assert_eq!(outcome.code, Some(1));
    let expected = "broker.sock, which TOKENBROKER_SOCKET names is a file, and no socket";
    assert!(flat(&outcome.stdout).contains(expected), "{}", outcome.stdout);
}

#[test]
fn a_daemon_that_hangs_up_is_no_end_of_the_doctor() {
    let outcome = FakeDaemon::answering(|_| None).cli(&["doctor"]).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), ""), "{}", outcome.stdout);
    assert!(
        flat(&outcome.stdout).contains("FAIL daemon the connection to the daemon broke"),
        "{}",
        outcome.stdout
    );
}

fn client(name: &str, state: State) -> Status {
    Status {
        client: name.into(),
        issuer: "pp".into(),
        state,
        renewing: false,
        queued: false,
        expires_in_ms: (state == State::Warm).then_some(42_000),
        renew_in_ms: None,
        generation: 3,
        token_requests: 4,
        outcomes: Outcomes::default(),
        gets: 5,
        gets_from_cache: 2,
        waiting: 0,
        narrowed: 0,
        last_error: (state != State::Warm).then(|| LastError {
            code: "network".into(),
            message: "the server refuses connections".into(),
            next_try_in_ms: Some(12_000),
        }),
        credential: None,
        next_credential: None,
        certificate_expires: None,
        clock_offset: None,
        explanation: Vec::new(),
    }
}

fn not_for_everybody(clients: Vec<Status>) -> FakeDaemon {
    FakeDaemon::answering(move |command| {
        Some(match command {
            Command::Doctor => {
                Response::Failed(Failure::new(FailureCode::Denied, "it takes an administrator"))
            }
            _ => Response::Status(StatusPage { clients: clients.clone(), more: false, notes: Vec::new() }),
        })
    })
}

#[test]
fn who_is_no_administrator_sees_its_own_clients() {
    let daemon = not_for_everybody(vec![client("mail", State::Unavailable), client("signtext", State::Warm)]);
    let outcome = daemon.cli(&["doctor"]).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), ""));
    let said = flat(&outcome.stdout);
    assert!(said.contains("warn administrator "), "{said}");
    assert!(said.contains("it takes an administrator what to do: an administrator sees more: run"), "{said}");
    assert!(
        said.contains("FAIL mail unavailable: the server refuses connections (network); next try in 12 s"),
        "{said}"
    );
    assert!(said.contains("ok signtext warm, its token expires in 42 s"), "{said}");
    assert!(said.ends_with("what to change: `tokenbroker status mail` explains it"), "{said}");

    let healthy = not_for_everybody(vec![client("signtext", State::Warm)]);
    assert_eq!(healthy.cli(&["doctor"]).run().code, Some(0), "a warning is no failure");
    let none = not_for_everybody(Vec::new()).cli(&["doctor"]).run();
    assert!(
        flat(&none.stdout).contains("warn clients this user may have no client's tokens"),
        "{}",
        none.stdout
    );
}

/// What was printed, however it was broken into lines.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
