//! Arguments that are wrong, help and the version, and a reader who has left.

use std::process::{Command, Stdio};

use tokenbroker_client::protocol::{Outcomes, Response, State, Status, StatusPage};

use crate::fake::{FakeDaemon, cli};

fn refused(arguments: &[&str]) -> String {
    let outcome = cli("/nowhere/broker.sock".as_ref(), arguments).run();
    assert_eq!(outcome.code, Some(2), "{arguments:?}: {}", outcome.stderr);
    assert_eq!(outcome.stdout, "");
    outcome.stderr
}

#[test]
fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
    for arguments in [
        &["secret", "set", "signtext", "hunter2"][..],
        &["secret", "set", "signtext", "--secret", "hunter2"],
        &["secret", "set", "signtext", "--secret=hunter2"],
        &["secret", "set", "--password", "hunter2", "signtext"],
        &["key", "import", "signtext", "hunter2"],
    ] {
        let stderr = refused(arguments);
        assert!(!stderr.contains("hunter2"), "{stderr}");
        assert!(stderr.starts_with("error: unexpected argument"), "{stderr}");
        assert!(stderr.contains("\nhint: a "), "{stderr}");
    }
}

#[test]
fn other_mistakes_say_what_is_expected() {
    assert!(refused(&["get"]).contains("<CLIENT>"));
    assert!(refused(&["get", "x", "--wait", "ten"]).contains("as in 500ms, 60s, 5m or 2h"));
    assert!(refused(&["get", "x", "--format", "xml"]).contains("token, header, json, env, curl"));
    assert!(
        refused(&["key", "generate", "x", "--alg", "HS256"])
            .contains("RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA")
    );
    assert!(refused(&["key", "retire", "x"]).contains("--kid <KID>"));
    assert!(refused(&["secret", "move"]).contains("--to <STORE>"));
    let stores = "os-keyring, encrypted-file, systemd-credentials";
    assert!(refused(&["secret", "move", "--to", "the-cellar"]).contains(stores));
    assert!(refused(&["test"]).contains("<CLIENT>"));
    assert!(refused(&["statsu"]).contains("hint: a similar subcommand exists: 'status'"));
    assert!(refused(&[]).contains("Usage: tokenbroker"));
}

#[test]
fn a_date_is_one_of_the_calendar() {
    for date in ["2027-02-30", "tomorrow", "2027-1-31", "31.01.2027", ""] {
        let stderr = refused(&["secret", "set", "signtext", "--expires", date]);
        assert!(stderr.contains("expected a date such as 2027-01-31"), "{date:?}: {stderr}");
    }
}

#[test]
fn a_certificate_has_one_form() {
    let certificate =
        |more: &[&str]| refused(&[&["key", "certificate", "signtext", "--kid", "k"], more].concat());
    assert!(certificate(&[]).contains("<--request|--self-signed <DAYS>>"), "{}", certificate(&[]));
    let both = certificate(&["--request", "--self-signed", "30"]);
    assert!(both.contains("cannot be used with"), "{both}");
    for days in ["0", "-1", "a year"] {
        let refused = certificate(&[&format!("--self-signed={days}")]);
        assert!(refused.contains(days), "{refused}");
    }
}

#[test]
fn what_is_not_there_yet_is_not_offered() {
    for command in ["follow", "exec", "init", "completions", "man"] {
        assert!(refused(&[command]).contains("unrecognized subcommand"), "{command}");
    }
}

#[test]
fn help_and_the_version_go_to_standard_output() {
    let nobody = "/nowhere/broker.sock".as_ref();
    let version = cli(nobody, &["--version"]).run();
    assert_eq!(
        (version.code, version.stdout),
        (Some(0), format!("tokenbroker {}\n", env!("CARGO_PKG_VERSION")))
    );
    let help = cli(nobody, &["--help"]).run();
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    assert!(help.stdout.contains("Exit codes: 0 done"), "{}", help.stdout);
}

#[test]
fn a_reader_who_has_left_is_no_error() {
    let clients = (0..100).map(|number| Status {
        client: format!("client-{number:03}"),
        issuer: "pp".into(),
        state: State::Pending,
        renewing: false,
        queued: false,
        expires_in_ms: None,
        renew_in_ms: None,
        generation: 0,
        token_requests: 0,
        outcomes: Outcomes::default(),
        gets: 0,
        gets_from_cache: 0,
        waiting: 0,
        narrowed: 0,
        last_error: None,
        credential: None,
        next_credential: None,
        certificate_expires: None,
        clock_offset: None,
        explanation: Vec::new(),
    });
    let page = StatusPage { clients: clients.collect(), more: false, notes: Vec::new() };
    let daemon = FakeDaemon::with(Response::Status(page));
    // `true` never reads; once it has ended, the pipe is closed for certain.
    let mut reader = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
    let pipe = reader.stdin.take().unwrap();
    reader.wait().unwrap();
    let outcome = daemon.cli(&["status"]).stdout(pipe).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
}
