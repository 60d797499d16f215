//! Public keys as they are registered: JWKs (RFC 7517), and the signatures they verify.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
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
    /// As an uncompressed point.
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
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
        let verified = match (&self.key, algorithm) {
            (Key::Rsa { n, e }, "RS256") => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, input, signature)
            }
            (Key::Rsa { n, e }, "PS256") => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PSS_2048_8192_SHA256, input, signature)
            }
            (Key::P256(point), "ES256") => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(input, signature)
            }
            (Key::Ed25519(point), "EdDSA") => {
                UnparsedPublicKey::new(&ED25519, point).verify(input, signature)
            }
            _ => return false,
        };
        verified.is_ok()
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
            ("EC", Some("P-256")) => {
                let point = [vec![4], decoded("x", &self.x)?, decoded("y", &self.y)?].concat();
                let sound = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point).is_ok();
                (Key::P256(point), sound)
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
