//! Signatures as TLS has them (RFC 8446 section 4.2.3), for client certificates.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding,
};
use tokenbroker_secret::Secret;

use super::public::Curve;
use super::{Pair, PrivateKey};
use crate::{Error, TlsScheme};

/// The schemes that a kind of key has, the best first.
pub(crate) fn schemes(algorithm: crate::Algorithm) -> &'static [TlsScheme] {
    use crate::Algorithm as Alg;
    match algorithm {
        Alg::Rs256 | Alg::Rs384 | Alg::Rs512 | Alg::Ps256 | Alg::Ps384 | Alg::Ps512 => &[
            TlsScheme::RsaPssSha256,
            TlsScheme::RsaPssSha384,
            TlsScheme::RsaPssSha512,
            TlsScheme::RsaPkcs1Sha256,
            TlsScheme::RsaPkcs1Sha384,
            TlsScheme::RsaPkcs1Sha512,
        ],
        Alg::Es256 => &[TlsScheme::EcdsaP256Sha256],
        Alg::Es384 => &[TlsScheme::EcdsaP384Sha384],
        Alg::Es512 => &[TlsScheme::EcdsaP521Sha512],
        Alg::EdDsa => &[TlsScheme::Ed25519],
    }
}

/// Signs for a handshake; `pkcs8` is the key again, because an ECDSA key is read for one form of signature.
pub(crate) fn sign(
    key: &PrivateKey,
    pkcs8: &Secret,
    scheme: TlsScheme,
    input: &[u8],
) -> Result<Vec<u8>, Error> {
    let random = SystemRandom::new();
    let rsa = |encoding: &'static dyn RsaEncoding| match &key.pair {
        Pair::Rsa(pair) => {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &random, input, &mut signature).ok().map(|()| signature)
        }
        Pair::Ec(..) | Pair::Ed25519(_) => None,
    };
    let ecdsa = |curve: Curve| {
        let signing = match curve {
            Curve::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Curve::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            Curve::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
        };
        let pair = EcdsaKeyPair::from_pkcs8(signing, pkcs8.expose()).ok()?;
        Some(pair.sign(&random, input).ok()?.as_ref().to_vec())
    };
    let signature = match scheme {
        TlsScheme::RsaPkcs1Sha256 => rsa(&RSA_PKCS1_SHA256),
        TlsScheme::RsaPkcs1Sha384 => rsa(&RSA_PKCS1_SHA384),
        TlsScheme::RsaPkcs1Sha512 => rsa(&RSA_PKCS1_SHA512),
        TlsScheme::RsaPssSha256 => rsa(&RSA_PSS_SHA256),
        TlsScheme::RsaPssSha384 => rsa(&RSA_PSS_SHA384),
        TlsScheme::RsaPssSha512 => rsa(&RSA_PSS_SHA512),
        TlsScheme::EcdsaP256Sha256 => ecdsa(Curve::P256),
        TlsScheme::EcdsaP384Sha384 => ecdsa(Curve::P384),
        TlsScheme::EcdsaP521Sha512 => ecdsa(Curve::P521),
        TlsScheme::Ed25519 => match &key.pair {
            Pair::Ed25519(pair) => pair.try_sign(input).ok().map(|signature| signature.as_ref().to_vec()),
            Pair::Rsa(_) | Pair::Ec(..) => None,
        },
    };
    signature.ok_or_else(|| Error::unavailable("the key could not be used to sign a TLS handshake"))
}
