//! The names and words of the wire's values, for programs and for people.

use std::fmt::Write as _;

use time::{Duration, OffsetDateTime};
use tokenbroker_client::protocol::{Credential, CredentialKind, KeyAlgorithm, Preset, State, Store};

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
        KeyAlgorithm::Rs384 => "RS384",
        KeyAlgorithm::Rs512 => "RS512",
        KeyAlgorithm::Ps256 => "PS256",
        KeyAlgorithm::Ps384 => "PS384",
        KeyAlgorithm::Ps512 => "PS512",
        KeyAlgorithm::Es256 => "ES256",
        KeyAlgorithm::Es384 => "ES384",
        KeyAlgorithm::Es512 => "ES512",
        KeyAlgorithm::EdDsa => "EdDSA",
    }
}

/// An authorization server that is known by name, as it is written into a configuration.
pub(crate) fn preset(preset: &Preset) -> String {
    let Preset { name, title, tenant, settings } = preset;
    let mut text = format!("# {title}\n[issuers.{name}]\npreset = \"{name}\"\n");
    if let Some(tenant) = tenant {
        let _infallible = writeln!(text, "tenant = \"...\"    # {tenant}");
    }
    for line in settings.lines() {
        let _infallible = writeln!(text, "#{line}");
    }
    text
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
    use super::*;

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
