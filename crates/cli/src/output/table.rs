//! Tables for people: plain columns without lines or colours, the same on a terminal and in a file.

use comfy_table::{Cell, CellAlignment, Row, Table, presets};
use tokenbroker_client::protocol::{Credential, Status};

use crate::date;
use crate::duration::from_now;
use crate::output::{notes, words};

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

/// The clients' states, then in full sentences what failed last, what is to be known of their credentials, and what else
/// an operator should know. What a client is explained with takes the place of the first two.
pub(crate) fn status(clients: &[Status], general: &[String], now: i64) -> String {
    if clients.is_empty() {
        return sections("no clients\n".to_owned(), &[general]);
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
    let errors: Vec<String> = others.iter().filter_map(|client| notes::failure(client)).collect();
    let credentials: Vec<String> = others.iter().flat_map(|client| notes::credentials(client, now)).collect();
    let explanations: Vec<String> =
        explained.iter().flat_map(|client| client.explanation.iter().cloned()).collect();
    sections(lines(&table), &[&explanations, &errors, &credentials, general])
}

/// The stored credentials. Where there is no key among them, nor is there a column for key IDs.
pub(crate) fn credentials(credentials: &[Credential]) -> String {
    /// The place of the key ID.
    const KID: usize = 3;
    let with_keys = credentials.iter().any(|credential| credential.kid.is_some());
    let columns = |mut cells: Vec<String>| {
        if !with_keys {
            cells.remove(KID);
        }
        cells
    };
    let header = ["CLIENT", "USE", "KIND", "KID", "STORE", "VERSION", "STORED", "EXPIRES"];
    let mut table = plain(columns(header.map(str::to_owned).into()));
    for credential in credentials {
        table.add_row(columns(vec![
            credential.client.clone(),
            words::usage(credential.standing).to_owned(),
            kind_of(credential),
            credential.kid.clone().unwrap_or_else(nothing),
            words::store(credential.store).to_owned(),
            credential.version.clone(),
            credential.created.map_or_else(nothing, date::day),
            credential.expires.map_or_else(nothing, date::day),
        ]));
    }
    lines(&table)
}

/// A secret, or what kind of key.
fn kind_of(credential: &Credential) -> String {
    match credential.algorithm {
        Some(algorithm) => format!("key {}", words::algorithm(algorithm)),
        None => words::kind(credential.kind).to_owned(),
    }
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

fn nothing() -> String {
    NOTHING.to_owned()
}

fn number(value: u64) -> Cell {
    Cell::new(value).set_alignment(CellAlignment::Right)
}

fn plain(header: impl IntoIterator<Item = impl Into<Cell>>) -> Table {
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
        CredentialKind, CredentialStatus, KeyAlgorithm, LastError, NextCredential, Outcomes, Standing, State,
        Store,
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
            next_credential: None,
            certificate_expires: None,
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
                expires: None,
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
            status(&[blocked, degraded], &notes, 0),
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
            status(&[explained], &["a note".into()], 0),
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
    fn without_clients_the_notes_remain() {
        assert_eq!(status(&[], &[], 0), "no clients\n");
        assert_eq!(status(&[], &["a note".into()], 0), "no clients\n\na note\n");
    }

    #[test]
    fn a_next_credential_and_what_expires_soon_stand_below_the_table() {
        let soon = CredentialStatus {
            store: Store::EncryptedFile,
            kind: CredentialKind::Secret,
            version: "5f0c".into(),
            expires: Some(951_782_400),
        };
        let next =
            NextCredential { credential: CredentialStatus { expires: None, ..soon.clone() }, refused: None };
        let rotating = Status { next_credential: Some(next), ..client("mail", State::Warm) };
        let expiring = Status {
            credential: Some(soon),
            certificate_expires: Some(951_782_400),
            ..client("signtext", State::Warm)
        };
        let explained = Status { explanation: vec!["It has a token.".into()], ..expiring.clone() };
        let now = 951_782_400 - 12 * 86_400;
        assert_eq!(
            status(&[rotating, expiring], &["a note".into()], now),
            "\
CLIENT    ISSUER  STATE  EXPIRES  RENEWAL  GENERATION  REQUESTS  GETS  CREDENTIAL
mail      pp      warm   -        -                 0         0     0  none
signtext  pp      warm   -        -                 0         0     0  secret in encrypted-file

mail: its next secret is tried with the next token request: tokenbroker renew mail
signtext: its secret expires in 12 d: tokenbroker secret set signtext --next
signtext: its certificate expires in 12 d: have it renewed, put the new one in its place, then tokenbroker reload

a note
"
        );
        assert!(!status(&[explained], &[], now).contains("12 d"), "the explanation says it");
    }

    fn secret() -> Credential {
        Credential {
            client: "signtext".into(),
            version: "5f0c77aa01234567".into(),
            store: Store::EncryptedFile,
            kind: CredentialKind::Secret,
            standing: Standing::Current,
            kid: None,
            algorithm: None,
            created: Some(0),
            expires: None,
        }
    }

    #[test]
    fn credentials_are_listed_with_what_they_are() {
        let key = Credential {
            kind: CredentialKind::PrivateKey,
            standing: Standing::Next,
            kid: Some("2026-11".into()),
            algorithm: Some(KeyAlgorithm::Es256),
            expires: Some(1_801_353_600),
            ..secret()
        };
        let old = Credential { standing: Standing::Previous, created: None, ..secret() };
        assert_eq!(
            credentials(&[secret(), key, old]),
            "\
CLIENT    USE       KIND       KID      STORE           VERSION           STORED      EXPIRES
signtext  in use    secret     -        encrypted-file  5f0c77aa01234567  1970-01-01  -
signtext  next      key ES256  2026-11  encrypted-file  5f0c77aa01234567  1970-01-01  2027-01-31
signtext  previous  secret     -        encrypted-file  5f0c77aa01234567  -           -
"
        );
    }

    #[test]
    fn secrets_alone_need_no_column_for_key_ids() {
        let expiring = Credential { expires: Some(1_801_353_600), ..secret() };
        assert_eq!(
            credentials(&[expiring]),
            "\
CLIENT    USE     KIND    STORE           VERSION           STORED      EXPIRES
signtext  in use  secret  encrypted-file  5f0c77aa01234567  1970-01-01  2027-01-31
"
        );
        assert_eq!(credentials(&[]), "CLIENT  USE  KIND  STORE  VERSION  STORED  EXPIRES\n");
    }
}
