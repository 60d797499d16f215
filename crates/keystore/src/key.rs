//! Private keys: made, imported, used to sign. None ever leaves this crate but to a store.

pub(crate) mod certificate;
mod der;
mod import;
mod public;
pub(crate) mod tls;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};
use tokenbroker_secret::Secret;

use self::import::Encoding;
use self::public::Curve;
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
    Ec(Curve, Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// What an algorithm does, and so which kind of key it takes.
#[derive(Clone, Copy)]
enum Method {
    Rsa(&'static dyn RsaEncoding),
    Ecdsa(Curve, &'static EcdsaSigningAlgorithm),
    Ed25519,
}

impl Method {
    fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 => Self::Rsa(&RSA_PKCS1_SHA256),
            Algorithm::Rs384 => Self::Rsa(&RSA_PKCS1_SHA384),
            Algorithm::Rs512 => Self::Rsa(&RSA_PKCS1_SHA512),
            Algorithm::Ps256 => Self::Rsa(&RSA_PSS_SHA256),
            Algorithm::Ps384 => Self::Rsa(&RSA_PSS_SHA384),
            Algorithm::Ps512 => Self::Rsa(&RSA_PSS_SHA512),
            Algorithm::Es256 => Self::Ecdsa(Curve::P256, &ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::Es384 => Self::Ecdsa(Curve::P384, &ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::Es512 => Self::Ecdsa(Curve::P521, &ECDSA_P521_SHA512_FIXED_SIGNING),
            Algorithm::EdDsa => Self::Ed25519,
        }
    }
}

impl PrivateKey {
    /// A new key. `bits` is for RSA only: 2048, 3072 or 4096.
    pub(crate) fn generate(algorithm: Algorithm, bits: Option<u32>) -> Result<Self, Error> {
        let pair = match Method::of(algorithm) {
            Method::Rsa(_) => {
                let size = rsa_size(bits.unwrap_or(DEFAULT_RSA_BITS))?;
                rsa::KeyPair::generate(size).map(|pair| Pair::Rsa(Box::new(pair)))
            }
            _ if bits.is_some() => {
                return Err(Error::refused(format!("a key for {algorithm} has one length only"))
                    .with_hint("leave --bits out; it is for RSA keys"));
            }
            Method::Ecdsa(curve, signing) => {
                EcdsaKeyPair::generate(signing).map(|pair| Pair::Ec(curve, Box::new(pair)))
            }
            Method::Ed25519 => Ed25519KeyPair::generate().map(|pair| Pair::Ed25519(Box::new(pair))),
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

    /// The same, for whatever algorithm the key is; of those that take it, the one that servers know best.
    pub(crate) fn import_any(pem: &Secret) -> Result<Self, Error> {
        Self::import(import::usual_algorithm(pem)?, pem)
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
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
            Pair::Ec(_, pair) => pair.to_pkcs8v1().map(|der| Secret::from(der.as_ref())),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map(|der| Secret::from(der.as_ref())),
        };
        written.map_err(|_| Error::unavailable("the private key could not be encoded"))
    }

    /// The signature as JWS has it (RFC 7518, RFC 8037).
    pub(crate) fn sign(&self, input: &[u8]) -> Result<Vec<u8>, Error> {
        let random = SystemRandom::new();
        let signed = match (&self.pair, Method::of(self.algorithm)) {
            (Pair::Rsa(pair), Method::Rsa(encoding)) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, input, &mut signature).map(|()| signature)
            }
            (Pair::Ec(_, pair), _) => pair.sign(&random, input).map(|signature| signature.as_ref().to_vec()),
            (Pair::Ed25519(pair), _) => pair.try_sign(input).map(|signature| signature.as_ref().to_vec()),
            // A key is read for its algorithm.
            (Pair::Rsa(_), _) => Err(Unspecified),
        };
        signed.map_err(|_| Error::unavailable("the key could not be used to sign"))
    }

    pub(crate) fn public(&self) -> Result<PublicHalf, Error> {
        let public = match &self.pair {
            Pair::Rsa(pair) => PublicHalf::rsa(pair.public_key()),
            Pair::Ec(curve, pair) => PublicHalf::ec(*curve, pair.public_key()),
            Pair::Ed25519(pair) => PublicHalf::ed25519(pair.public_key()),
        };
        public.ok_or_else(|| Error::unavailable("the public key could not be encoded"))
    }
}

impl Pair {
    fn from_pkcs8(algorithm: Algorithm, pkcs8: &Secret) -> Option<Self> {
        let pkcs8 = pkcs8.expose();
        Some(match Method::of(algorithm) {
            Method::Rsa(_) => Self::Rsa(Box::new(rsa::KeyPair::from_pkcs8(pkcs8).ok()?)),
            Method::Ecdsa(curve, signing) => {
                Self::Ec(curve, Box::new(EcdsaKeyPair::from_pkcs8(signing, pkcs8).ok()?))
            }
            Method::Ed25519 => Self::Ed25519(Box::new(Ed25519KeyPair::from_pkcs8(pkcs8).ok()?)),
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
