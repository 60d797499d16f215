//! The names and words of the wire's values, for programs and for people.

use time::{Duration, OffsetDateTime};
use tokenbroker_client::protocol::{Credential, CredentialKind, KeyAlgorithm, State, Status, Store};

/// What a value is called that only a newer daemon knows.
const UNKNOWN: &str = "unknown";

pub(crate) fn state(state: State) -> &'static str {
    match state {
        State::Pending => "pending",
        State::Warm => "warm",
        State::Degraded => "degraded",
        State::Unavailable => "unavailable",
        State::Blocked => "blocked",
        _ => UNKNOWN,
    }
}

pub(crate) fn store(store: Store) -> &'static str {
    match store {
        Store::OsKeyring => "os-keyring",
        Store::EncryptedFile => "encrypted-file",
        _ => UNKNOWN,
    }
}

pub(crate) fn kind(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Secret => "secret",
        CredentialKind::PrivateKey => "private-key",
        _ => UNKNOWN,
    }
}

pub(crate) fn algorithm(algorithm: KeyAlgorithm) -> &'static str {
    match algorithm {
        KeyAlgorithm::Rs256 => "RS256",
        KeyAlgorithm::Ps256 => "PS256",
        KeyAlgorithm::Es256 => "ES256",
        KeyAlgorithm::EdDsa => "EdDSA",
    }
}

/// A credential in a sentence: `private-key RS256 "2026-11" in encrypted-file, version 5f0c`.
pub(crate) fn credential(credential: &Credential) -> String {
    let mut words = kind(credential.kind).to_owned();
    if let Some(key) = credential.algorithm {
        words.push(' ');
        words.push_str(algorithm(key));
    }
    if let Some(kid) = &credential.kid {
        words.push_str(&format!(" \"{kid}\""));
    }
    format!("{words} in {}, version {}", store(credential.store), credential.version)
}

/// What a client has cost and saved: sentences.
pub(crate) fn metering(client: &Status) -> [String; 2] {
    let outcomes = client.outcomes;
    let mut parts: Vec<String> = [
        (outcomes.issued, "issued", "issued"),
        (outcomes.transient, "transient failure", "transient failures"),
        (outcomes.credential, "refusal of the credential", "refusals of the credential"),
        (outcomes.request, "refusal of the request", "refusals of the request"),
    ]
    .into_iter()
    .filter(|(number, ..)| *number > 0)
    .map(|(number, one, many)| counted(number, one, many))
    .collect();
    if client.renewing {
        parts.push("1 under way".to_owned());
    }
    let requests = counted(client.token_requests, "token request", "token requests");
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    let (gets, avoided) = (counted(client.gets, "get", "gets"), client.gets_from_cache);
    let cached = match avoided {
        0 => "none of them from the cache".to_owned(),
        _ => {
            let requests = counted(avoided, "token request", "token requests");
            format!("{} of them from the cache: {requests} avoided", grouped(avoided))
        }
    };
    let gets = if client.gets == 0 { gets } else { format!("{gets}, {cached}") };
    [format!("{requests} since the start{parts}."), format!("{gets}.")]
}

/// A number of things: `No gets`, `1 get`, `30,412 gets`.
fn counted(number: u64, one: &str, many: &str) -> String {
    match number {
        0 => format!("No {many}"),
        1 => format!("1 {one}"),
        _ => format!("{} {many}", grouped(number)),
    }
}

/// A number with a comma before each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time as RFC 3339 has it: UTC, to the second, ending in Z.
pub(crate) fn rfc3339(unix_seconds: u64) -> String {
    let seconds = i64::try_from(unix_seconds).unwrap_or(i64::MAX);
    let time = OffsetDateTime::UNIX_EPOCH.saturating_add(Duration::seconds(seconds));
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
    )
}

#[cfg(test)]
mod tests {
    use tokenbroker_client::protocol::Outcomes;

    use super::*;

    #[test]
    fn numbers_are_grouped_by_threes() {
        assert_eq!(
            [0, 999, 1_000, 30_412, 1_234_567].map(grouped),
            ["0", "999", "1,000", "30,412", "1,234,567"]
        );
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn what_a_client_cost_and_saved_is_said_in_sentences() {
        let mut client = Status {
            client: "signtext".into(),
            issuer: "pp".into(),
            state: State::Warm,
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
        };
        assert_eq!(metering(&client), ["No token requests since the start.", "No gets."]);
        (client.token_requests, client.renewing, client.gets) = (1, true, 1);
        assert_eq!(
            metering(&client),
            ["1 token request since the start: 1 under way.", "1 get, none of them from the cache."]
        );
        client.outcomes = Outcomes { issued: 2, transient: 1, credential: 3, request: 4 };
        (client.token_requests, client.gets, client.gets_from_cache) = (11, 2, 1);
        assert_eq!(
            metering(&client),
            [
                "11 token requests since the start: 2 issued, 1 transient failure, 3 refusals of the credential, \
                 4 refusals of the request, 1 under way.",
                "2 gets, 1 of them from the cache: 1 token request avoided.",
            ]
        );
    }

    #[test]
    fn times_are_utc_to_the_second() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_795_471_199), "2026-11-23T21:59:59Z");
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59Z", "as late as can be written");
    }

    #[test]
    fn a_credential_is_described_without_what_is_secret_in_it() {
        let mut stored = Credential {
            client: "signtext".into(),
            version: "5f0c".into(),
            store: Store::EncryptedFile,
            kind: CredentialKind::PrivateKey,
            kid: Some("2026-11".into()),
            algorithm: Some(KeyAlgorithm::Rs256),
            created: 0,
        };
        assert_eq!(credential(&stored), "private-key RS256 \"2026-11\" in encrypted-file, version 5f0c");
        (stored.kind, stored.kid, stored.algorithm) = (CredentialKind::Secret, None, None);
        stored.store = Store::OsKeyring;
        assert_eq!(credential(&stored), "secret in os-keyring, version 5f0c");
    }
}
