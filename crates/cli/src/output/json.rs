//! The shapes that other programs parse: fields are added at the end, and never change.
//!
//! Durations are whole seconds, rounded down; times are RFC 3339 in UTC.

use serde::Serialize;
use tokenbroker_client::protocol;

use crate::output::words;

/// `get --json`.
#[derive(Serialize)]
pub(crate) struct Token<'a> {
    pub client: &'a str,
    pub access_token: &'a str,
    pub token_type: &'a str,
    pub expires_in: u64,
    pub expires_at: String,
    pub scope: Option<&'a str>,
    pub generation: u64,
    pub min_ttl_met: bool,
}

/// One object of `status --json`.
#[derive(Serialize)]
pub(crate) struct Status<'a> {
    client: &'a str,
    issuer: &'a str,
    state: &'static str,
    renewing: bool,
    expires_in: Option<u64>,
    renew_in: Option<u64>,
    generation: u64,
    token_requests: u64,
    gets: u64,
    last_error: Option<LastError<'a>>,
    credential: Option<CredentialStatus<'a>>,
    queued: bool,
    outcomes: Outcomes,
    gets_from_cache: u64,
    waiting: u64,
    narrowed: u64,
    clock_offset: Option<i64>,
    explanation: &'a [String],
}

impl<'a> From<&'a protocol::Status> for Status<'a> {
    fn from(status: &'a protocol::Status) -> Self {
        Self {
            client: &status.client,
            issuer: &status.issuer,
            state: words::state(status.state),
            renewing: status.renewing,
            expires_in: status.expires_in_ms.map(seconds),
            renew_in: status.renew_in_ms.map(seconds),
            generation: status.generation,
            token_requests: status.token_requests,
            gets: status.gets,
            last_error: status.last_error.as_ref().map(|error| LastError {
                code: &error.code,
                message: &error.message,
                next_try_in: error.next_try_in_ms.map(seconds),
            }),
            credential: status.credential.as_ref().map(|credential| CredentialStatus {
                store: words::store(credential.store),
                kind: words::kind(credential.kind),
                version: &credential.version,
            }),
            queued: status.queued,
            outcomes: status.outcomes.into(),
            gets_from_cache: status.gets_from_cache,
            waiting: status.waiting,
            narrowed: status.narrowed,
            clock_offset: status.clock_offset,
            explanation: &status.explanation,
        }
    }
}

#[derive(Serialize)]
struct Outcomes {
    issued: u64,
    transient: u64,
    credential: u64,
    request: u64,
}

impl From<protocol::Outcomes> for Outcomes {
    fn from(outcomes: protocol::Outcomes) -> Self {
        let protocol::Outcomes { issued, transient, credential, request } = outcomes;
        Self { issued, transient, credential, request }
    }
}

#[derive(Serialize)]
struct LastError<'a> {
    code: &'a str,
    message: &'a str,
    next_try_in: Option<u64>,
}

#[derive(Serialize)]
struct CredentialStatus<'a> {
    store: &'static str,
    kind: &'static str,
    version: &'a str,
}

/// One object of `secret list --json` and `key list --json`.
#[derive(Serialize)]
pub(crate) struct Credential<'a> {
    client: &'a str,
    version: &'a str,
    store: &'static str,
    kind: &'static str,
    kid: Option<&'a str>,
    algorithm: Option<&'static str>,
    created: String,
}

impl<'a> From<&'a protocol::Credential> for Credential<'a> {
    fn from(credential: &'a protocol::Credential) -> Self {
        Self {
            client: &credential.client,
            version: &credential.version,
            store: words::store(credential.store),
            kind: words::kind(credential.kind),
            kid: credential.kid.as_deref(),
            algorithm: credential.algorithm.map(words::algorithm),
            created: words::rfc3339(credential.created),
        }
    }
}

fn seconds(milliseconds: u64) -> u64 {
    milliseconds / 1_000
}

#[cfg(test)]
mod tests {
    use tokenbroker_client::protocol::{CredentialKind, KeyAlgorithm, State, Store};

    use super::*;

    #[test]
    fn a_status_has_every_field_even_when_there_is_nothing_to_say() {
        let nothing = protocol::Status {
            client: "signtext".into(),
            issuer: "signaturgruppen-pp".into(),
            state: State::Pending,
            renewing: true,
            queued: false,
            expires_in_ms: None,
            renew_in_ms: None,
            generation: 0,
            token_requests: 1,
            outcomes: protocol::Outcomes::default(),
            gets: 0,
            gets_from_cache: 0,
            waiting: 0,
            narrowed: 0,
            last_error: None,
            credential: None,
            clock_offset: None,
            explanation: Vec::new(),
        };
        assert_eq!(
            serde_json::to_string(&Status::from(&nothing)).unwrap(),
            r#"{"client":"signtext","issuer":"signaturgruppen-pp","state":"pending","renewing":true,"expires_in":null,"renew_in":null,"generation":0,"token_requests":1,"gets":0,"last_error":null,"credential":null,"queued":false,"outcomes":{"issued":0,"transient":0,"credential":0,"request":0},"gets_from_cache":0,"waiting":0,"narrowed":0,"clock_offset":null,"explanation":[]}"#
        );
    }

    #[test]
    fn a_status_counts_whole_seconds_and_shows_the_last_error() {
        let degraded = protocol::Status {
            client: "signtext".into(),
            issuer: "signaturgruppen-pp".into(),
            state: State::Degraded,
            renewing: false,
            queued: true,
            expires_in_ms: Some(899_999),
            renew_in_ms: Some(12_000),
            generation: 4,
            token_requests: 9,
            outcomes: protocol::Outcomes { issued: 4, transient: 3, credential: 2, request: 1 },
            gets: 1_000,
            gets_from_cache: 996,
            waiting: 5,
            narrowed: 6,
            last_error: Some(protocol::LastError {
                code: "timeout".into(),
                message: "no answer within 10 s".into(),
                next_try_in_ms: Some(12_999),
            }),
            credential: Some(protocol::CredentialStatus {
                store: Store::OsKeyring,
                kind: CredentialKind::PrivateKey,
                version: "5f0c".into(),
            }),
            clock_offset: Some(-240),
            explanation: vec!["It has a token.".into()],
        };
        assert_eq!(
            serde_json::to_string(&Status::from(&degraded)).unwrap(),
            r#"{"client":"signtext","issuer":"signaturgruppen-pp","state":"degraded","renewing":false,"expires_in":899,"renew_in":12,"generation":4,"token_requests":9,"gets":1000,"last_error":{"code":"timeout","message":"no answer within 10 s","next_try_in":12},"credential":{"store":"os-keyring","kind":"private-key","version":"5f0c"},"queued":true,"outcomes":{"issued":4,"transient":3,"credential":2,"request":1},"gets_from_cache":996,"waiting":5,"narrowed":6,"clock_offset":-240,"explanation":["It has a token."]}"#
        );
    }

    #[test]
    fn a_credential_shows_what_it_is_and_since_when() {
        let key = protocol::Credential {
            client: "signtext".into(),
            version: "5f0c".into(),
            store: Store::EncryptedFile,
            kind: CredentialKind::PrivateKey,
            kid: Some("2026-11".into()),
            algorithm: Some(KeyAlgorithm::EdDsa),
            created: 951_782_400,
        };
        assert_eq!(
            serde_json::to_string(&Credential::from(&key)).unwrap(),
            r#"{"client":"signtext","version":"5f0c","store":"encrypted-file","kind":"private-key","kid":"2026-11","algorithm":"EdDSA","created":"2000-02-29T00:00:00Z"}"#
        );
    }
}
