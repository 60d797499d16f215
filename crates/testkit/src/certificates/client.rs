//! Certificates by which clients authenticate (RFC 8705): by an authority, or by nobody but themselves.

mod public_key;

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};

use self::public_key::PublicKey;
use super::authority;
use crate::clock;

/// An authority that certifies clients.
pub struct ClientAuthority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and the private key that belongs to it, in PEM; the key as PKCS#8.
#[derive(Clone)]
pub struct ClientCertificate {
    /// The certificate alone: an authority's own is not part of it.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

/// When a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// From an hour ago, until so long from now, in whole seconds.
    Lasts(Duration),
    /// In 2001.
    Expired,
    /// In 2096.
    NotYet,
}

impl Validity {
    /// Until tomorrow.
    pub const CURRENT: Self = Self::Lasts(Duration::from_secs(24 * 3600));
}

impl Default for ClientAuthority {
    fn default() -> Self {
        Self::new()
    }
}

impl ClientAuthority {
    /// A new one. All have the same name, and each a key of its own.
    ///
    /// # Panics
    ///
    /// If no key can be made.
    pub fn new() -> Self {
        let issuer = KeyPair::generate().and_then(|key| {
            CertifiedIssuer::self_signed(authority("tokenbroker test client authority"), key)
        });
        Self(issuer.expect("an authority can be made"))
    }

    /// Its own certificate, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a new key (ECDSA on P-256), with this common name as its whole subject and as its DNS name.
    ///
    /// # Panics
    ///
    /// If the name is not ASCII.
    pub fn issue(&self, common_name: &str, validity: Validity) -> ClientCertificate {
        let (params, key) = (client(common_name, validity), new_key());
        let certificate = params.signed_by(&key, &self.0).expect("a key of ours can be certified").pem();
        ClientCertificate { certificate, key: key.serialize_pem() }
    }

    /// The same for the public half of a key whose private half stays where it is: a SubjectPublicKeyInfo in PEM. Returns
    /// the certificate in PEM.
    ///
    /// # Panics
    ///
    /// If that is no public key of RSA, of ECDSA on P-256, P-384 or P-521, or of Ed25519; or the name is not ASCII.
    pub fn certify(&self, public_key: &str, common_name: &str, validity: Validity) -> String {
        let key = PublicKey::from_pem(public_key).expect("the key is one that can be certified");
        client(common_name, validity).signed_by(&key, &self.0).expect("a public key can be certified").pem()
    }
}

impl ClientCertificate {
    /// By no authority: signed with its own new key.
    ///
    /// # Panics
    ///
    /// If the name is not ASCII.
    pub fn self_signed(common_name: &str, validity: Validity) -> Self {
        let (params, key) = (client(common_name, validity), new_key());
        let certificate = params.self_signed(&key).expect("a key of ours can sign").pem();
        Self { certificate, key: key.serialize_pem() }
    }

    /// The certificate and then the key: what is presented in TLS.
    pub fn identity(&self) -> String {
        format!("{}{}", self.certificate, self.key)
    }

    /// The public half of its key: a SubjectPublicKeyInfo in PEM.
    ///
    /// # Panics
    ///
    /// If the key is none.
    pub fn public_key(&self) -> String {
        KeyPair::from_pem(&self.key).expect("the key is one").public_key_pem()
    }

    /// What tokens that are bound to it name in `cnf` as `x5t#S256` (RFC 8705 section 3.1).
    ///
    /// # Panics
    ///
    /// If the certificate is not PEM.
    pub fn thumbprint(&self) -> String {
        let der = der_in_base64(&self.certificate, "CERTIFICATE").next();
        let der = der.and_then(|der| BASE64_STANDARD.decode(der).ok()).expect("the certificate is PEM");
        BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, &der))
    }
}

/// What a PEM text has under this label, each as DER in base64: the form in which a JWK has certificates as `x5c`.
pub(crate) fn der_in_base64(pem: &str, label: &str) -> impl Iterator<Item = String> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let blocks: Vec<_> = pem.split(&begin).skip(1).filter_map(|block| block.split_once(&end)).collect();
    blocks.into_iter().map(|(base64, _)| base64.split_ascii_whitespace().collect())
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}

fn client(common_name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::new([common_name.into()]).expect("the name is ASCII");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = match validity {
        Validity::Lasts(duration) => {
            let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(clock::unix_seconds());
            (now - Duration::from_secs(3600), now + duration)
        }
        Validity::Expired => (date_time_ymd(2001, 1, 1), date_time_ymd(2001, 12, 31)),
        Validity::NotYet => (date_time_ymd(2096, 1, 1), date_time_ymd(2096, 12, 31)),
    };
    params
}
