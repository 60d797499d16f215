//! Public keys as they are registered: JWKs (RFC 7517), and the signatures they verify.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    EcdsaVerificationAlgorithm, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

/// A public key with its name.
#[derive(Clone)]
pub(crate) struct PublicJwk {
    pub(crate) kid: String,
    algorithm: Option<String>,
    key: Key,
    json: Value,
}

#[derive(Clone)]
enum Key {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    Ec {
        algorithm: Ecdsa,
        /// Uncompressed.
        point: Vec<u8>,
    },
    Ed25519(Vec<u8>),
}

/// What a curve is for.
#[derive(Clone, Copy)]
struct Ecdsa {
    name: &'static str,
    verification: &'static EcdsaVerificationAlgorithm,
}

impl Ecdsa {
    fn on(curve: &str) -> Option<Self> {
        let (name, verification) = match curve {
            "P-256" => ("ES256", &ECDSA_P256_SHA256_FIXED),
            "P-384" => ("ES384", &ECDSA_P384_SHA384_FIXED),
            "P-521" => ("ES512", &ECDSA_P521_SHA512_FIXED),
            _ => return None,
        };
        Some(Self { name, verification })
    }
}

fn rsa(algorithm: &str) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        "RS256" => &RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &RSA_PSS_2048_8192_SHA256,
        "PS384" => &RSA_PSS_2048_8192_SHA384,
        "PS512" => &RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

/// Reads one JWK, or a set of them.
pub(crate) fn parse(json: &str) -> Result<Vec<PublicJwk>, String> {
    let value: Value = serde_json::from_str(json).map_err(|error| format!("not JSON: {error}"))?;
    match value.get("keys").and_then(Value::as_array) {
        Some(keys) => keys.iter().map(PublicJwk::read).collect(),
        None => Ok(vec![PublicJwk::read(&value)?]),
    }
}

impl PublicJwk {
    fn read(value: &Value) -> Result<Self, String> {
        let members = Members::deserialize(value).map_err(|error| format!("not a JWK: {error}"))?;
        if members.d.is_some() {
            return Err("it is a private key".into());
        }
        Ok(Self { key: members.key()?, kid: members.kid, algorithm: members.alg, json: value.clone() })
    }

    /// As it was registered.
    pub(crate) fn json(&self) -> &Value {
        &self.json
    }

    /// Whether this key made the signature of `input` with that algorithm (RFC 7518 section 3.1, RFC 8037).
    pub(crate) fn verifies(&self, algorithm: &str, input: &[u8], signature: &[u8]) -> bool {
        if self.algorithm.as_ref().is_some_and(|registered| registered != algorithm) {
            return false;
        }
        let verified = match &self.key {
            Key::Rsa { n, e } => rsa(algorithm)
                .map(|parameters| RsaPublicKeyComponents { n, e }.verify(parameters, input, signature)),
            Key::Ec { algorithm: Ecdsa { name, verification }, point } => (*name == algorithm)
                .then(|| UnparsedPublicKey::new(*verification, point).verify(input, signature)),
            Key::Ed25519(point) => (algorithm == "EdDSA")
                .then(|| UnparsedPublicKey::new(&ED25519, point).verify(input, signature)),
        };
        verified.is_some_and(|verified| verified.is_ok())
    }
}

#[derive(Deserialize)]
struct Members {
    kty: String,
    kid: String,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<String>,
}

impl Members {
    fn key(&self) -> Result<Key, String> {
        let (key, sound) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", None) => {
                let (n, e) = (decoded("n", &self.n)?, decoded("e", &self.e)?);
                let components = RsaPublicKeyComponents { n: &n, e: &e };
                let sound = components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).is_ok();
                (Key::Rsa { n, e }, sound)
            }
            ("EC", Some(curve)) => {
                let algorithm = Ecdsa::on(curve).ok_or_else(|| format!("curve {curve} is not known"))?;
                let point = [vec![4], decoded("x", &self.x)?, decoded("y", &self.y)?].concat();
                let sound = ParsedPublicKey::new(algorithm.verification, &point).is_ok();
                (Key::Ec { algorithm, point }, sound)
            }
            ("OKP", Some("Ed25519")) => {
                let point = decoded("x", &self.x)?;
                let sound = ParsedPublicKey::new(&ED25519, &point).is_ok();
                (Key::Ed25519(point), sound)
            }
            (kty, crv) => {
                return Err(format!("keys of kind {kty} {} are not known", crv.unwrap_or_default()));
            }
        };
        sound.then_some(key).ok_or_else(|| "its numbers are no key of that kind".into())
    }
}

fn decoded(name: &str, member: &Option<String>) -> Result<Vec<u8>, String> {
    let text = member.as_ref().ok_or_else(|| format!("{name} is missing"))?;
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("{name} is not base64url"))
}
