//! Tables for people: plain columns without lines or colours, the same on a terminal and in a file.

use comfy_table::{Cell, CellAlignment, Row, Table, presets};
use tokenbroker_client::protocol::{Credential, LastError, Status};

use crate::duration::from_now;
use crate::output::words;

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

/// The clients' states, then in full sentences what failed last and what else an operator should know. What a client is
/// explained with takes the place of its failure.
pub(crate) fn status(clients: &[Status], notes: &[String]) -> String {
    if clients.is_empty() {
        return sections("no clients\n".to_owned(), &[notes]);
    }
    let mut table = plain([
        "CLIENT",
        "ISSUER",
        "STATE",
        "EXPIRES",
        "RENEWAL",
        "GENERATION",
        "REQUESTS",
        "GETS",
        "CREDENTIAL",
    ]);
    for client in clients {
        table.add_row([
            Cell::new(&client.client),
            Cell::new(&client.issuer),
            Cell::new(words::state(client.state)),
            Cell::new(client.expires_in_ms.map_or_else(nothing, from_now)),
            Cell::new(renewal(client)),
            number(client.generation),
            number(client.token_requests),
            number(client.gets),
            Cell::new(credential(client)),
        ]);
    }
    let (explained, others): (Vec<&Status>, Vec<&Status>) =
        clients.iter().partition(|client| !client.explanation.is_empty());
    let errors: Vec<String> = others
        .iter()
        .filter_map(|client| client.last_error.as_ref().map(|error| last_error(&client.client, error)))
        .collect();
    let explanations: Vec<String> =
        explained.iter().flat_map(|client| client.explanation.iter().cloned()).collect();
    sections(lines(&table), &[&explanations, &errors, notes])
}

/// The stored credentials.
pub(crate) fn credentials(credentials: &[Credential]) -> String {
    let mut table = plain(["CLIENT", "KIND", "ALGORITHM", "KID", "STORE", "VERSION", "STORED"]);
    for credential in credentials {
        table.add_row([
            credential.client.as_str(),
            words::kind(credential.kind),
            credential.algorithm.map_or(NOTHING, words::algorithm),
            credential.kid.as_deref().unwrap_or(NOTHING),
            words::store(credential.store),
            &credential.version,
            &words::rfc3339(credential.created),
        ]);
    }
    lines(&table)
}

fn renewal(client: &Status) -> String {
    match client.renew_in_ms {
        _ if client.renewing => "under way".to_owned(),
        Some(milliseconds) => from_now(milliseconds),
        None => nothing(),
    }
}

fn credential(client: &Status) -> String {
    client.credential.as_ref().map_or_else(
        || "none".to_owned(),
        |credential| format!("{} in {}", words::kind(credential.kind), words::store(credential.store)),
    )
}

fn last_error(client: &str, error: &LastError) -> String {
    let LastError { code, message, next_try_in_ms } = error;
    let code = if names(message, code) { String::new() } else { format!(" ({code})") };
    let next = next_try_in_ms.map(|ms| format!("; next try {}", from_now(ms))).unwrap_or_default();
    format!("{client}: {message}{code}{next}")
}

/// Whether the code is one of the message's words: of `http`, HTTP 503 says more.
fn names(message: &str, code: &str) -> bool {
    let in_a_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    message.split(|character| !in_a_word(character)).any(|word| word.eq_ignore_ascii_case(code))
}

fn nothing() -> String {
    NOTHING.to_owned()
}

fn number(value: u64) -> Cell {
    Cell::new(value).set_alignment(CellAlignment::Right)
}

fn plain<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(Row::from(header));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn lines(table: &Table) -> String {
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

fn sections(mut text: String, sections: &[&[String]]) -> String {
    for section in sections {
        if !section.is_empty() {
            text.push('\n');
        }
        for line in *section {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use tokenbroker_client::protocol::{
        CredentialKind, CredentialStatus, KeyAlgorithm, Outcomes, State, Store,
    };

    use super::*;

    fn client(name: &str, state: State) -> Status {
        Status {
            client: name.into(),
            issuer: "pp".into(),
            state,
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
            clock_offset: None,
            explanation: Vec::new(),
        }
    }

    #[test]
    fn s21_the_status_shows_a_failed_renewal_beside_the_token_that_still_lives() {
        let degraded = Status {
            expires_in_ms: Some(915_000),
            renewing: true,
            generation: 12,
            token_requests: 14,
            gets: 1_000,
            last_error: Some(LastError {
                code: "timeout".into(),
                message: "no answer within 10 s".into(),
                next_try_in_ms: Some(12_400),
            }),
            credential: Some(CredentialStatus {
                store: Store::OsKeyring,
                kind: CredentialKind::Secret,
                version: "5f0c".into(),
            }),
            ..client("signtext", State::Degraded)
        };
        let blocked = Status {
            last_error: Some(LastError {
                code: "no_credential".into(),
                message: "there is no credential".into(),
                next_try_in_ms: None,
            }),
            ..client("mail", State::Blocked)
        };
        let notes = ["the key store is a file whose key lies beside it".to_owned()];
        assert_eq!(
            status(&[blocked, degraded], &notes),
            "\
CLIENT    ISSUER  STATE     EXPIRES         RENEWAL    GENERATION  REQUESTS  GETS  CREDENTIAL
mail      pp      blocked   -               -                   0         0     0  none
signtext  pp      degraded  in 15 min 15 s  under way          12        14  1000  secret in os-keyring

mail: there is no credential (no_credential)
signtext: no answer within 10 s (timeout); next try in 12 s

the key store is a file whose key lies beside it
"
        );
    }

    #[test]
    fn one_client_is_explained_instead_of_its_failure_shown() {
        let explained = Status {
            expires_in_ms: Some(915_000),
            renew_in_ms: Some(12_400),
            generation: 11,
            token_requests: 12,
            outcomes: Outcomes { issued: 11, transient: 1, ..Outcomes::default() },
            gets: 30_412,
            gets_from_cache: 30_401,
            last_error: Some(LastError {
                code: "timeout".into(),
                message: "no answer within 10 s".into(),
                next_try_in_ms: Some(12_400),
            }),
            explanation: vec!["The last renewal failed.".into(), "It is tried again in 12 s.".into()],
            ..client("signtext", State::Degraded)
        };
        assert_eq!(
            status(&[explained], &["a note".into()]),
            "\
CLIENT    ISSUER  STATE     EXPIRES         RENEWAL  GENERATION  REQUESTS  GETS   CREDENTIAL
signtext  pp      degraded  in 15 min 15 s  in 12 s          11        12  30412  none

The last renewal failed.
It is tried again in 12 s.

a note
"
        );
    }

    #[test]
    fn the_code_of_an_error_is_shown_once() {
        let shown = |message: &str, code: &str| {
            last_error("a", &LastError { code: code.into(), message: message.into(), next_try_in_ms: None })
        };
        let refused = "the authorization server refused the client's credential (invalid_client)";
        assert_eq!(shown(refused, "invalid_client"), format!("a: {refused}"));
        let trouble = "the authorization server has a problem of its own (HTTP 503)";
        assert_eq!(shown(trouble, "http"), format!("a: {trouble}"));
        assert_eq!(shown("it asked for tlsa records", "tls"), "a: it asked for tlsa records (tls)");
    }

    #[test]
    fn without_clients_the_notes_remain() {
        assert_eq!(status(&[], &[]), "no clients\n");
        assert_eq!(status(&[], &["a note".into()]), "no clients\n\na note\n");
    }

    #[test]
    fn credentials_are_listed_with_what_they_are() {
        let secret = Credential {
            client: "signtext".into(),
            version: "5f0c".into(),
            store: Store::EncryptedFile,
            kind: CredentialKind::Secret,
            kid: None,
            algorithm: None,
            created: 0,
        };
        let key = Credential {
            kind: CredentialKind::PrivateKey,
            kid: Some("2026-11".into()),
            algorithm: Some(KeyAlgorithm::Es256),
            ..secret.clone()
        };
        assert_eq!(
            credentials(&[secret, key]),
            "\
CLIENT    KIND         ALGORITHM  KID      STORE           VERSION  STORED
signtext  secret       -          -        encrypted-file  5f0c     1970-01-01T00:00:00Z
signtext  private-key  ES256      2026-11  encrypted-file  5f0c     1970-01-01T00:00:00Z
"
        );
    }
}
