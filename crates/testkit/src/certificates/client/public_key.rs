//! A public key as it is given to an authority: a SubjectPublicKeyInfo (RFC 5280 section 4.1).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256,
    PublicKeyData, SignatureAlgorithm,
};

use super::der_in_base64;

/// What rcgen can certify. (It would read one itself with its feature `x509-parser`, which brings second versions of crates
/// that are here already.)
pub(super) struct PublicKey {
    algorithm: &'static SignatureAlgorithm,
    bits: Vec<u8>,
}

impl PublicKey {
    pub(super) fn from_pem(pem: &str) -> Option<Self> {
        let der = BASE64_STANDARD.decode(der_in_base64(pem, "PUBLIC KEY").next()?).ok()?;
        let (info, _) = element(&der)?;
        let (_algorithm, rest) = element(info)?;
        let (bits, _) = element(rest)?;
        let (_unused_bits, bits) = bits.split_first()?;
        let known = [
            &PKCS_RSA_SHA256,
            &PKCS_ECDSA_P256_SHA256,
            &PKCS_ECDSA_P384_SHA384,
            &PKCS_ECDSA_P521_SHA512,
            &PKCS_ED25519,
        ];
        // It is what it says if that is how it would be written.
        known
            .into_iter()
            .map(|algorithm| Self { algorithm, bits: bits.to_vec() })
            .find(|key| key.subject_public_key_info() == der)
    }
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bits
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

/// The content of the first DER element, whatever its tag, and what comes after it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        _ => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;

    use super::*;

    #[test]
    fn keys_of_every_algorithm_are_read() {
        for algorithm in [
            &PKCS_RSA_SHA256,
            &PKCS_ECDSA_P256_SHA256,
            &PKCS_ECDSA_P384_SHA384,
            &PKCS_ECDSA_P521_SHA512,
            &PKCS_ED25519,
        ] {
            let pair = KeyPair::generate_for(algorithm).unwrap();
            let key = PublicKey::from_pem(&pair.public_key_pem()).unwrap();
            assert_eq!(key.subject_public_key_info(), pair.subject_public_key_info(), "{algorithm:?}");
        }
    }

    #[test]
    fn what_is_no_public_key_is_not_read() {
        let pem = KeyPair::generate().unwrap().public_key_pem();
        let lines: Vec<_> = pem.lines().collect();
        let truncated = [lines[0], &lines[1][..40], lines[3]].join("\n");
        for text in ["", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", &truncated] {
            assert!(PublicKey::from_pem(text).is_none(), "{text}");
        }
    }
}
