//! Signatures for TLS handshakes.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, VerificationAlgorithm,
};

use super::*;
use crate::{CertificateForm, TlsScheme};

fn verification(scheme: TlsScheme) -> &'static dyn VerificationAlgorithm {
    match scheme {
        TlsScheme::RsaPkcs1Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        TlsScheme::RsaPkcs1Sha384 => &RSA_PKCS1_2048_8192_SHA384,
        TlsScheme::RsaPkcs1Sha512 => &RSA_PKCS1_2048_8192_SHA512,
        TlsScheme::RsaPssSha256 => &RSA_PSS_2048_8192_SHA256,
        TlsScheme::RsaPssSha384 => &RSA_PSS_2048_8192_SHA384,
        TlsScheme::RsaPssSha512 => &RSA_PSS_2048_8192_SHA512,
        TlsScheme::EcdsaP256Sha256 => &ECDSA_P256_SHA256_ASN1,
        TlsScheme::EcdsaP384Sha384 => &ECDSA_P384_SHA384_ASN1,
        TlsScheme::EcdsaP521Sha512 => &ECDSA_P521_SHA512_ASN1,
        TlsScheme::Ed25519 => &ED25519,
    }
}

#[test]
fn a_handshake_is_signed_in_every_scheme_of_the_key() {
    let fixture = Fixture::new();
    let mut store = fixture.file();
    let mut schemes = 0;
    for algorithm in
        [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::Es512, Algorithm::EdDsa]
    {
        let client = algorithm.name();
        let public = store.generate_key(client, algorithm, None, None, Storing::at(1)).unwrap();
        let [key] = store.tls_keys(client).unwrap().try_into().unwrap();
        assert_eq!(key.version, public.version);
        for scheme in key.schemes {
            let signature = store.sign_tls(client, &key.version, *scheme, b"handshake").unwrap();
            let parsed = ParsedPublicKey::new(verification(*scheme), key.public_key.as_slice()).unwrap();
            assert!(parsed.verify_sig(b"handshake", &signature).is_ok(), "{scheme:?}");
            schemes += 1;
        }
    }
    assert_eq!(schemes, 10);
}

#[test]
fn certificates_are_made_for_keys_that_stay_in_the_store() {
    let fixture = Fixture::new();
    let mut store = fixture.file();
    for algorithm in Algorithm::ALL {
        let client = algorithm.name();
        store.generate_key(client, algorithm, None, None, Storing::at(1)).unwrap();
        let form = CertificateForm::SelfSigned { days: 365 };
        let certificate = store.certificate(client, None, "client 1", form, 1_800_000_000).unwrap();
        assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----"), "{certificate}");
        let request = store.certificate(client, None, "client 1", CertificateForm::Request, 0).unwrap();
        assert!(request.starts_with("-----BEGIN CERTIFICATE REQUEST-----"), "{request}");
    }
    let next = store.generate_key("ES256", Algorithm::Es256, None, None, Storing::at(2).as_next()).unwrap();
    let [newest, _] = store.public_keys("ES256").unwrap().try_into().unwrap();
    assert_eq!(newest.kid, next.kid);
    let of = |kid| store.certificate("ES256", kid, "c", CertificateForm::Request, 0);
    assert!(of(Some(&next.kid)).is_ok());
    assert!(matches!(of(Some("another")), Err(Error::NotFound { .. })));
    assert!(store.certificate("nobody", None, "c", CertificateForm::Request, 0).is_err());
}

#[test]
fn a_key_is_asked_for_what_it_can_not_do_and_a_secret_for_a_key() {
    let fixture = Fixture::new();
    let mut store = fixture.file();
    store.generate_key("one", Algorithm::EdDsa, None, None, Storing::at(1)).unwrap();
    let [key] = store.tls_keys("one").unwrap().try_into().unwrap();
    assert!(store.sign_tls("one", &key.version, TlsScheme::RsaPssSha256, b"x").is_err());
    let gone = store.sign_tls("one", "another", TlsScheme::Ed25519, b"x");
    assert!(matches!(gone, Err(Error::NotFound { .. })));
    store.set_secret("two", &"x".into(), Storing::at(1)).unwrap();
    assert_eq!(store.tls_keys("two"), Ok(vec![]));
    store.generate_key("two", Algorithm::EdDsa, None, None, Storing::at(1).as_next()).unwrap();
    assert_eq!(store.tls_keys("two").unwrap().len(), 1, "though the credential in use is a secret");
    assert_eq!(store.tls_keys("nobody"), Ok(vec![]));
}
