//! `status`, `renew` and `reload`.

use std::time::{SystemTime, UNIX_EPOCH};

use tokenbroker_client::protocol::{
    Command, CredentialKind, CredentialStatus, LastError, NextCredential, Outcomes, Renewed, Response, State,
    Status, StatusPage, Store,
};

use crate::fake::FakeDaemon;

fn warm(client: &str) -> Status {
    Status {
        client: client.into(),
        issuer: "pp".into(),
        state: State::Warm,
        renewing: false,
        queued: false,
        expires_in_ms: Some(42_000),
        renew_in_ms: Some(30_500),
        generation: 3,
        token_requests: 4,
        outcomes: Outcomes { issued: 3, transient: 1, ..Outcomes::default() },
        gets: 5,
        gets_from_cache: 2,
        waiting: 0,
        narrowed: 0,
        last_error: None,
        credential: Some(CredentialStatus {
            store: Store::EncryptedFile,
            kind: CredentialKind::Secret,
            version: "5f0c".into(),
            expires: None,
        }),
        next_credential: None,
        certificate_expires: None,
        clock_offset: None,
        explanation: Vec::new(),
    }
}

fn unavailable(client: &str) -> Status {
    Status {
        state: State::Unavailable,
        expires_in_ms: None,
        last_error: Some(LastError {
            code: "network".into(),
            message: "the server refuses connections".into(),
            next_try_in_ms: Some(12_000),
        }),
        ..warm(client)
    }
}

/// Two clients a page, and a note on each.
fn paged(command: &Command) -> Option<Response> {
    let Command::Status { client: None, after } = command else { return None };
    let names = ["a", "b", "c", "d", "e"];
    let rest: Vec<&str> =
        names.into_iter().filter(|name| after.as_deref().is_none_or(|after| *name > after)).collect();
    Some(Response::Status(StatusPage {
        clients: rest.iter().take(2).map(|name| warm(name)).collect(),
        more: rest.len() > 2,
        notes: vec!["the key store protects against little".into()],
    }))
}

#[test]
fn the_table_tells_all_and_exits_0_whatever_the_states() {
    let page = StatusPage {
        clients: vec![unavailable("mail"), warm("signtext")],
        more: false,
        notes: vec!["the key store protects against little".into()],
    };
    let outcome = FakeDaemon::with(Response::Status(page)).cli(&["status"]).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        outcome.stdout,
        "\
CLIENT    ISSUER  STATE        EXPIRES  RENEWAL  GENERATION  REQUESTS  GETS  CREDENTIAL
mail      pp      unavailable  -        in 30 s           3         4     5  secret in encrypted-file
signtext  pp      warm         in 42 s  in 30 s           3         4     5  secret in encrypted-file

mail: the server refuses connections (network); next try in 12 s

the key store protects against little
"
    );
}

#[test]
fn every_page_is_fetched_and_each_note_shown_once() {
    let daemon = FakeDaemon::answering(paged);
    let outcome = daemon.cli(&["status", "--json"]).run();
    assert_eq!(outcome.code, Some(0));
    let clients: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let names: Vec<&str> =
        clients.as_array().unwrap().iter().map(|client| client["client"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    assert_eq!(daemon.asked().len(), 3);

    let table = daemon.cli(&["status"]).run().stdout;
    assert_eq!(table.matches("the key store protects against little").count(), 1, "{table}");
}

#[test]
fn the_objects_are_as_other_programs_expect_them() {
    let page = StatusPage { clients: vec![unavailable("mail")], more: false, notes: Vec::new() };
    let outcome = FakeDaemon::with(Response::Status(page)).cli(&["status", "--json"]).run();
    assert_eq!(
        outcome.stdout,
        "[{\"client\":\"mail\",\"issuer\":\"pp\",\"state\":\"unavailable\",\"renewing\":false,\
         \"expires_in\":null,\"renew_in\":30,\"generation\":3,\"token_requests\":4,\"gets\":5,\
         \"last_error\":{\"code\":\"network\",\"message\":\"the server refuses connections\",\"next_try_in\":12},\
         \"credential\":{\"store\":\"encrypted-file\",\"kind\":\"secret\",\"version\":\"5f0c\",\"expires\":null},\
         \"next_credential\":null,\"certificate_expires\":null,\"queued\":false,\
         \"outcomes\":{\"issued\":3,\"transient\":1,\"credential\":0,\"request\":0},\"gets_from_cache\":2,\
         \"waiting\":0,\"narrowed\":0,\"clock_offset\":null,\"explanation\":[]}]\n"
    );
    let none = FakeDaemon::with(Response::Status(StatusPage::default())).cli(&["status", "--json"]).run();
    assert_eq!(none.stdout, "[]\n");
}

/// Days from now, in seconds since 1970. Half a day more, so that the seconds of this test don't count.
#[expect(clippy::disallowed_methods, reason = "what the program compares to is the time now")]
fn in_days(days: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() + days * 86_400 + 43_200
}

#[test]
fn what_is_next_and_what_expires_soon_is_told_below_the_table() {
    let next = NextCredential { credential: warm("mail").credential.unwrap(), refused: None };
    let refused = NextCredential { refused: unavailable("late").last_error, ..next.clone() };
    let until = |days| CredentialStatus { expires: Some(in_days(days)), ..next.credential.clone() };
    let clients = vec![
        Status { next_credential: Some(refused), ..warm("late") },
        Status { next_credential: Some(next.clone()), ..warm("mail") },
        Status { credential: Some(until(31)), ..warm("no-hurry") },
        Status { credential: Some(until(12)), certificate_expires: Some(951_782_400), ..warm("signtext") },
    ];
    let daemon = FakeDaemon::with(Response::Status(StatusPage { clients, more: false, notes: Vec::new() }));
    let table = daemon.cli(&["status"]).run().stdout;
    let (_, below) = table.split_once("\n\n").unwrap();
    assert_eq!(
        below,
        "\
late: its next secret was refused: the server refuses connections (network); next try in 12 s
mail: its next secret is tried with the next token request: tokenbroker renew mail
signtext: its secret expires in 12 d: tokenbroker secret set signtext --next
signtext: its certificate has expired: have it renewed, put the new one in its place, then tokenbroker reload
"
    );
}

#[test]
fn a_daemon_whose_pages_get_no_further_is_not_asked_for_ever() {
    let page = StatusPage { clients: vec![warm("a")], more: true, notes: Vec::new() };
    let daemon = FakeDaemon::with(Response::Status(page));
    let outcome = daemon.cli(&["status"]).run();
    assert_eq!(outcome.code, Some(1));
    assert_eq!(daemon.asked().len(), 2);
}

#[test]
fn one_client_alone_is_asked_for() {
    let page = StatusPage { clients: vec![warm("signtext")], more: false, notes: Vec::new() };
    let daemon = FakeDaemon::with(Response::Status(page));
    assert_eq!(daemon.cli(&["status", "signtext"]).run().code, Some(0));
    assert_eq!(daemon.asked(), [Command::Status { client: Some("signtext".into()), after: None }]);
}

#[test]
fn one_client_alone_is_explained() {
    let explanation = vec!["No token: the server refuses connections.".into(), "Next try in 12 s.".into()];
    let explained = Status { explanation, ..unavailable("mail") };
    let page = StatusPage { clients: vec![explained], more: false, notes: Vec::new() };
    let daemon = FakeDaemon::with(Response::Status(page));
    let outcome = daemon.cli(&["status", "mail"]).run();
    assert_eq!(outcome.code, Some(0));
    assert_eq!(
        outcome.stdout,
        "\
CLIENT  ISSUER  STATE        EXPIRES  RENEWAL  GENERATION  REQUESTS  GETS  CREDENTIAL
mail    pp      unavailable  -        in 30 s           3         4     5  secret in encrypted-file

No token: the server refuses connections.
Next try in 12 s.
"
    );
    let json = daemon.cli(&["status", "mail", "--json"]).run().stdout;
    assert!(
        json.contains(
            "\"explanation\":[\"No token: the server refuses connections.\",\"Next try in 12 s.\"]"
        ),
        "{json}"
    );
}

#[test]
fn a_renewal_shows_what_it_brought() {
    let renewed = Renewed { generation: 8, expires_in_ms: 3_598_000 };
    let outcome = FakeDaemon::with(Response::Renewed(renewed)).cli(&["renew", "signtext"]).run();
    assert_eq!(outcome.code, Some(0));
    assert_eq!(outcome.stdout, "signtext: renewed, generation 8, expires in 59 min 58 s\n");
}

#[test]
fn a_reload_says_that_it_was_done() {
    let daemon = FakeDaemon::with(Response::Done);
    let outcome = daemon.cli(&["reload"]).run();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "the new configuration is in use\n"));
    assert_eq!(daemon.asked(), [Command::Reload]);
}
