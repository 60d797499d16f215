//! What is said of clients below their table: what failed last, which credential is next, and what expires soon.

use std::time::Duration;

use tokenbroker_client::protocol::{CredentialKind, CredentialStatus, LastError, NextCredential, Status};

use crate::duration::{self, from_now};

/// From when on it is told that something expires; the daemon has the same.
const NOTICE: i64 = 30 * DAY;

const DAY: i64 = 24 * 3600;

/// What failed last, down to when it is tried again.
pub(crate) fn failure(client: &Status) -> Option<String> {
    client.last_error.as_ref().map(|error| failed(&client.client, error))
}

/// That a client has a next credential, and that what it uses expires soon or has expired.
pub(crate) fn credentials(client: &Status, now: i64) -> Vec<String> {
    let Status { client: name, credential, next_credential, certificate_expires, .. } = client;
    let mut lines = Vec::new();
    lines.extend(next_credential.as_ref().map(|next| of_next(name, next)));
    lines.extend(credential.as_ref().and_then(|used| of_expiry(name, used, next_credential.is_some(), now)));
    lines.extend(certificate_expires.and_then(|at| expires(at, now)).map(|when| {
        format!(
            "{name}: its certificate {when}: have it renewed, put the new one in its place, then tokenbroker reload"
        )
    }));
    lines
}

fn of_next(client: &str, next: &NextCredential) -> String {
    let kind = kind(next.credential.kind);
    match &next.refused {
        Some(error) => failed(&format!("{client}: its next {kind} was refused"), error),
        None => format!(
            "{client}: its next {kind} is tried with the next token request: tokenbroker renew {client}"
        ),
    }
}

fn of_expiry(client: &str, used: &CredentialStatus, has_next: bool, now: i64) -> Option<String> {
    let when = expires(i64::try_from(used.expires?).unwrap_or(i64::MAX), now)?;
    let kind = kind(used.kind);
    Some(match used.kind {
        _ if has_next => format!("{client}: its {kind} {when}; the next one is stored"),
        CredentialKind::PrivateKey => {
            format!("{client}: its {kind} {when}: tokenbroker key generate {client} --next")
        }
        _ => format!("{client}: its {kind} {when}: tokenbroker secret set {client} --next"),
    })
}

/// `expires in 12 d`, if that is soon enough to be told.
fn expires(at: i64, now: i64) -> Option<String> {
    let left = at.saturating_sub(now);
    match left {
        ..=0 => Some("has expired".to_owned()),
        DAY..=NOTICE => Some(format!("expires in {} d", left / DAY)),
        1..DAY => Some(format!("expires in {}", duration::human(Duration::from_secs(left.unsigned_abs())))),
        _ => None,
    }
}

fn kind(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Secret => "secret",
        CredentialKind::PrivateKey => "key",
        _ => "credential",
    }
}

/// `what` failed: why, and when it is tried again.
pub(crate) fn failed(what: &str, error: &LastError) -> String {
    let LastError { code, message, next_try_in_ms } = error;
    let code = if names(message, code) { String::new() } else { format!(" ({code})") };
    let next = next_try_in_ms.map(|ms| format!("; next try {}", from_now(ms))).unwrap_or_default();
    format!("{what}: {message}{code}{next}")
}

/// Whether the code is one of the message's words: of `http`, HTTP 503 says more.
fn names(message: &str, code: &str) -> bool {
    let in_a_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    message.split(|character| !in_a_word(character)).any(|word| word.eq_ignore_ascii_case(code))
}

#[cfg(test)]
mod tests {
    use tokenbroker_client::protocol::Store;

    use super::*;

    const NOW: i64 = 1_795_471_199;

    fn stored(kind: CredentialKind, expires: Option<i64>) -> CredentialStatus {
        CredentialStatus {
            store: Store::EncryptedFile,
            kind,
            version: "5f0c".into(),
            expires: expires.map(i64::unsigned_abs),
        }
    }

    fn secret_until(expires: i64) -> Option<String> {
        of_expiry("signtext", &stored(CredentialKind::Secret, Some(expires)), false, NOW)
    }

    #[test]
    fn the_code_of_an_error_is_shown_once() {
        let shown = |message: &str, code: &str| {
            failed("a", &LastError { code: code.into(), message: message.into(), next_try_in_ms: None })
        };
        let refused = "the authorization server refused the client's credential (invalid_client)";
        assert_eq!(shown(refused, "invalid_client"), format!("a: {refused}"));
        let trouble = "the authorization server has a problem of its own (HTTP 503)";
        assert_eq!(shown(trouble, "http"), format!("a: {trouble}"));
        assert_eq!(shown("it asked for tlsa records", "tls"), "a: it asked for tlsa records (tls)");
    }

    #[test]
    fn what_expires_is_told_from_thirty_days_before() {
        let said = |left| secret_until(NOW + left);
        assert_eq!(said(NOTICE + 1), None);
        let line =
            |when| Some(format!("signtext: its secret {when}: tokenbroker secret set signtext --next"));
        assert_eq!(said(NOTICE), line("expires in 30 d"));
        assert_eq!(said(13 * DAY - 1), line("expires in 12 d"));
        assert_eq!(said(DAY), line("expires in 1 d"));
        assert_eq!(said(DAY - 1), line("expires in 23 h 59 min"));
        assert_eq!(said(1), line("expires in 1 s"));
        assert_eq!(said(0), line("has expired"));
        assert_eq!(said(-NOTICE), line("has expired"));
    }

    #[test]
    fn a_time_that_no_clock_reaches_is_not_soon() {
        assert_eq!(expires(i64::MAX, -1), None);
        assert_eq!(expires(i64::MIN, NOW).as_deref(), Some("has expired"));
        let never = CredentialStatus { expires: Some(u64::MAX), ..stored(CredentialKind::Secret, None) };
        assert_eq!(of_expiry("signtext", &never, false, NOW), None);
    }

    #[test]
    fn each_credential_has_the_remedy_that_fits() {
        let soon = Some(NOW + DAY);
        assert_eq!(
            of_expiry("signtext", &stored(CredentialKind::PrivateKey, soon), false, NOW).unwrap(),
            "signtext: its key expires in 1 d: tokenbroker key generate signtext --next"
        );
        assert_eq!(
            of_expiry("signtext", &stored(CredentialKind::Secret, soon), true, NOW).unwrap(),
            "signtext: its secret expires in 1 d; the next one is stored"
        );
        assert_eq!(of_expiry("signtext", &stored(CredentialKind::Secret, None), false, NOW), None);
    }

    #[test]
    fn a_next_credential_is_to_be_tried_or_was_refused() {
        let credential = stored(CredentialKind::PrivateKey, None);
        let mut next = NextCredential { credential, refused: None };
        assert_eq!(
            of_next("signtext", &next),
            "signtext: its next key is tried with the next token request: tokenbroker renew signtext"
        );
        next.refused = Some(LastError {
            code: "invalid_client".into(),
            message: "the credential was refused".into(),
            next_try_in_ms: Some(300_000),
        });
        assert_eq!(
            of_next("signtext", &next),
            "signtext: its next key was refused: the credential was refused (invalid_client); next try in 5 min"
        );
    }
}
