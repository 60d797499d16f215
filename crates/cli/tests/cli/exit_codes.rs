//! The exit codes that other programs act on, and the words beside them.

use std::path::Path;
use std::time::{Duration, Instant};

use tokenbroker_client::protocol::{Failure, FailureCode, Response};

use crate::fake::{FakeDaemon, Outcome, cli};

fn failing(code: FailureCode, next_try_in_ms: Option<u64>) -> Outcome {
    let failure = Failure { next_try_in_ms, ..Failure::new(code, "it did not work").with_hint("try harder") };
    let outcome = FakeDaemon::with(Response::Failed(failure)).cli(&["get", "signtext"]).run();
    assert_eq!(outcome.stdout, "");
    outcome
}

#[test]
fn s01_denied_and_unknown_are_4() {
    assert_eq!(failing(FailureCode::Denied, None).code, Some(4));
    assert_eq!(failing(FailureCode::UnknownClient, None).code, Some(4));
}

#[test]
fn s22_no_token_now_is_5_and_says_when_it_is_tried_again() {
    let outcome = failing(FailureCode::NoToken, Some(12_000));
    assert_eq!(outcome.code, Some(5));
    assert_eq!(outcome.stderr, "error: it did not work; next try in 12 s\nhint: try harder\n");
}

#[test]
fn blocked_is_6_and_says_when_it_is_tried_again() {
    let outcome = failing(FailureCode::Blocked, Some(3_600_000));
    assert_eq!(outcome.code, Some(6));
    assert_eq!(outcome.stderr, "error: it did not work; next try in 1 h\nhint: try harder\n");
    assert_eq!(failing(FailureCode::Blocked, None).stderr, "error: it did not work\nhint: try harder\n");
}

#[test]
fn any_other_failure_is_1() {
    for code in [
        FailureCode::InvalidRequest,
        FailureCode::Refused,
        FailureCode::KeyStore,
        FailureCode::TokenTooLarge,
        FailureCode::Internal,
    ] {
        let outcome = failing(code, None);
        assert_eq!(outcome.code, Some(1), "{code:?}");
        assert_eq!(outcome.stderr, "error: it did not work\nhint: try harder\n");
    }
}

#[test]
fn no_daemon_is_3_at_once_for_every_command() {
    let directory = tempfile::tempdir().unwrap();
    let nobody = directory.path().join("broker.sock");
    for arguments in [
        &["get", "signtext"][..],
        &["status"],
        &["renew", "signtext"],
        &["secret", "set", "signtext"],
        &["secret", "list"],
        &["key", "generate", "signtext"],
        &["key", "import", "signtext"],
        &["key", "certificate", "signtext", "--request"],
        &["secret", "move", "--to", "os-keyring"],
        &["test", "signtext"],
        &["reload"],
    ] {
        let outcome = cli(&nobody, arguments).input("something").run();
        assert_eq!(outcome.code, Some(3), "{arguments:?}: {}", outcome.stderr);
        assert!(outcome.stderr.starts_with("error: "), "{arguments:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(nobody.to_str().unwrap()), "{arguments:?}: {}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long the program waits is what is tested")]
fn an_explicit_wait_also_covers_a_daemon_that_is_not_there() {
    let started = Instant::now();
    let outcome = cli(Path::new("/nowhere/broker.sock"), &["get", "signtext", "--wait", "700ms"]).run();
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(started.elapsed() >= Duration::from_millis(600), "{:?}", started.elapsed());
}

#[test]
fn an_answer_to_another_question_is_1() {
    let outcome = FakeDaemon::with(Response::Done).cli(&["status"]).run();
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.starts_with("error: "), "{}", outcome.stderr);
}

#[test]
fn a_daemon_that_hangs_up_is_an_error_of_one_or_two_lines() {
    let outcome = FakeDaemon::answering(|_| None).cli(&["status"]).run();
    assert!(matches!(outcome.code, Some(1 | 3)), "{outcome:?}");
    assert!(
        outcome.stderr.starts_with("error: ") && outcome.stderr.lines().count() <= 2,
        "{}",
        outcome.stderr
    );
}
