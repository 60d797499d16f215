//! How one credential is written down, whatever store it goes to.
//!
//! A version byte, the length of a JSON header (`u16`, little-endian), the header, and the secret bytes as
//! they are: a private key of 4096 bits with its header stays under the 2,560 bytes that Windows allows.

use serde::{Deserialize, Serialize};
use tokenbroker_secret::{Secret, SecretString};
use zeroize::Zeroizing;

use crate::{Algorithm, CredentialKind};

const VERSION: u8 = 1;

/// A credential and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// In seconds since 1970 (UTC).
    pub created: u64,
    /// Counts up with each credential of a client: the newest is found even if the clock was set back.
    pub serial: u64,
    /// When it will be worth nothing any more, in seconds since 1970 (UTC), if that was told.
    pub expires: Option<u64>,
    pub role: Role,
    pub content: Content,
}

/// What a credential is for, besides those of the same client. One that is in use is never written again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// To be used.
    Live,
    /// To be tried before the credential with this version, while there is that.
    Succeeds(String),
    /// Not to be used any more, only kept.
    Retired,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Secret(SecretString),
    Key { kid: String, algorithm: Algorithm, pkcs8: Secret },
}

impl Content {
    pub(crate) fn kind(&self) -> CredentialKind {
        match self {
            Self::Secret(_) => CredentialKind::Secret,
            Self::Key { .. } => CredentialKind::PrivateKey,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Secret(secret) => secret.expose().as_bytes(),
            Self::Key { pkcs8, .. } => pkcs8.expose(),
        }
    }
}

/// Why stored bytes are no credential to us. They are left as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("it was written by a newer tokenbroker (envelope version {version})")]
    Newer { version: u8 },
    #[error("it is damaged")]
    Damaged,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    kind: CredentialKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    algorithm: Option<Algorithm>,
    created: u64,
    serial: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    succeeds: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    retired: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Envelope {
    pub(crate) fn to_bytes(&self) -> Secret {
        let (kid, algorithm) = match &self.content {
            Content::Secret(_) => (None, None),
            Content::Key { kid, algorithm, .. } => (Some(kid.clone()), Some(*algorithm)),
        };
        let (succeeds, retired) = match &self.role {
            Role::Live => (None, false),
            Role::Succeeds(version) => (Some(version.clone()), false),
            Role::Retired => (None, true),
        };
        let kind = self.content.kind();
        let &Self { created, serial, expires, .. } = self;
        let header = Header { kind, kid, algorithm, created, serial, expires, succeeds, retired };
        // Plain data with string keys always has a JSON form, and no key ID overflows the length.
        let header = serde_json::to_vec(&header).unwrap_or_default();
        let length = u16::try_from(header.len()).unwrap_or(0);
        let content = self.content.bytes();

        let mut bytes = Zeroizing::new(Vec::with_capacity(3 + header.len() + content.len()));
        bytes.push(VERSION);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(content);
        Secret::from(bytes.as_slice())
    }

    pub(crate) fn parse(bytes: &Secret) -> Result<Self, Unreadable> {
        let (header, content) = split(bytes.expose())?;
        let content = Secret::from(content);
        let content = match (header.kind, header.kid, header.algorithm) {
            (CredentialKind::Secret, None, None) => {
                Content::Secret(content.into_text().map_err(|_| Unreadable::Damaged)?)
            }
            (CredentialKind::PrivateKey, Some(kid), Some(algorithm)) => {
                Content::Key { kid, algorithm, pkcs8: content }
            }
            _ => return Err(Unreadable::Damaged),
        };
        let role = match (header.succeeds, header.retired) {
            (None, false) => Role::Live,
            (Some(version), false) => Role::Succeeds(version),
            (None, true) => Role::Retired,
            (Some(_), true) => return Err(Unreadable::Damaged),
        };
        let Header { created, serial, expires, .. } = header;
        Ok(Self { created, serial, expires, role, content })
    }
}

/// What is in an envelope, without opening it further.
pub(crate) fn kind_of(bytes: &[u8]) -> Option<CredentialKind> {
    split(bytes).ok().map(|(header, _)| header.kind)
}

fn split(bytes: &[u8]) -> Result<(Header, &[u8]), Unreadable> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => {
            let (length, rest) = rest.split_first_chunk().ok_or(Unreadable::Damaged)?;
            let length = usize::from(u16::from_le_bytes(*length));
            let (header, content) = rest.split_at_checked(length).ok_or(Unreadable::Damaged)?;
            Ok((serde_json::from_slice(header).map_err(|_| Unreadable::Damaged)?, content))
        }
        // Versions before the first were never written.
        Some((&version, _)) if version > VERSION => Err(Unreadable::Newer { version }),
        _ => Err(Unreadable::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret() -> Envelope {
        Envelope {
            created: 1_700_000_000,
            serial: 7,
            expires: None,
            role: Role::Live,
            content: Content::Secret("s3cr:et % é".into()),
        }
    }

    fn key(length: usize) -> Envelope {
        let content = Content::Key {
            kid: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs".to_owned(),
            algorithm: Algorithm::Ps256,
            pkcs8: Secret::new(vec![0xa5; length]),
        };
        let role = Role::Succeeds("0123456789abcdef".to_owned());
        Envelope { created: 1_700_000_000, serial: 8, expires: None, role, content }
    }

    #[test]
    fn credentials_come_out_as_they_went_in() {
        let expiring = Envelope { expires: Some(1_801_353_600), role: Role::Retired, ..secret() };
        for envelope in [secret(), key(1000), expiring] {
            let bytes = envelope.to_bytes();
            assert_eq!(Envelope::parse(&bytes).as_ref(), Ok(&envelope));
            assert_eq!(kind_of(bytes.expose()), Some(envelope.content.kind()));
        }
    }

    #[test]
    fn the_form_on_disk_stays() {
        let content = || Content::Secret("x".into());
        let envelope =
            Envelope { created: 5, serial: 1, expires: None, role: Role::Live, content: content() };
        assert_eq!(
            envelope.to_bytes().expose(),
            b"\x01\x28\x00{\"kind\":\"secret\",\"created\":5,\"serial\":1}x"
        );
        let role = Role::Succeeds("ab".to_owned());
        let envelope = Envelope { created: 5, serial: 1, expires: Some(9), role, content: content() };
        assert_eq!(
            envelope.to_bytes().expose(),
            b"\x01\x44\x00{\"kind\":\"secret\",\"created\":5,\"serial\":1,\"expires\":9,\"succeeds\":\"ab\"}x"
        );
    }

    #[test]
    fn a_key_of_4096_bits_fits_what_windows_allows() {
        assert!(key(2_380).to_bytes().len() <= 2_560);
    }

    #[test]
    fn s71_a_newer_version_is_told_from_damage() {
        let with_first = |first: u8| {
            let mut bytes = secret().to_bytes().expose().to_vec();
            bytes[0] = first;
            Envelope::parse(&Secret::new(bytes))
        };
        assert_eq!(with_first(2), Err(Unreadable::Newer { version: 2 }));
        assert_eq!(with_first(0), Err(Unreadable::Damaged));
        assert_eq!(Envelope::parse(&Secret::default()), Err(Unreadable::Damaged));
    }

    #[test]
    fn a_header_that_does_not_fit_its_content_is_damage() {
        for header in [
            r#"{"kind":"secret","kid":"a","created":1,"serial":1}"#,
            r#"{"kind":"private_key","kid":"a","created":1,"serial":1}"#,
            r#"{"kind":"private_key","algorithm":"RS256","created":1,"serial":1}"#,
            r#"{"kind":"secret","created":1,"serial":1,"more":1}"#,
            r#"{"kind":"secret","created":1,"serial":1,"succeeds":"a","retired":true}"#,
            r#"{"kind":"secret"}"#,
        ] {
            let mut bytes = vec![VERSION];
            bytes.extend_from_slice(&u16::try_from(header.len()).unwrap().to_le_bytes());
            bytes.extend_from_slice(header.as_bytes());
            assert_eq!(Envelope::parse(&Secret::new(bytes)), Err(Unreadable::Damaged), "{header}");
        }
    }

    #[test]
    fn s57_nothing_secret_is_printed() {
        let printed = format!("{:?}", secret());
        assert!(!printed.contains("s3cr"), "{printed}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Envelope::parse(&Secret::new(bytes));
        }

        #[test]
        fn no_truncation_of_the_header_is_accepted(cut in 0..43_usize) {
            let bytes = secret().to_bytes();
            prop_assert!(Envelope::parse(&Secret::from(&bytes.expose()[..cut])).is_err());
        }
    }
}
