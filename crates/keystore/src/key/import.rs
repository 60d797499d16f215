//! What people bring when asked for a private key, told apart so that each gets the words that help.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokenbroker_secret::Secret;
use zeroize::Zeroizing;

use super::der::{INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, Reader};
use super::public::Curve;
use super::{MAX_RSA_BITS, MIN_RSA_BITS, Method};
use crate::{Algorithm, Error};

// The remedies are pipes, so that no plain key comes to lie about in a file.
const TO_PKCS8: &str =
    "convert it on the way: openssl pkcs8 -topk8 -nocrypt -in key.pem | tokenbroker key import CLIENT";
const FROM_DER: &str = "convert it on the way: openssl pkcs8 -topk8 -nocrypt -inform DER -in key.der \
                        | tokenbroker key import CLIENT";
const DECRYPT: &str =
    "decrypt it on the way: openssl pkcs8 -topk8 -nocrypt -in key.pem | tokenbroker key import CLIENT";
const DECRYPT_PKCS8: &str = "decrypt it on the way: openssl pkey -in key.pem | tokenbroker key import CLIENT";
const PLAIN_RSA: &str = "RSA-PSS takes a plain RSA key, too: openssl genpkey -algorithm RSA -pkeyopt \
                         rsa_keygen_bits:3072, or let the broker make one: tokenbroker key generate";
const FIRST_LINE: &str = "the first line of a private key should be -----BEGIN PRIVATE KEY-----";
const GENERATE: &str = "or let the broker make one: tokenbroker key generate";

/// How the private key inside the PEM is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Pkcs8,
    /// An RSAPrivateKey without a word around it that says so (RFC 8017 appendix A.1.2).
    Pkcs1,
}

/// The private key in a PEM file, in DER.
///
/// # Errors
///
/// [`Error::Refused`] for everything else, in words that never repeat any of it.
pub(super) fn decode(pem: &Secret) -> Result<(Encoding, Secret), Error> {
    let bytes = pem.expose();
    let Some(text) = str::from_utf8(bytes).ok().filter(|text| text.contains("-----BEGIN ")) else {
        return Err(not_pem(bytes));
    };
    let blocks = blocks(text)?;
    let private: Vec<_> = blocks.iter().filter(|block| block.label.contains("PRIVATE KEY")).collect();
    let block = match *private.as_slice() {
        [block] => block,
        // What it is instead, judged by the first.
        [] => return Err(blocks.first().map_or_else(malformed, |block| not_private(block.label))),
        _ => {
            return Err(
                Error::refused("there is more than one private key in it").with_hint("give one at a time")
            );
        }
    };
    let encoding = match block.label {
        "PRIVATE KEY" => Encoding::Pkcs8,
        "RSA PRIVATE KEY" if !block.has_headers => Encoding::Pkcs1,
        label => return Err(another_form(label, block.has_headers)),
    };
    Ok((encoding, block.der()?))
}

/// The algorithm that a private key in PEM is most often for.
pub(super) fn usual_algorithm(pem: &Secret) -> Result<Algorithm, Error> {
    let (encoding, der) = decode(pem)?;
    Ok(match kind_and_length(encoding, &der)?.0 {
        Kind::Ec(Curve::P256) => Algorithm::Es256,
        Kind::Ec(Curve::P384) => Algorithm::Es384,
        Kind::Ec(Curve::P521) => Algorithm::Es512,
        Kind::Ed25519 => Algorithm::EdDsa,
        // What has no algorithm is refused in words of its own.
        Kind::Rsa | Kind::RsaPss | Kind::OtherCurve | Kind::Other => Algorithm::Rs256,
    })
}

/// Refuses a key that is not one for the algorithm, or too short or too long.
pub(super) fn check(algorithm: Algorithm, encoding: Encoding, der: &Secret) -> Result<(), Error> {
    let (kind, bits) = kind_and_length(encoding, der)?;
    let needed = match Method::of(algorithm) {
        Method::Rsa(_) => Kind::Rsa,
        Method::Ecdsa(curve, _) => Kind::Ec(curve),
        Method::Ed25519 => Kind::Ed25519,
    };
    if kind == Kind::RsaPss {
        let what = "the key is restricted to RSA-PSS by its type (id-RSASSA-PSS), which is not taken";
        return Err(Error::refused(what).with_hint(PLAIN_RSA));
    }
    if kind != needed {
        return Err(Error::refused(format!(
            "it is {}, and {algorithm} takes {}",
            kind.words(),
            needed.words()
        ))
        .with_hint(format!("bring a key for {algorithm}, change assertion_alg of the client, {GENERATE}")));
    }
    match bits {
        Some(bits) if bits < MIN_RSA_BITS => Err(Error::refused(format!(
            "the RSA key has {bits} bits, and fewer than {MIN_RSA_BITS} are not safe"
        ))
        .with_hint(format!("bring a longer one, {GENERATE}"))),
        Some(bits) if bits > MAX_RSA_BITS => {
            Err(Error::refused(format!("the RSA key has {bits} bits, and at most {MAX_RSA_BITS} are taken"))
                .with_hint(format!("bring a shorter one, {GENERATE}")))
        }
        None if kind == Kind::Rsa => Err(malformed()),
        _ => Ok(()),
    }
}

/// What key it is, and of an RSA key the length in bits.
fn kind_and_length(encoding: Encoding, der: &Secret) -> Result<(Kind, Option<usize>), Error> {
    match encoding {
        Encoding::Pkcs1 => Ok((Kind::Rsa, rsa_bits(der.expose()))),
        Encoding::Pkcs8 => {
            let (kind, inner) = pkcs8(der.expose()).ok_or_else(malformed)?;
            Ok((kind, if kind == Kind::Rsa { rsa_bits(inner) } else { None }))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    RsaPss,
    Ec(Curve),
    OtherCurve,
    Ed25519,
    Other,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::Rsa => "an RSA key",
            Self::RsaPss => "an RSA-PSS key",
            Self::Ec(Curve::P256) => "a P-256 key",
            Self::Ec(Curve::P384) => "a P-384 key",
            Self::Ec(Curve::P521) => "a P-521 key",
            Self::OtherCurve => "a key on an elliptic curve that is none of P-256, P-384 and P-521",
            Self::Ed25519 => "an Ed25519 key",
            Self::Other => "a key of another kind (such as X25519, Ed448 or DSA)",
        }
    }
}

/// The kind of key in a PrivateKeyInfo (RFC 5208), and the key.
fn pkcs8(der: &[u8]) -> Option<(Kind, &[u8])> {
    let mut info = Reader::new(der).sequence()?;
    info.take(INTEGER)?;
    let mut algorithm = info.sequence()?;
    let kind = match algorithm.take(OBJECT_IDENTIFIER)? {
        // 1.2.840.113549.1.1.1, rsaEncryption
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01] => Kind::Rsa,
        // 1.2.840.113549.1.1.10, id-RSASSA-PSS
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a] => Kind::RsaPss,
        // 1.2.840.10045.2.1, id-ecPublicKey
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01] => match algorithm.take(OBJECT_IDENTIFIER) {
            // 1.2.840.10045.3.1.7, prime256v1
            Some([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]) => Kind::Ec(Curve::P256),
            // 1.3.132.0.34, secp384r1
            Some([0x2b, 0x81, 0x04, 0x00, 0x22]) => Kind::Ec(Curve::P384),
            // 1.3.132.0.35, secp521r1
            Some([0x2b, 0x81, 0x04, 0x00, 0x23]) => Kind::Ec(Curve::P521),
            _ => Kind::OtherCurve,
        },
        // 1.3.101.112, id-Ed25519
        [0x2b, 0x65, 0x70] => Kind::Ed25519,
        _ => Kind::Other,
    };
    Some((kind, info.take(OCTET_STRING)?))
}

/// The length of the modulus in an RSAPrivateKey.
fn rsa_bits(der: &[u8]) -> Option<usize> {
    let mut numbers = Reader::new(der).sequence()?;
    numbers.take(INTEGER)?;
    let modulus = numbers.positive()?;
    Some(modulus.len() * 8 - modulus.first()?.leading_zeros() as usize)
}

struct Block<'a> {
    label: &'a str,
    /// Lines like `Proc-Type: 4,ENCRYPTED` (RFC 1421), as old OpenSSL writes before what it encrypts.
    has_headers: bool,
    body: &'a str,
}

impl Block<'_> {
    fn der(&self) -> Result<Secret, Error> {
        let mut base64 = Zeroizing::new(String::with_capacity(self.body.len()));
        base64.extend(self.body.chars().filter(|character| !character.is_ascii_whitespace()));
        STANDARD.decode(base64.as_str()).map(Secret::new).map_err(|_| malformed())
    }
}

/// The blocks of a PEM file (RFC 7468); what stands between them is commentary.
fn blocks(mut text: &str) -> Result<Vec<Block<'_>>, Error> {
    let mut blocks = Vec::new();
    while let Some((_, begun)) = text.split_once("-----BEGIN ") {
        let (label, rest) = begun.split_once("-----").ok_or_else(malformed)?;
        let (body, rest) = rest.split_once("-----END ").ok_or_else(truncated)?;
        let rest =
            rest.strip_prefix(label).and_then(|rest| rest.strip_prefix("-----")).ok_or_else(truncated)?;
        blocks.push(Block { label, has_headers: body.contains(':'), body });
        text = rest;
    }
    Ok(blocks)
}

fn not_pem(bytes: &[u8]) -> Error {
    let text = bytes.trim_ascii_start();
    if text.is_empty() {
        return Error::refused("there is nothing in it").with_hint("give a private key in PEM");
    }
    if Reader::new(bytes).sequence().is_some() {
        return Error::refused("it is DER, not PEM").with_hint(FROM_DER);
    }
    if text.starts_with(b"{") {
        return Error::refused("it is JSON, perhaps a JWK; a private key in PEM is taken (PKCS#8)")
            .with_hint("write the key as PEM with the tool that made it");
    }
    if text.starts_with(b"PuTTY-User-Key-File") {
        return Error::refused("it is a key of PuTTY's")
            .with_hint("SSH keys are for SSH: tokenbroker key generate");
    }
    Error::refused("it is no private key in PEM").with_hint(FIRST_LINE)
}

fn not_private(label: &str) -> Error {
    let what = match label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => "a public key",
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => "a certificate",
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => "a certificate request",
        _ => return Error::refused("there is no private key in it").with_hint(FIRST_LINE),
    };
    Error::refused(format!("it is {what}, without the private key")).with_hint(
        "give the private key that belongs to it; the authorization server is who gets the public one",
    )
}

/// A private key, but not in a form that is taken.
fn another_form(label: &str, has_headers: bool) -> Error {
    match label {
        "ENCRYPTED PRIVATE KEY" => {
            Error::refused("the private key is encrypted with a passphrase").with_hint(DECRYPT_PKCS8)
        }
        "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "DSA PRIVATE KEY" if has_headers => {
            Error::refused("the private key is encrypted with a passphrase, in OpenSSL's old format")
                .with_hint(DECRYPT)
        }
        "EC PRIVATE KEY" => {
            Error::refused("the private key is in SEC 1 form (EC PRIVATE KEY), and PKCS#8 is taken")
                .with_hint(TO_PKCS8)
        }
        "OPENSSH PRIVATE KEY" => Error::refused("it is an SSH key in OpenSSH's own format").with_hint(
            "a key of its own is better: tokenbroker key generate; to use it all the same, convert a copy: \
             ssh-keygen -p -N '' -m PKCS8 -f copy-of-key",
        ),
        "DSA PRIVATE KEY" => Error::refused("it is a DSA key, which no algorithm takes")
            .with_hint(format!("bring another, {GENERATE}")),
        _ => Error::refused("it is a private key in a form that is not known").with_hint(TO_PKCS8),
    }
}

fn truncated() -> Error {
    Error::refused("the PEM is truncated: a BEGIN line has no END line").with_hint("give the whole file")
}

fn malformed() -> Error {
    Error::refused("it looks like PEM, but there is no readable private key in it")
        .with_hint("see what `openssl pkey -noout -in key.pem` says of it")
}
