//! Client assertions (RFC 7523, RFC 10070): parsed, and checked without leniency.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::jwk::PublicJwk;

const LONGEST_LIFE: u64 = 120;

/// How far the client's clock may be ahead, in seconds.
const CLOCK_SKEW: u64 = 5;

/// An assertion of which nothing is verified yet.
pub(super) struct Assertion<'a> {
    header: Header,
    claims: Claims,
    signing_input: &'a str,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: String,
    aud: Option<Value>,
    jti: Option<String>,
    iat: Option<u64>,
    exp: Option<u64>,
}

/// Who must have signed it.
#[derive(Clone, Copy)]
pub(super) enum Signer<'a> {
    Keys(&'a [PublicJwk]),
    Secret { secret: &'a str, algorithm: &'a str },
}

/// What an assertion is held against.
pub(super) struct Rules<'a> {
    pub(super) audience: &'a str,
    pub(super) typ: &'a str,
    pub(super) signer: Signer<'a>,
    /// Unix time in seconds.
    pub(super) now: u64,
}

impl<'a> Assertion<'a> {
    pub(super) fn parse(compact: &'a str) -> Option<Self> {
        let (signing_input, signature) = compact.rsplit_once('.')?;
        let (header, claims) = signing_input.split_once('.')?;
        Some(Self {
            header: part(header)?,
            claims: part(claims)?,
            signing_input,
            signature: BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// Who it says it comes from.
    pub(super) fn subject(&self) -> &str {
        &self.claims.sub
    }

    /// Its `jti`, whose single use is left to the caller; or which rule it breaks.
    pub(super) fn verify(&self, rules: &Rules<'_>) -> Result<&str, &'static str> {
        self.check_signature(rules)?;
        self.check_life(rules.now)?;
        if self.claims.iss.as_ref() != Some(&self.claims.sub) {
            return Err("iss and sub must both be the client ID");
        }
        if self.claims.aud != Some(Value::from(rules.audience)) {
            return Err("aud must be the expected audience, as one string");
        }
        self.claims.jti.as_deref().filter(|jti| !jti.is_empty()).ok_or("jti is missing")
    }

    fn check_signature(&self, rules: &Rules<'_>) -> Result<(), &'static str> {
        if self.header.typ.as_deref() != Some(rules.typ) {
            return Err("typ is not what it must be");
        }
        let (alg, input) = (self.header.alg.as_str(), self.signing_input.as_bytes());
        match rules.signer {
            Signer::Keys(keys) => {
                let kid = self.header.kid.as_ref().ok_or("kid is missing")?;
                let key = keys.iter().find(|key| key.kid == *kid).ok_or("kid is not known")?;
                let verified = key.verifies(alg, input, &self.signature);
                verified.then_some(()).ok_or("the signature does not fit the key")
            }
            Signer::Secret { secret, algorithm } => {
                let hash = mac(algorithm).filter(|_| alg == algorithm);
                let hash = hash.ok_or("alg is not the one that is registered")?;
                if secret.len() < hash.digest_algorithm().output_len() {
                    return Err("the secret is shorter than the hash");
                }
                let key = hmac::Key::new(hash, secret.as_bytes());
                hmac::verify(&key, input, &self.signature)
                    .map_err(|_| "the signature does not fit the secret")
            }
        }
    }

    fn check_life(&self, now: u64) -> Result<(), &'static str> {
        let issued = self.claims.iat.ok_or("iat is missing")?;
        let expires = self.claims.exp.ok_or("exp is missing")?;
        match () {
            () if issued > now + CLOCK_SKEW => Err("iat is in the future"),
            () if expires <= now => Err("exp is in the past"),
            () if expires.saturating_sub(issued) > LONGEST_LIFE => Err("it lives longer than 120 s"),
            () => Ok(()),
        }
    }
}

fn mac(name: &str) -> Option<hmac::Algorithm> {
    match name {
        "HS256" => Some(hmac::HMAC_SHA256),
        "HS384" => Some(hmac::HMAC_SHA384),
        "HS512" => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn part<T: DeserializeOwned>(encoded: &str) -> Option<T> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}
