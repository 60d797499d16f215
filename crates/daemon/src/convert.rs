//! From the daemon's own types to the wire's, and between those of the crates it joins. Every match is exhaustive: a
//! new variant on one side does not compile until the other side has words for it.

use std::time::Duration;

use tokenbroker_core::config::{ClientName, Preset};
use tokenbroker_core::engine::{self, Granted, Party, Reason, Refusal, State};
use tokenbroker_core::narrowing::NarrowingError;
use tokenbroker_core::policy::{Caller, Explanation, Holds, Known, Subject};
use tokenbroker_core::time::Moment;
use tokenbroker_ipc::PeerIdentity;
use tokenbroker_keystore as keystore;
use tokenbroker_oauth as oauth;
use tokenbroker_protocol as wire;

use crate::clock;
use crate::shared::Report;

/// Who asks, for the policy.
pub(crate) fn caller(peer: &PeerIdentity) -> Caller<'_> {
    let PeerIdentity { uid, gid, pid: _, groups, units } = peer;
    let (unit, user_unit) = (units.system.as_deref().ok(), units.user.as_deref().ok());
    Caller { uid: *uid, gid: *gid, groups, unit, user_unit }
}

/// What the rules come to, with as many of them as one message carries.
pub(crate) fn policy(
    client: &str,
    pid: Option<u32>,
    subject: &Subject,
    explanation: Explanation,
    notes: Vec<String>,
) -> wire::Policy {
    let unit = |unit: &Known| match unit {
        Known::Is(name) => Some(name.clone()),
        Known::No(_) | Known::Depends => None,
    };
    let count = explanation.rules.len();
    let mut left = 2 * wire::MAX_EXPLANATION;
    let rules = explanation.rules.into_iter().map(|rule| wire::PolicyRule {
        rule: rule.rule,
        holds: holds(rule.holds),
        part: rule.part,
        conditions: rule
            .conditions
            .into_iter()
            .map(|condition| wire::PolicyCondition { holds: holds(condition.holds), why: condition.why })
            .collect(),
    });
    let fits = |rule: &wire::PolicyRule| {
        let conditions: usize = rule.conditions.iter().map(|condition| condition.why.len() + 4).sum();
        let length = rule.rule.len() + rule.part.as_ref().map_or(0, String::len) + conditions + 16;
        let fits = length <= left;
        left = left.saturating_sub(length);
        fits
    };
    let rules: Vec<_> = rules.take_while(fits).collect();
    wire::Policy {
        client: client.into(),
        uid: subject.uid,
        pid,
        unit: unit(&subject.unit),
        user_unit: unit(&subject.user_unit),
        whole: holds(explanation.whole),
        some: holds(explanation.some),
        more_rules: whole(count - rules.len()),
        rules,
        notes,
    }
}

fn holds(holds: Holds) -> wire::Holds {
    match holds {
        Holds::No => wire::Holds::No,
        Holds::Depends => wire::Holds::Depends,
        Holds::Yes => wire::Holds::Yes,
    }
}

/// A token as the caller gets it.
pub(crate) fn token(id: u32, granted: &Granted, now: Moment) -> wire::TokenReply<'_> {
    let Granted { handle, token, min_ttl_met } = granted;
    let expires_in = now.until(token.expires);
    wire::TokenReply {
        id,
        access_token: token.access_token.secret(),
        token_type: "Bearer",
        expires_in_ms: milliseconds(expires_in),
        serve_for_ms: milliseconds(now.until(token.serve_until)),
        answered_at_ms: milliseconds(now.since(Moment::BOOT)),
        expires_at_ms: milliseconds(clock::about_since_epoch() + expires_in),
        scope: token.scope.as_deref(),
        generation: token.generation,
        min_ttl_met: *min_ttl_met,
        handle: *handle,
    }
}

/// What callers read in the place of the key store's own words, which may name its places and other clients.
const KEY_STORE: &str = "the key store of the broker can't be used now";
const ASK: &str = "ask an administrator of the broker: `tokenbroker status` tells them more";

/// Why there is no token, as the caller reads it.
pub(crate) fn refusal(refusal: Refusal, administrator: bool, now: Moment) -> wire::Failure {
    let code = match refusal.reason {
        Reason::NoToken => wire::FailureCode::NoToken,
        Reason::Blocked => wire::FailureCode::Blocked,
        Reason::UnknownClient => wire::FailureCode::Denied,
    };
    let (message, hint) = match refusal.of_key_store && !administrator {
        true => (KEY_STORE.into(), Some(ASK.into())),
        false => (refusal.message, refusal.hint),
    };
    let next_try_in_ms = refusal.next_try.map(|next_try| milliseconds(now.until(next_try)));
    wire::Failure { code, fixed_by: refusal.fixed_by.map(party), message, hint, next_try_in_ms }
}

fn party(party: Party) -> wire::Party {
    match party {
        Party::Operator => wire::Party::Operator,
        Party::Server => wire::Party::Server,
    }
}

/// A client's state.
pub(crate) fn status(report: Report, administrator: bool) -> wire::Status {
    let Report { status, explanation } = report;
    let untold = status.last_failure.as_ref().filter(|failure| failure.is_of_key_store() && !administrator);
    let explanation = bounded(explanation.into_iter().map(|line| match untold {
        Some(failure) => without_key_store(line, failure),
        None => line,
    }));
    let next_try_in_ms = status.next_try_in.map(milliseconds);
    wire::Status {
        client: status.client.to_string(),
        issuer: status.issuer,
        state: match status.state {
            State::Pending => wire::State::Pending,
            State::Warm => wire::State::Warm,
            State::Degraded => wire::State::Degraded,
            State::Unavailable => wire::State::Unavailable,
            State::Blocked => wire::State::Blocked,
        },
        renewing: status.renewing,
        queued: status.queued,
        expires_in_ms: status.expires_in.map(milliseconds),
        renew_in_ms: status.renew_in.map(milliseconds),
        generation: status.generation,
        token_requests: status.token_requests,
        outcomes: outcomes(status.outcomes),
        gets: status.gets,
        gets_from_cache: status.gets_from_cache,
        waiting: whole(status.waiting),
        narrowed: whole(status.narrowed),
        last_error: status.last_failure.map(|failure| wire::LastError {
            code: failure.code.into(),
            message: match failure.is_of_key_store() && !administrator {
                true => KEY_STORE.into(),
                false => failure.message,
            },
            next_try_in_ms,
        }),
        credential: status.credential.as_ref().map(credential_status),
        next_credential: status.next_credential.map(|next| wire::NextCredential {
            credential: credential_status(&next.stored),
            refused: next.refused.map(|failure| wire::LastError {
                code: failure.code.into(),
                message: match failure.is_of_key_store() && !administrator {
                    true => KEY_STORE.into(),
                    false => failure.message,
                },
                next_try_in_ms: Some(milliseconds(next.next_try_in)),
            }),
        }),
        certificate_expires: status.certificate_expires,
        clock_offset: status.clock_offset,
        explanation,
    }
}

fn credential_status(stored: &engine::StoredCredential) -> wire::CredentialStatus {
    wire::CredentialStatus {
        store: match stored.store {
            engine::Store::OsKeyring => wire::Store::OsKeyring,
            engine::Store::SystemdCredentials => wire::Store::SystemdCredentials,
            engine::Store::EncryptedFile => wire::Store::EncryptedFile,
        },
        kind: match stored.kind {
            engine::CredentialKind::Secret => wire::CredentialKind::Secret,
            engine::CredentialKind::PrivateKey => wire::CredentialKind::PrivateKey,
        },
        version: stored.version.to_string(),
        expires: stored.expires,
    }
}

fn outcomes(outcomes: engine::Outcomes) -> wire::Outcomes {
    let engine::Outcomes { issued, transient, credential, request } = outcomes;
    wire::Outcomes { issued, transient, credential, request }
}

/// Words about a client without what the key store said, for those who may not read that.
fn without_key_store(line: String, failure: &engine::Failure) -> String {
    let line = line.replace(&failure.message, KEY_STORE);
    match &failure.hint {
        Some(hint) => line.replace(hint, ASK),
        None => line,
    }
}

/// As many of the lines as one message carries.
fn bounded(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut left = wire::MAX_EXPLANATION;
    let fits = |line: &String| {
        let fits = line.len() <= left;
        left = left.saturating_sub(line.len());
        fits
    };
    lines.take_while(fits).collect()
}

/// A stored credential as the administrator reads it.
pub(crate) fn credential(stored: &keystore::Stored) -> wire::Credential {
    wire::Credential {
        client: stored.client.clone(),
        version: stored.version.clone(),
        store: store_kind(stored.store),
        kind: match stored.kind {
            keystore::CredentialKind::Secret => wire::CredentialKind::Secret,
            keystore::CredentialKind::PrivateKey => wire::CredentialKind::PrivateKey,
        },
        standing: standing(stored.standing),
        kid: stored.kid.clone(),
        algorithm: stored.algorithm.map(algorithm_of_stored),
        created: stored.created,
        expires: stored.expires,
    }
}

fn standing(standing: keystore::Standing) -> wire::Standing {
    match standing {
        keystore::Standing::Current => wire::Standing::Current,
        keystore::Standing::Next => wire::Standing::Next,
        keystore::Standing::Previous => wire::Standing::Previous,
    }
}

/// How an administrator wants a credential stored.
pub(crate) fn storing(storing: wire::Storing, created: u64) -> keystore::Storing {
    let wire::Storing { as_next, expires } = storing;
    keystore::Storing { created, expires, as_next }
}

/// What is to be made for a key.
pub(crate) fn certificate_form(form: wire::CertificateForm) -> keystore::CertificateForm {
    match form {
        wire::CertificateForm::Request => keystore::CertificateForm::Request,
        wire::CertificateForm::SelfSigned { days } => keystore::CertificateForm::SelfSigned { days },
    }
}

/// What came of moving the credentials.
pub(crate) fn moved(moved: keystore::Moved) -> wire::Moved {
    let keystore::Moved { from, to, credentials, left_behind, configured } = moved;
    wire::Moved {
        from: store_kind(from),
        to: store_kind(to),
        credentials: whole(credentials),
        configured: configured.map(store_kind),
        left_behind: left_behind.into_iter().map(|(name, why)| format!("{name}: {why}")).collect(),
    }
}

/// A stored credential as the engine knows it; `None` if it is not used any more, or belongs to no client that could be
/// configured.
pub(crate) fn stored_credential(stored: &keystore::Stored) -> Option<engine::StoredCredential> {
    let is_next = match stored.standing {
        keystore::Standing::Current => false,
        keystore::Standing::Next => true,
        keystore::Standing::Previous => return None,
    };
    Some(engine::StoredCredential {
        client: ClientName::new(&stored.client)?,
        version: stored.version.as_str().into(),
        kind: match stored.kind {
            keystore::CredentialKind::Secret => engine::CredentialKind::Secret,
            keystore::CredentialKind::PrivateKey => engine::CredentialKind::PrivateKey,
        },
        store: store(stored.store),
        is_next,
        expires: stored.expires,
    })
}

/// What people call a state.
pub(crate) fn state_name(state: State) -> &'static str {
    match state {
        State::Pending => "pending",
        State::Warm => "warm",
        State::Degraded => "degraded",
        State::Unavailable => "unavailable",
        State::Blocked => "blocked",
    }
}

/// Where credentials rest, for the engine.
pub(crate) fn store(store: keystore::StoreKind) -> engine::Store {
    match store {
        keystore::StoreKind::OsKeyring => engine::Store::OsKeyring,
        keystore::StoreKind::SystemdCredentials => engine::Store::SystemdCredentials,
        keystore::StoreKind::EncryptedFile => engine::Store::EncryptedFile,
    }
}

/// The public half of a key.
pub(crate) fn public_key(key: keystore::PublicKey) -> wire::PublicKey {
    wire::PublicKey {
        standing: standing(key.standing),
        kid: key.kid,
        algorithm: algorithm_of_stored(key.algorithm),
        pem: key.pem,
        jwk: key.jwk,
    }
}

fn whole(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Why less than what is configured can't be had, as the caller reads it.
pub(crate) fn not_permitted(error: &NarrowingError) -> wire::Failure {
    wire::Failure::new(wire::FailureCode::InvalidRequest, error.to_string()).with_hint(error.hint())
}

/// Whole milliseconds, rounded down.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// An authorization server that is known by name.
pub(crate) fn preset(preset: &Preset) -> wire::Preset {
    let &Preset { name, title, tenant, settings } = preset;
    wire::Preset {
        name: name.into(),
        title: title.into(),
        tenant: tenant.map(Into::into),
        settings: settings.into(),
    }
}

/// What the key store is asked to sign with.
pub(crate) fn key_store_algorithm(algorithm: oauth::Algorithm) -> keystore::Algorithm {
    match algorithm {
        oauth::Algorithm::Rs256 => keystore::Algorithm::Rs256,
        oauth::Algorithm::Rs384 => keystore::Algorithm::Rs384,
        oauth::Algorithm::Rs512 => keystore::Algorithm::Rs512,
        oauth::Algorithm::Ps256 => keystore::Algorithm::Ps256,
        oauth::Algorithm::Ps384 => keystore::Algorithm::Ps384,
        oauth::Algorithm::Ps512 => keystore::Algorithm::Ps512,
        oauth::Algorithm::Es256 => keystore::Algorithm::Es256,
        oauth::Algorithm::Es384 => keystore::Algorithm::Es384,
        oauth::Algorithm::Es512 => keystore::Algorithm::Es512,
        oauth::Algorithm::EdDsa => keystore::Algorithm::EdDsa,
    }
}

/// What the key store is asked to authenticate with.
pub(crate) fn key_store_mac(algorithm: oauth::MacAlgorithm) -> keystore::MacAlgorithm {
    match algorithm {
        oauth::MacAlgorithm::Hs256 => keystore::MacAlgorithm::Hs256,
        oauth::MacAlgorithm::Hs384 => keystore::MacAlgorithm::Hs384,
        oauth::MacAlgorithm::Hs512 => keystore::MacAlgorithm::Hs512,
    }
}

/// What an administrator names, for the key store.
pub(crate) fn algorithm_of_key(algorithm: wire::KeyAlgorithm) -> keystore::Algorithm {
    match algorithm {
        wire::KeyAlgorithm::Rs256 => keystore::Algorithm::Rs256,
        wire::KeyAlgorithm::Rs384 => keystore::Algorithm::Rs384,
        wire::KeyAlgorithm::Rs512 => keystore::Algorithm::Rs512,
        wire::KeyAlgorithm::Ps256 => keystore::Algorithm::Ps256,
        wire::KeyAlgorithm::Ps384 => keystore::Algorithm::Ps384,
        wire::KeyAlgorithm::Ps512 => keystore::Algorithm::Ps512,
        wire::KeyAlgorithm::Es256 => keystore::Algorithm::Es256,
        wire::KeyAlgorithm::Es384 => keystore::Algorithm::Es384,
        wire::KeyAlgorithm::Es512 => keystore::Algorithm::Es512,
        wire::KeyAlgorithm::EdDsa => keystore::Algorithm::EdDsa,
    }
}

/// What a client is configured with, for the wire.
pub(crate) fn key_algorithm(algorithm: oauth::Algorithm) -> wire::KeyAlgorithm {
    algorithm_of_stored(key_store_algorithm(algorithm))
}

fn algorithm_of_stored(algorithm: keystore::Algorithm) -> wire::KeyAlgorithm {
    match algorithm {
        keystore::Algorithm::Rs256 => wire::KeyAlgorithm::Rs256,
        keystore::Algorithm::Rs384 => wire::KeyAlgorithm::Rs384,
        keystore::Algorithm::Rs512 => wire::KeyAlgorithm::Rs512,
        keystore::Algorithm::Ps256 => wire::KeyAlgorithm::Ps256,
        keystore::Algorithm::Ps384 => wire::KeyAlgorithm::Ps384,
        keystore::Algorithm::Ps512 => wire::KeyAlgorithm::Ps512,
        keystore::Algorithm::Es256 => wire::KeyAlgorithm::Es256,
        keystore::Algorithm::Es384 => wire::KeyAlgorithm::Es384,
        keystore::Algorithm::Es512 => wire::KeyAlgorithm::Es512,
        keystore::Algorithm::EdDsa => wire::KeyAlgorithm::EdDsa,
    }
}

fn store_kind(store: keystore::StoreKind) -> wire::Store {
    match store {
        keystore::StoreKind::OsKeyring => wire::Store::OsKeyring,
        keystore::StoreKind::SystemdCredentials => wire::Store::SystemdCredentials,
        keystore::StoreKind::EncryptedFile => wire::Store::EncryptedFile,
    }
}

/// Where an administrator wants credentials to rest; `None` for a place that only a newer command line knows.
pub(crate) fn store_asked_for(store: wire::Store) -> Option<keystore::StoreKind> {
    match store {
        wire::Store::OsKeyring => Some(keystore::StoreKind::OsKeyring),
        wire::Store::SystemdCredentials => Some(keystore::StoreKind::SystemdCredentials),
        wire::Store::EncryptedFile => Some(keystore::StoreKind::EncryptedFile),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(failure: Option<engine::Failure>, explanation: Vec<String>) -> Report {
        let status = engine::ClientStatus {
            client: ClientName::new("signtext").unwrap(),
            issuer: "as".into(),
            state: State::Warm,
            renewing: false,
            queued: true,
            waiting: 4,
            expires_in: Some(Duration::from_millis(1500)),
            renew_in: None,
            generation: 2,
            token_requests: 10,
            outcomes: engine::Outcomes { issued: 1, transient: 2, credential: 3, request: 4 },
            gets: 9,
            gets_from_cache: 8,
            narrowed: 7,
            clock_offset: Some(-6),
            last_failure: failure,
            next_try_in: None,
            credential: None,
            next_credential: None,
            certificate_expires: None,
        };
        Report { status, explanation }
    }

    #[test]
    fn every_count_arrives_where_it_belongs() {
        let status = status(report(None, vec!["It has a token.".into()]), false);
        assert_eq!((status.queued, status.waiting, status.narrowed), (true, 4, 7));
        assert_eq!((status.token_requests, status.gets, status.gets_from_cache), (10, 9, 8));
        let outcomes = wire::Outcomes { issued: 1, transient: 2, credential: 3, request: 4 };
        assert_eq!((status.outcomes, status.clock_offset), (outcomes, Some(-6)));
        assert_eq!(status.explanation, ["It has a token."]);
    }

    #[test]
    fn what_the_key_store_said_is_explained_to_administrators_only() {
        let failure = engine::Failure {
            code: "key_store",
            class: oauth::Class::Transient,
            message: "/var/lib/tokenbroker/credentials can't be read".into(),
            hint: Some("the entry of client mail is damaged: remove it".into()),
            retry_after: None,
        };
        let line =
            format!("It failed: {}. What to do: {}.", failure.message, failure.hint.as_deref().unwrap());
        let report = || report(Some(failure.clone()), vec!["It has a token.".into(), line.clone()]);
        assert_eq!(status(report(), true).explanation, ["It has a token.", &line]);
        let told = status(report(), false);
        assert_eq!(
            told.explanation,
            ["It has a token.", &format!("It failed: {KEY_STORE}. What to do: {ASK}.")]
        );
        let printed = format!("{told:?}");
        assert!(!printed.contains("/var/lib") && !printed.contains("mail"), "{printed}");
    }

    #[test]
    fn an_explanation_fits_a_message_with_everything_else() {
        let lines = vec!["x".repeat(1000); 100];
        let status = status(report(None, lines), true);
        assert_eq!(status.explanation.len(), wire::MAX_EXPLANATION / 1000);
        let page = wire::StatusPage { clients: vec![status], more: false, notes: Vec::new() };
        assert!(wire::encode(&wire::Reply { id: 1, response: wire::Response::Status(page) }).is_ok());
    }
}
