//! The public half of a key in the forms that authorization servers take.

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{EcdsaPublicKey, Ed25519PublicKey, RsaSubjectPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;

use super::der::Reader;
use crate::Algorithm;

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicHalf {
    /// SubjectPublicKeyInfo in DER.
    spki: Vec<u8>,
    members: Members,
}

/// An elliptic curve (RFC 7518 section 6.2.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// The length of a coordinate, in bytes.
    fn coordinate(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// What makes the key what it is: the members that a thumbprint covers, in lexicographic order (RFC 7638).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Members {
    Rsa { e: String, kty: &'static str, n: String },
    Ec { crv: &'static str, kty: &'static str, x: String, y: String },
    Ed25519 { crv: &'static str, kty: &'static str, x: String },
}

/// A JWK for signatures (RFC 7517).
#[derive(Serialize)]
struct Jwk<'a> {
    #[serde(flatten)]
    members: &'a Members,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: Algorithm,
    kid: &'a str,
}

impl PublicHalf {
    pub(super) fn rsa(key: &RsaSubjectPublicKey) -> Option<Self> {
        // As bytes it is an RSAPublicKey (RFC 8017 appendix A.1.1): the modulus, then the exponent.
        let mut numbers = Reader::new(key.as_ref()).sequence()?;
        let (n, e) = (base64url(numbers.positive()?), base64url(numbers.positive()?));
        Self::new(key, Members::Rsa { e, kty: "RSA", n })
    }

    pub(super) fn ec(curve: Curve, key: &EcdsaPublicKey) -> Option<Self> {
        // As bytes it is an uncompressed point (SEC 1 section 2.3.3): 4, x, y.
        let (x, y) = key.as_ref().strip_prefix(&[4])?.split_at_checked(curve.coordinate())?;
        Self::new(key, Members::Ec { crv: curve.name(), kty: "EC", x: base64url(x), y: base64url(y) })
    }

    pub(super) fn ed25519(key: &Ed25519PublicKey) -> Option<Self> {
        Self::new(key, Members::Ed25519 { crv: "Ed25519", kty: "OKP", x: base64url(key.as_ref()) })
    }

    fn new(key: &impl AsDer<PublicKeyX509Der<'static>>, members: Members) -> Option<Self> {
        Some(Self { spki: key.as_der().ok()?.as_ref().to_vec(), members })
    }

    /// SubjectPublicKeyInfo in DER.
    pub(crate) fn spki(&self) -> &[u8] {
        &self.spki
    }

    pub(crate) fn pem(&self) -> String {
        let base64 = STANDARD.encode(&self.spki);
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        let mut rest = base64.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = after;
        }
        pem.push_str("-----END PUBLIC KEY-----\n");
        pem
    }

    pub(crate) fn jwk(&self, algorithm: Algorithm, kid: &str) -> String {
        json(&Jwk { members: &self.members, usage: "sig", alg: algorithm, kid })
    }

    /// RFC 7638, with SHA-256.
    pub(crate) fn thumbprint(&self) -> String {
        base64url(digest::digest(&digest::SHA256, json(&self.members).as_bytes()).as_ref())
    }
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Strings under string keys always have a JSON form.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_of_rfc_7638_section_3_1() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRX\
                 jBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqz\
                 s8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-\
                 G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let members = Members::Rsa { e: "AQAB".to_owned(), kty: "RSA", n: n.to_owned() };
        let public = PublicHalf { spki: vec![], members };
        assert_eq!(public.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn the_members_are_in_the_order_that_a_thumbprint_takes() {
        let x = || "x".to_owned();
        assert_eq!(
            json(&Members::Ec { crv: "P-256", kty: "EC", x: x(), y: x() }),
            r#"{"crv":"P-256","kty":"EC","x":"x","y":"x"}"#
        );
    }
}
