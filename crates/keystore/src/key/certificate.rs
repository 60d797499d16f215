//! Certificates for keys of the key store, and requests for them: the key need not leave it for that.

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    PublicKeyData, SignatureAlgorithm, SigningKey,
};
use time::{Duration, OffsetDateTime};
use tokenbroker_secret::Secret;

use super::der::{BIT_STRING, Reader, SEQUENCE};
use super::{PrivateKey, tls};
use crate::{Algorithm, CertificateForm, Error, TlsScheme};

/// A clock that is a little behind must not find the certificate to be of the future.
const BEFORE: Duration = Duration::hours(1);

/// A certificate of the key itself, or a request for an authority (RFC 2986), in PEM.
pub(crate) fn make(
    key: &PrivateKey,
    pkcs8: &Secret,
    common_name: &str,
    form: CertificateForm,
    now_unix: u64,
) -> Result<String, Error> {
    let failed = |error: rcgen::Error| Error::refused(format!("the certificate can't be made: {error}"));
    let key = Certified::new(key, pkcs8)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    match form {
        CertificateForm::Request => {
            params.serialize_request(&key).and_then(|request| request.pem()).map_err(failed)
        }
        CertificateForm::SelfSigned { days } => {
            let now =
                i64::try_from(now_unix).ok().and_then(|unix| OffsetDateTime::from_unix_timestamp(unix).ok());
            let until = now.and_then(|now| now.checked_add(Duration::days(days.into())));
            let (Some(now), Some(until)) = (now, until) else {
                return Err(Error::refused("the certificate would be good for too long")
                    .with_hint("a year is usual: --self-signed 365"));
            };
            (params.not_before, params.not_after) = (now - BEFORE, until);
            params.is_ca = IsCa::ExplicitNoCa;
            params.self_signed(&key).map(|certificate| certificate.pem()).map_err(failed)
        }
    }
}

/// A key as rcgen asks for it. It makes no copies of the private half.
struct Certified<'a> {
    key: &'a PrivateKey,
    pkcs8: &'a Secret,
    /// What is in the SubjectPublicKeyInfo as a bit string.
    public: Vec<u8>,
}

impl<'a> Certified<'a> {
    fn new(key: &'a PrivateKey, pkcs8: &'a Secret) -> Result<Self, Error> {
        let public = public_bits(key.public()?.spki()).map(<[u8]>::to_vec);
        let public = public.ok_or_else(|| Error::unavailable("the public key could not be encoded"))?;
        Ok(Self { key, pkcs8, public })
    }

    /// What an RSA key is certified with does not bind what it signs with later.
    fn scheme(&self) -> (&'static SignatureAlgorithm, TlsScheme) {
        match self.key.algorithm() {
            Algorithm::Rs256 | Algorithm::Ps256 => (&rcgen::PKCS_RSA_SHA256, TlsScheme::RsaPkcs1Sha256),
            Algorithm::Rs384 | Algorithm::Ps384 => (&rcgen::PKCS_RSA_SHA384, TlsScheme::RsaPkcs1Sha384),
            Algorithm::Rs512 | Algorithm::Ps512 => (&rcgen::PKCS_RSA_SHA512, TlsScheme::RsaPkcs1Sha512),
            Algorithm::Es256 => (&rcgen::PKCS_ECDSA_P256_SHA256, TlsScheme::EcdsaP256Sha256),
            Algorithm::Es384 => (&rcgen::PKCS_ECDSA_P384_SHA384, TlsScheme::EcdsaP384Sha384),
            Algorithm::Es512 => (&rcgen::PKCS_ECDSA_P521_SHA512, TlsScheme::EcdsaP521Sha512),
            Algorithm::EdDsa => (&rcgen::PKCS_ED25519, TlsScheme::Ed25519),
        }
    }
}

impl PublicKeyData for Certified<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.scheme().0
    }
}

impl SigningKey for Certified<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        tls::sign(self.key, self.pkcs8, self.scheme().1, message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

fn public_bits(spki: &[u8]) -> Option<&[u8]> {
    let mut info = Reader::new(spki).sequence()?;
    info.take(SEQUENCE)?;
    // Before the bits stands how many of the last byte are not used: none.
    info.take(BIT_STRING)?.strip_prefix(&[0])
}
