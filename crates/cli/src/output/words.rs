//! The names and words of the wire's values, for programs and for people.

use std::fmt::Write as _;

use tokenbroker_client::protocol::{
    Credential, CredentialKind, Holds, KeyAlgorithm, Preset, Standing, State, Store, Verdict,
};

use crate::date;

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
        Store::SystemdCredentials => "systemd-credentials",
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

pub(crate) fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Current => "current",
        Standing::Next => "next",
        Standing::Previous => "previous",
    }
}

/// What people call it.
pub(crate) fn usage(standing: Standing) -> &'static str {
    match standing {
        Standing::Current => "in use",
        Standing::Next => "next",
        Standing::Previous => "previous",
    }
}

pub(crate) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good",
        Verdict::Skipped => "skipped",
        Verdict::Warning => "warning",
        Verdict::Bad => "bad",
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

/// A credential in a sentence: `private-key RS256 "2026-11" in encrypted-file, version 5f0c, expires 2027-01-31`.
pub(crate) fn credential(credential: &Credential) -> String {
    let mut words = kind(credential.kind).to_owned();
    if let Some(key) = credential.algorithm {
        words.push(' ');
        words.push_str(algorithm(key));
    }
    if let Some(kid) = &credential.kid {
        words.push_str(&format!(" \"{kid}\""));
    }
    words.push_str(&format!(" in {}, version {}", store(credential.store), credential.version));
    if let Some(expires) = credential.expires {
        words.push_str(&format!(", expires {}", date::day(expires)));
    }
    words
}

/// Whether a rule or a condition holds.
pub(crate) fn holds(holds: Holds) -> &'static str {
    match holds {
        Holds::No => "no",
        Holds::Depends => "depends",
        Holds::Yes => "yes",
    }
}

/// How much of a token somebody may have.
pub(crate) fn permitted(whole: Holds, some: Holds) -> &'static str {
    match (whole, some) {
        (Holds::Yes, _) => "all",
        (_, Holds::Yes) => "part",
        (_, Holds::Depends) => "depends",
        (_, Holds::No) => "nothing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_described_without_what_is_secret_in_it() {
        let mut stored = Credential {
            client: "signtext".into(),
            version: "5f0c".into(),
            store: Store::EncryptedFile,
            kind: CredentialKind::PrivateKey,
            kid: Some("2026-11".into()),
            algorithm: Some(KeyAlgorithm::Rs256),
            standing: Standing::Current,
            created: Some(0),
            expires: None,
        };
        assert_eq!(credential(&stored), "private-key RS256 \"2026-11\" in encrypted-file, version 5f0c");
        (stored.kind, stored.kid, stored.algorithm) = (CredentialKind::Secret, None, None);
        stored.store = Store::OsKeyring;
        assert_eq!(credential(&stored), "secret in os-keyring, version 5f0c");
        (stored.store, stored.expires) = (Store::SystemdCredentials, Some(1_801_353_600));
        assert_eq!(credential(&stored), "secret in systemd-credentials, version 5f0c, expires 2027-01-31");
    }
}
