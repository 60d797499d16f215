//! Certificates of clients (RFC 8705), as far as it has to be known what is in them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A certificate that a client shows in TLS, with those that lead from it to an authority.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The client's own in DER, then the others in the order in which they are sent.
    pub chain: Vec<Vec<u8>>,
    /// SubjectPublicKeyInfo in DER: whose key it is for.
    pub public_key: Vec<u8>,
    /// SHA-256 of the client's own in DER: `x5t#S256` in tokens that are bound to it.
    pub thumbprint: [u8; 32],
    /// From when it is good, in seconds since 1970 (UTC).
    pub not_before: i64,
    /// Until when it is good, in seconds since 1970 (UTC).
    pub not_after: i64,
}

impl Certificate {
    /// The thumbprint in hexadecimal digits, as `openssl x509 -fingerprint -sha256` has it without the colons.
    pub fn fingerprint(&self) -> String {
        self.thumbprint.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

/// What `certificate` of a client names. A file that can't be read is no reason to refuse the whole configuration: other
/// clients need not suffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// The file.
    pub path: PathBuf,
    /// The certificates in it, or what is wrong with it. There are two while a key is rotated.
    pub content: Result<Vec<Arc<Certificate>>, String>,
}

impl ClientCertificates {
    /// The one for this key (SubjectPublicKeyInfo in DER). Of several it is the one that is good for longest.
    pub fn for_key(&self, public_key: &[u8]) -> Option<&Arc<Certificate>> {
        let all = self.content.as_ref().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(|certificate| certificate.public_key == public_key).max_by_key(|one| one.not_after)
    }

    /// Whether all certificates of another are among these.
    pub fn include(&self, other: &Self) -> bool {
        let of = |one: &Self| one.content.clone().unwrap_or_default();
        let all = of(self);
        of(other).iter().all(|certificate| all.contains(certificate))
    }
}
