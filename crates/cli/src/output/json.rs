//! The shapes that other programs parse: fields are added at the end, and never change.
//!
//! Durations are whole seconds, rounded down; times are RFC 3339 in UTC.

use serde::Serialize;
use tokenbroker_client::protocol;

use crate::date;
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
    next_credential: Option<NextCredential<'a>>,
    certificate_expires: Option<String>,
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
            last_error: status.last_error.as_ref().map(Into::into),
            credential: status.credential.as_ref().map(Into::into),
            next_credential: status.next_credential.as_ref().map(Into::into),
            certificate_expires: status.certificate_expires.map(date::rfc3339),
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

impl<'a> From<&'a protocol::LastError> for LastError<'a> {
    fn from(error: &'a protocol::LastError) -> Self {
        Self { code: &error.code, message: &error.message, next_try_in: error.next_try_in_ms.map(seconds) }
    }
}

#[derive(Serialize)]
struct CredentialStatus<'a> {
    store: &'static str,
    kind: &'static str,
    version: &'a str,
    expires: Option<String>,
}

impl<'a> From<&'a protocol::CredentialStatus> for CredentialStatus<'a> {
    fn from(credential: &'a protocol::CredentialStatus) -> Self {
        Self {
            store: words::store(credential.store),
            kind: words::kind(credential.kind),
            version: &credential.version,
            expires: credential.expires.map(date::rfc3339),
        }
    }
}

#[derive(Serialize)]
struct NextCredential<'a> {
    #[serde(flatten)]
    credential: CredentialStatus<'a>,
    refused: Option<LastError<'a>>,
}

impl<'a> From<&'a protocol::NextCredential> for NextCredential<'a> {
    fn from(next: &'a protocol::NextCredential) -> Self {
        Self { credential: (&next.credential).into(), refused: next.refused.as_ref().map(Into::into) }
    }
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
    created: Option<String>,
    standing: &'static str,
    expires: Option<String>,
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
            created: credential.created.map(date::rfc3339),
            standing: words::standing(credential.standing),
            expires: credential.expires.map(date::rfc3339),
        }
    }
}

/// One object of `test --json` and `doctor --json`.
#[derive(Serialize)]
pub(crate) struct Check<'a> {
    subject: &'a str,
    verdict: &'static str,
    finding: &'a str,
    remedy: Option<&'a str>,
}

impl<'a> From<&'a protocol::Check> for Check<'a> {
    fn from(check: &'a protocol::Check) -> Self {
        Self {
            subject: &check.subject,
            verdict: words::verdict(check.verdict),
            finding: &check.finding,
            remedy: check.remedy.as_deref(),
        }
    }
}

/// `policy explain --json`.
#[derive(Serialize)]
pub(crate) struct Policy<'a> {
    client: &'a str,
    uid: u32,
    pid: Option<u32>,
    unit: Option<&'a str>,
    user_unit: Option<&'a str>,
    permitted: &'static str,
    rules: Vec<PolicyRule<'a>>,
    more_rules: u64,
    notes: &'a [String],
}

#[derive(Serialize)]
struct PolicyRule<'a> {
    rule: &'a str,
    holds: &'static str,
    part: Option<&'a str>,
    conditions: Vec<PolicyCondition<'a>>,
}

#[derive(Serialize)]
struct PolicyCondition<'a> {
    holds: &'static str,
    why: &'a str,
}

impl<'a> From<&'a protocol::Policy> for Policy<'a> {
    fn from(policy: &'a protocol::Policy) -> Self {
        let rule = |rule: &'a protocol::PolicyRule| PolicyRule {
            rule: &rule.rule,
            holds: words::holds(rule.holds),
            part: rule.part.as_deref(),
            conditions: rule
                .conditions
                .iter()
                .map(|condition| PolicyCondition {
                    holds: words::holds(condition.holds),
                    why: &condition.why,
                })
                .collect(),
        };
        Self {
            client: &policy.client,
            uid: policy.uid,
            pid: policy.pid,
            unit: policy.unit.as_deref(),
            user_unit: policy.user_unit.as_deref(),
            permitted: words::permitted(policy.whole, policy.some),
            rules: policy.rules.iter().map(rule).collect(),
            more_rules: policy.more_rules,
            notes: &policy.notes,
        }
    }
}

fn seconds(milliseconds: u64) -> u64 {
    milliseconds / 1_000
}

#[cfg(test)]
mod tests {
    use tokenbroker_client::protocol::{CredentialKind, KeyAlgorithm, Standing, State, Store, Verdict};

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
            next_credential: None,
            certificate_expires: None,
            clock_offset: None,
            explanation: Vec::new(),
        };
        assert_eq!(
            serde_json::to_string(&Status::from(&nothing)).unwrap(),
            r#"{"client":"signtext","issuer":"signaturgruppen-pp","state":"pending","renewing":true,"expires_in":null,"renew_in":null,"generation":0,"token_requests":1,"gets":0,"last_error":null,"credential":null,"next_credential":null,"certificate_expires":null,"queued":false,"outcomes":{"issued":0,"transient":0,"credential":0,"request":0},"gets_from_cache":0,"waiting":0,"narrowed":0,"clock_offset":null,"explanation":[]}"#
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
                expires: None,
            }),
            next_credential: Some(protocol::NextCredential {
                credential: protocol::CredentialStatus {
                    store: Store::EncryptedFile,
                    kind: CredentialKind::Secret,
                    version: "77aa".into(),
                    expires: Some(1_801_353_600),
                },
                refused: Some(protocol::LastError {
                    code: "invalid_client".into(),
                    message: "the credential was refused".into(),
                    next_try_in_ms: Some(300_000),
                }),
            }),
            certificate_expires: Some(951_782_400),
            clock_offset: Some(-240),
            explanation: vec!["It has a token.".into()],
        };
        assert_eq!(
            serde_json::to_string(&Status::from(&degraded)).unwrap(),
            r#"{"client":"signtext","issuer":"signaturgruppen-pp","state":"degraded","renewing":false,"expires_in":899,"renew_in":12,"generation":4,"token_requests":9,"gets":1000,"last_error":{"code":"timeout","message":"no answer within 10 s","next_try_in":12},"credential":{"store":"os-keyring","kind":"private-key","version":"5f0c","expires":null},"next_credential":{"store":"encrypted-file","kind":"secret","version":"77aa","expires":"2027-01-31T00:00:00Z","refused":{"code":"invalid_client","message":"the credential was refused","next_try_in":300}},"certificate_expires":"2000-02-29T00:00:00Z","queued":true,"outcomes":{"issued":4,"transient":3,"credential":2,"request":1},"gets_from_cache":996,"waiting":5,"narrowed":6,"clock_offset":-240,"explanation":["It has a token."]}"#
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
            standing: Standing::Next,
            created: Some(951_782_400),
            expires: Some(1_801_353_600),
        };
        assert_eq!(
            serde_json::to_string(&Credential::from(&key)).unwrap(),
            r#"{"client":"signtext","version":"5f0c","store":"encrypted-file","kind":"private-key","kid":"2026-11","algorithm":"EdDSA","created":"2000-02-29T00:00:00Z","standing":"next","expires":"2027-01-31T00:00:00Z"}"#
        );
        let known = protocol::Credential {
            store: Store::SystemdCredentials,
            standing: Standing::Current,
            created: None,
            expires: None,
            ..key
        };
        assert_eq!(
            serde_json::to_string(&Credential::from(&known)).unwrap(),
            r#"{"client":"signtext","version":"5f0c","store":"systemd-credentials","kind":"private-key","kid":"2026-11","algorithm":"EdDSA","created":null,"standing":"current","expires":null}"#
        );
    }

    #[test]
    fn a_check_has_a_verdict_and_may_have_a_remedy() {
        let shown = |verdict, remedy: Option<&str>| {
            let check = protocol::Check {
                subject: "clock".into(),
                verdict,
                finding: "it agrees".into(),
                remedy: remedy.map(str::to_owned),
            };
            serde_json::to_string(&Check::from(&check)).unwrap()
        };
        assert_eq!(
            shown(Verdict::Good, None),
            r#"{"subject":"clock","verdict":"good","finding":"it agrees","remedy":null}"#
        );
        assert!(shown(Verdict::Skipped, None).contains(r#""verdict":"skipped""#));
        assert!(shown(Verdict::Warning, Some("set it")).contains(r#""verdict":"warning""#));
        assert!(shown(Verdict::Bad, Some("set it")).ends_with(r#""remedy":"set it"}"#));
    }
}
