//! What a client signs to prove who it is: `private_key_jwt` and `client_secret_jwt` (RFC 7523 section 2.2, RFC 10070).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tokenbroker_secret::SecretString;

/// How long an assertion is good for, in seconds. It is used once, at once.
const LIFE: u64 = 60;

/// What an assertion says.
#[derive(Debug, Clone, Copy)]
pub struct AssertionParts<'a> {
    /// The client, which is issuer and subject in one.
    pub client_id: &'a str,
    /// Whom it is for: the issuer identifier, unless the server wants something else.
    pub audience: &'a str,
    /// What it will be signed with: the name of an [`Algorithm`](crate::Algorithm) or a
    /// [`MacAlgorithm`](crate::MacAlgorithm).
    pub alg: &'static str,
    /// Which key it will be signed with; a secret has no name.
    pub kid: Option<&'a str>,
    /// The type in the header; RFC 10070 asks for `client-authentication+jwt`.
    pub typ: &'a str,
    /// Random, and never used before: servers refuse an assertion that comes again.
    pub jti: [u8; 16],
    /// By the server's clock, in seconds since 1970 (UTC).
    pub issued_at: u64,
}

/// An assertion that waits for its signature. It lives 60 seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    signing_input: String,
}

impl Assertion {
    /// Writes header and claims. There is no `nbf`: a server whose clock is a second behind would refuse it.
    pub fn new(parts: &AssertionParts<'_>) -> Self {
        let mut header = json!({ "alg": parts.alg, "typ": parts.typ });
        if let Some(kid) = parts.kid {
            header["kid"] = kid.into();
        }
        let claims = json!({
            "iss": parts.client_id,
            "sub": parts.client_id,
            "aud": parts.audience,
            "jti": URL_SAFE_NO_PAD.encode(parts.jti),
            "iat": parts.issued_at,
            "exp": parts.issued_at.saturating_add(LIFE),
        });
        let encode = |part: serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        Self { signing_input: format!("{}.{}", encode(header), encode(claims)) }
    }

    /// What is to be signed (RFC 7515 section 5.1).
    pub fn signing_input(&self) -> &str {
        &self.signing_input
    }

    /// The signed assertion in compact form. ECDSA signatures are `r` and `s` in a row (RFC 7518 section 3.4).
    pub fn with_signature(self, signature: &[u8]) -> SecretString {
        let mut signed = self.signing_input;
        signed.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut signed);
        SecretString::new(signed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn parts() -> AssertionParts<'static> {
        AssertionParts {
            client_id: "9f1c",
            audience: "https://as.example/op",
            alg: crate::Algorithm::Es256.name(),
            kid: Some("key-1"),
            typ: "client-authentication+jwt",
            jti: *b"0123456789abcdef",
            issued_at: 1_800_000_000,
        }
    }

    fn decode(part: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn s40_header_and_claims_say_what_rfc_10070_asks_for() {
        let assertion = Assertion::new(&parts());
        let (header, claims) = assertion.signing_input().split_once('.').unwrap();
        assert_eq!(
            decode(header),
            json!({ "alg": "ES256", "typ": "client-authentication+jwt", "kid": "key-1" })
        );
        assert_eq!(
            decode(claims),
            json!({
                "iss": "9f1c",
                "sub": "9f1c",
                "aud": "https://as.example/op",
                "jti": "MDEyMzQ1Njc4OWFiY2RlZg",
                "iat": 1_800_000_000,
                "exp": 1_800_000_060,
            })
        );
    }

    #[test]
    fn s40_another_jti_is_another_assertion() {
        let again = AssertionParts { jti: *b"fedcba9876543210", ..parts() };
        assert_ne!(Assertion::new(&parts()), Assertion::new(&again));
    }

    #[test]
    fn without_a_kid_the_header_has_none() {
        let assertion = Assertion::new(&AssertionParts { kid: None, ..parts() });
        let (header, _) = assertion.signing_input().split_once('.').unwrap();
        assert_eq!(decode(header), json!({ "alg": "ES256", "typ": "client-authentication+jwt" }));
    }

    #[test]
    fn quotes_in_a_client_id_stay_inside_their_claim() {
        let assertion = Assertion::new(&AssertionParts { client_id: "a\",\"aud\":\"b", ..parts() });
        let (_, claims) = assertion.signing_input().split_once('.').unwrap();
        assert_eq!(decode(claims)["sub"], "a\",\"aud\":\"b");
        assert_eq!(decode(claims)["aud"], "https://as.example/op");
    }

    #[test]
    fn the_signature_comes_third() {
        let assertion = Assertion::new(&parts());
        let input = assertion.signing_input().to_owned();
        assert_eq!(assertion.with_signature(&[0xfb, 0xff, 0xfe]).expose(), format!("{input}.-__-"));
    }
}
