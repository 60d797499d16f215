//! Private keys: made, imported, used to sign. None ever leaves this crate but to a store.

mod der;
mod import;
mod public;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256,
};
use tokenbroker_secret::Secret;

use self::import::Encoding;
pub(crate) use self::public::PublicHalf;
use crate::{Algorithm, Error};

/// What an RSA key is generated with unless asked otherwise: as strong as the other two (128 bits).
const DEFAULT_RSA_BITS: u32 = 3072;

const MIN_RSA_BITS: usize = 2048;
const MAX_RSA_BITS: usize = 4096;

/// A private key and the one algorithm it is for.
pub(crate) struct PrivateKey {
    algorithm: Algorithm,
    pair: Pair,
}

enum Pair {
    Rsa(Box<rsa::KeyPair>),
    P256(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl PrivateKey {
    /// A new key. `bits` is for RSA only: 2048, 3072 or 4096.
    pub(crate) fn generate(algorithm: Algorithm, bits: Option<u32>) -> Result<Self, Error> {
        let pair = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => {
                let size = rsa_size(bits.unwrap_or(DEFAULT_RSA_BITS))?;
                rsa::KeyPair::generate(size).map(|pair| Pair::Rsa(Box::new(pair)))
            }
            Algorithm::Es256 | Algorithm::EdDsa if bits.is_some() => {
                return Err(Error::refused(format!("a key for {algorithm} has one length only"))
                    .with_hint("leave --bits out; it is for RSA keys"));
            }
            Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .map(|pair| Pair::P256(Box::new(pair))),
            Algorithm::EdDsa => Ed25519KeyPair::generate().map(|pair| Pair::Ed25519(Box::new(pair))),
        };
        let pair = pair.map_err(|_| Error::unavailable("the key could not be generated"))?;
        Ok(Self { algorithm, pair })
    }

    /// Somebody else's key in PEM. What is no such key for this algorithm is refused in words of its own.
    pub(crate) fn import(algorithm: Algorithm, pem: &Secret) -> Result<Self, Error> {
        let (encoding, der) = import::decode(pem)?;
        import::check(algorithm, encoding, &der)?;
        let pair = match encoding {
            Encoding::Pkcs8 => Pair::from_pkcs8(algorithm, &der),
            Encoding::Pkcs1 => {
                rsa::KeyPair::from_der(der.expose()).ok().map(|pair| Pair::Rsa(Box::new(pair)))
            }
        };
        let pair = pair.ok_or_else(|| {
            Error::refused("the private key is damaged: its parts do not belong together")
                .with_hint("see what `openssl pkey -check -noout -in key.pem` says of it")
        })?;
        Ok(Self { algorithm, pair })
    }

    /// A key that [`to_pkcs8`](Self::to_pkcs8) wrote.
    pub(crate) fn from_pkcs8(algorithm: Algorithm, pkcs8: &Secret) -> Result<Self, Error> {
        match Pair::from_pkcs8(algorithm, pkcs8) {
            Some(pair) => Ok(Self { algorithm, pair }),
            None => Err(Error::refused(format!("the stored key is not a key for {algorithm}"))),
        }
    }

    /// PKCS#8 version 1 in DER, which everybody reads.
    pub(crate) fn to_pkcs8(&self) -> Result<Secret, Error> {
        let written = match &self.pair {
            Pair::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(&**pair).map(|der| Secret::from(der.as_ref())),
            Pair::P256(pair) => pair.to_pkcs8v1().map(|der| Secret::from(der.as_ref())),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map(|der| Secret::from(der.as_ref())),
        };
        written.map_err(|_| Error::unavailable("the private key could not be encoded"))
    }

    /// The signature as JWS has it (RFC 7518, RFC 8037).
    pub(crate) fn sign(&self, input: &[u8]) -> Result<Vec<u8>, Error> {
        let random = SystemRandom::new();
        let signed = match &self.pair {
            Pair::Rsa(pair) => {
                let padding =
                    if self.algorithm == Algorithm::Ps256 { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, input, &mut signature).map(|()| signature)
            }
            Pair::P256(pair) => pair.sign(&random, input).map(|signature| signature.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair.try_sign(input).map(|signature| signature.as_ref().to_vec()),
        };
        signed.map_err(|_| Error::unavailable("the key could not be used to sign"))
    }

    pub(crate) fn public(&self) -> Result<PublicHalf, Error> {
        let public = match &self.pair {
            Pair::Rsa(pair) => PublicHalf::rsa(pair.public_key()),
            Pair::P256(pair) => PublicHalf::p256(pair.public_key()),
            Pair::Ed25519(pair) => PublicHalf::ed25519(pair.public_key()),
        };
        public.ok_or_else(|| Error::unavailable("the public key could not be encoded"))
    }
}

impl Pair {
    fn from_pkcs8(algorithm: Algorithm, pkcs8: &Secret) -> Option<Self> {
        let pkcs8 = pkcs8.expose();
        Some(match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => Self::Rsa(Box::new(rsa::KeyPair::from_pkcs8(pkcs8).ok()?)),
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
                Self::P256(Box::new(pair))
            }
            Algorithm::EdDsa => Self::Ed25519(Box::new(Ed25519KeyPair::from_pkcs8(pkcs8).ok()?)),
        })
    }
}

fn rsa_size(bits: u32) -> Result<rsa::KeySize, Error> {
    match bits {
        2048 => Ok(rsa::KeySize::Rsa2048),
        3072 => Ok(rsa::KeySize::Rsa3072),
        4096 => Ok(rsa::KeySize::Rsa4096),
        _ => Err(Error::refused(format!("an RSA key of {bits} bits can't be generated"))
            .with_hint("--bits takes 2048, 3072 or 4096")),
    }
}

/// The key ID to use: the one asked for, if a header can carry it, or the thumbprint (RFC 7638).
pub(crate) fn key_id(asked: Option<&str>, public: &PublicHalf) -> Result<String, Error> {
    match asked {
        None => Ok(public.thumbprint()),
        Some(kid) => check_key_id(kid).map(|()| kid.to_owned()),
    }
}

/// Refuses what is no key ID: 1 to 256 visible ASCII characters.
pub(crate) fn check_key_id(kid: &str) -> Result<(), Error> {
    if (1..=256).contains(&kid.len()) && kid.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Error::refused("a key ID takes 1 to 256 visible ASCII characters")
        .with_hint("leave --kid out for the thumbprint of the key (RFC 7638)"))
}

#[cfg(test)]
mod tests;
