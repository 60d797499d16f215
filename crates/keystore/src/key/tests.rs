//! Keys of every kind: made, written, read, used, and refused.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::key::der::Reader;

const P256: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgkzwA9Vv96/Xr/XdgJA2cPeQSJmbG72ynWYMeRklcJYmhRANC\
                    AAT6InXw2KETAlwTGieTY3LLVmJsz2iVLAQNDnZ7okbM5NBbvUu2zk9AG6gNUqHsXK5NNb7/9TmfWCKtiC0bY3z+";
const P256_WITHOUT_PUBLIC: &str =
    "MEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCCTPAD1W/3r9ev9d2AkDZw95BImZsbvbKdZgx5GSVwliQ==";
const P384: &str = "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDD7la+1idH/uq+HuikZAnYLmjJ61VP+8SIlAQMzUAz/TlftyYsm02B2\
                    Ka94x2CnKC+hZANiAASrGX4x7pz1XZpbj3F9iPeHEDDawPzgs/FlAF78oppeXASHfZW4B7pCtJbI6icf6hQCYqjhjRNpOIO9n2Zr\
                    OEuiTARSXbw21ePZyJ+s0/qwdw1/ZW/QuPBMeBCLckuyWhs=";
// Of the curve alone: no more of it is looked at.
const SECP256K1: &str = "MBkCAQAwEAYHKoZIzj0CAQYFK4EEAAoEAjAA";
const X25519: &str = "MC4CAQAwBQYDK2VuBCIEIGBDIbstEseMhnlC3An+DeQMvuFMsJ506w32cMbLxcRm";
const SEC1: &str = "MHcCAQEEIFciOX5inXBQrRcH7Ycw5jsj6e0SyBdUWMHO5OxwRgMVoAoGCCqGSM49AwEHoUQDQgAEQ9u+YbNPka+KOapzsJkq9zcK\
                    +oK1+rqPT6RLCyo9EsOUh/+QsYQog9TbhuEmrl+9tRW2EUgUhHv/20qs5Fb8qw==";

fn pem(label: &str, base64: &str) -> Secret {
    Secret::new(format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n").into_bytes())
}

fn pem_of(label: &str, der: &[u8]) -> Secret {
    pem(label, &STANDARD.encode(der))
}

fn generated(algorithm: Algorithm) -> PrivateKey {
    let bits = matches!(Method::of(algorithm), Method::Rsa(_)).then_some(2048);
    PrivateKey::generate(algorithm, bits).unwrap()
}

fn refusal(algorithm: Algorithm, pem: &Secret) -> (String, String) {
    match PrivateKey::import(algorithm, pem) {
        Err(error @ Error::Refused { .. }) => (error.message(), error.hint().unwrap_or_default().to_owned()),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it was taken"),
    }
}

/// The raw public key that aws-lc-rs verifies with.
fn raw_public(key: &PrivateKey) -> Vec<u8> {
    match &key.pair {
        Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
        Pair::Ec(_, pair) => pair.public_key().as_ref().to_vec(),
        Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
    }
}

fn member(key: &PrivateKey, name: &str) -> String {
    let jwk = key.public().unwrap().jwk(key.algorithm, "a-kid");
    let jwk: serde_json::Value = serde_json::from_str(&jwk).unwrap();
    jwk[name].as_str().unwrap_or_default().to_owned()
}

#[test]
fn signatures_of_each_algorithm_verify_and_have_the_form_of_jws() {
    let verifiers: [(&'static dyn VerificationAlgorithm, usize); 10] = [
        (&RSA_PKCS1_2048_8192_SHA256, 256),
        (&RSA_PKCS1_2048_8192_SHA384, 256),
        (&RSA_PKCS1_2048_8192_SHA512, 256),
        (&RSA_PSS_2048_8192_SHA256, 256),
        (&RSA_PSS_2048_8192_SHA384, 256),
        (&RSA_PSS_2048_8192_SHA512, 256),
        (&ECDSA_P256_SHA256_FIXED, 64),
        (&ECDSA_P384_SHA384_FIXED, 96),
        (&ECDSA_P521_SHA512_FIXED, 132),
        (&ED25519, 64),
    ];
    for (algorithm, (verifier, length)) in Algorithm::ALL.into_iter().zip(verifiers) {
        let key = generated(algorithm);
        let signature = key.sign(b"header.claims").unwrap();
        assert_eq!(signature.len(), length, "{algorithm}");
        let public = UnparsedPublicKey::new(verifier, raw_public(&key));
        assert!(public.verify(b"header.claims", &signature).is_ok(), "{algorithm}");
        assert!(public.verify(b"header.clAims", &signature).is_err(), "{algorithm}");
    }
}

#[test]
fn the_rsa_algorithms_differ() {
    let pkcs8 = generated(Algorithm::Rs256).to_pkcs8().unwrap();
    for other in [Algorithm::Ps256, Algorithm::Rs384, Algorithm::Ps512] {
        let key = PrivateKey::from_pkcs8(other, &pkcs8).unwrap();
        let signature = key.sign(b"x").unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, raw_public(&key));
        assert!(public.verify(b"x", &signature).is_err(), "{other}");
    }
}

#[test]
fn what_is_written_is_read_again_and_only_as_what_it_is() {
    for algorithm in Algorithm::ALL {
        let key = generated(algorithm);
        let pkcs8 = key.to_pkcs8().unwrap();
        let read = PrivateKey::from_pkcs8(algorithm, &pkcs8).unwrap();
        assert_eq!(read.public().unwrap(), key.public().unwrap(), "{algorithm}");
        let imported = PrivateKey::import(algorithm, &pem_of("PRIVATE KEY", pkcs8.expose())).unwrap();
        assert_eq!(imported.public().unwrap(), key.public().unwrap(), "{algorithm}");
        let other = if algorithm == Algorithm::Es256 { Algorithm::EdDsa } else { Algorithm::Es256 };
        assert!(PrivateKey::from_pkcs8(other, &pkcs8).is_err(), "{algorithm}");
    }
}

#[test]
fn rsa_keys_have_the_length_that_was_asked_for_and_3072_bits_otherwise() {
    for (asked, bytes) in [(Some(2048), 256), (None, 384)] {
        let key = PrivateKey::generate(Algorithm::Rs256, asked).unwrap();
        assert_eq!(key.sign(b"x").unwrap().len(), bytes);
    }
    for (algorithm, bits) in [(Algorithm::Rs256, 1024), (Algorithm::Ps256, 2049), (Algorithm::Es256, 256)] {
        let Err(error) = PrivateKey::generate(algorithm, Some(bits)) else { panic!("{algorithm} {bits}") };
        assert!(error.hint().unwrap().contains("--bits"), "{error:?}");
    }
}

#[test]
fn the_example_key_of_rfc_8037_appendix_a() {
    // A PKCS#8 head and the seed nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A.
    let seed = STANDARD.decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=").unwrap();
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend(seed);
    let key = PrivateKey::import(Algorithm::EdDsa, &pem_of("PRIVATE KEY", &der)).unwrap();
    assert_eq!(key.public().unwrap().thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(
        key.public().unwrap().jwk(Algorithm::EdDsa, "k"),
        "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\",\
         \"use\":\"sig\",\"alg\":\"EdDSA\",\"kid\":\"k\"}"
    );
    let signature = key.sign(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc").unwrap();
    assert_eq!(
        STANDARD.encode(signature),
        "hgyY0il/MGCjP0JzlnLWG1PPOt7+09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr/MuM0KAg=="
    );
}

#[test]
fn a_jwk_says_what_it_is_for() {
    for (algorithm, kty, curve) in [
        (Algorithm::Rs256, "RSA", ""),
        (Algorithm::Ps256, "RSA", ""),
        (Algorithm::Es256, "EC", "P-256"),
        (Algorithm::Es384, "EC", "P-384"),
        (Algorithm::Es512, "EC", "P-521"),
        (Algorithm::EdDsa, "OKP", "Ed25519"),
    ] {
        let key = generated(algorithm);
        for (name, value) in
            [("kty", kty), ("crv", curve), ("use", "sig"), ("alg", algorithm.name()), ("kid", "a-kid")]
        {
            assert_eq!(member(&key, name), value, "{algorithm} {name}");
        }
    }
    let rsa = generated(Algorithm::Rs256);
    assert_eq!(member(&rsa, "e"), "AQAB");
    assert_eq!(member(&rsa, "n").len(), 342, "256 bytes without a sign byte");
}

#[test]
fn the_public_half_in_pem_is_the_same_key() {
    for algorithm in Algorithm::ALL {
        let key = generated(algorithm);
        let pem = key.public().unwrap().pem();
        let body = pem.strip_prefix("-----BEGIN PUBLIC KEY-----\n").unwrap();
        let body = body.strip_suffix("-----END PUBLIC KEY-----\n").unwrap();
        assert!(body.lines().all(|line| line.len() <= 64));
        let spki = STANDARD.decode(body.replace('\n', "")).unwrap();
        assert!(spki.ends_with(&raw_public(&key)), "{algorithm}");
    }
}

#[test]
fn keys_of_other_programs_are_imported() {
    for base64 in [P256, P256_WITHOUT_PUBLIC] {
        let key = PrivateKey::import(Algorithm::Es256, &pem("PRIVATE KEY", base64)).unwrap();
        assert_eq!(member(&key, "x"), "-iJ18NihEwJcExonk2Nyy1ZibM9olSwEDQ52e6JGzOQ");
        assert!(PrivateKey::from_pkcs8(Algorithm::Es256, &key.to_pkcs8().unwrap()).is_ok());
    }
}

#[test]
fn a_pkcs1_key_and_one_among_other_blocks_are_imported() {
    let key = generated(Algorithm::Rs256);
    let pkcs8 = key.to_pkcs8().unwrap();
    let mut info = Reader::new(pkcs8.expose()).sequence().unwrap();
    info.take(der::INTEGER).unwrap();
    info.sequence().unwrap();
    let pkcs1 = info.take(der::OCTET_STRING).unwrap();

    let alone = pem_of("RSA PRIVATE KEY", pkcs1);
    let bundle = [b"subject=CN = x\n", pem("CERTIFICATE", "AAAA").expose(), alone.expose()].concat();
    let windows = String::from_utf8(alone.expose().to_vec()).unwrap().replace('\n', "\r\n");
    for pem in [alone, Secret::new(bundle), Secret::new(windows.into_bytes())] {
        let imported = PrivateKey::import(Algorithm::Rs256, &pem).unwrap();
        assert_eq!(imported.public().unwrap(), key.public().unwrap());
    }
}

#[test]
fn s58_what_is_not_a_plain_pkcs8_key_is_refused_with_what_to_do() {
    let legacy = format!("Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,F4C2\n\n{SEC1}");
    let sec1 = pem("EC PRIVATE KEY", SEC1);
    let with_parameters = [pem("EC PARAMETERS", "BggqhkjOPQMBBw==").expose(), sec1.expose()].concat();
    let two = [pem("PRIVATE KEY", P256).expose(), pem("PRIVATE KEY", P384).expose()].concat();
    for (brought, message, hint) in [
        (sec1, "SEC 1", "openssl pkcs8 -topk8 -nocrypt"),
        (Secret::new(with_parameters), "SEC 1", "openssl pkcs8 -topk8 -nocrypt"),
        (pem("ENCRYPTED PRIVATE KEY", "AAAA"), "encrypted with a passphrase", "openssl pkey -in"),
        (pem("RSA PRIVATE KEY", &legacy), "OpenSSL's old format", "openssl pkcs8 -topk8 -nocrypt"),
        (pem("EC PRIVATE KEY", &legacy), "OpenSSL's old format", "openssl pkcs8 -topk8 -nocrypt"),
        (pem("OPENSSH PRIVATE KEY", "AAAA"), "OpenSSH", "ssh-keygen -p"),
        (pem("DSA PRIVATE KEY", "AAAA"), "DSA", "key generate"),
        (pem("PUBLIC KEY", "AAAA"), "a public key", "private key that belongs to it"),
        (pem("CERTIFICATE", "AAAA"), "a certificate", "private key that belongs to it"),
        (pem("CERTIFICATE REQUEST", "AAAA"), "a certificate request", "private key that belongs to it"),
        (pem("X509 CRL", "AAAA"), "no private key in it", "BEGIN PRIVATE KEY"),
        (pem("SECRET PRIVATE KEY", "AAAA"), "not known", "openssl"),
        (Secret::new(two), "more than one", "one at a time"),
        (Secret::new(STANDARD.decode(P256).unwrap()), "DER", "-inform DER"),
        (Secret::from(&b"{\"kty\":\"EC\"}"[..]), "JWK", "PEM"),
        (Secret::from(&b"PuTTY-User-Key-File-3: x"[..]), "PuTTY", "key generate"),
        (Secret::from(&b" \n"[..]), "nothing in it", "PEM"),
        (Secret::from(&b"hunter2"[..]), "no private key in PEM", "BEGIN PRIVATE KEY"),
        (
            Secret::from(&b"\xff\xfe-----BEGIN PRIVATE KEY-----"[..]),
            "no private key in PEM",
            "BEGIN PRIVATE KEY",
        ),
        (Secret::from(&b"-----BEGIN PRIVATE KEY-----\nAAAA\n"[..]), "truncated", "whole file"),
        (Secret::from(&b"-----BEGIN PRIVATE KEY-----\nAA\n-----END RSA"[..]), "truncated", "whole file"),
        (pem("PRIVATE KEY", "AAAA"), "no readable private key", "openssl pkey"),
        (pem("PRIVATE KEY", "&&&&"), "no readable private key", "openssl pkey"),
        (pem("RSA PRIVATE KEY", "AAAA"), "no readable private key", "openssl pkey"),
    ] {
        let (said, advised) = refusal(Algorithm::Rs256, &brought);
        assert!(said.contains(message), "{message}: {said}");
        assert!(advised.contains(hint), "{hint}: {advised}");
    }
}

#[test]
fn s58_a_key_of_the_wrong_kind_is_refused_by_naming_both() {
    for (algorithm, base64, is, takes) in [
        (Algorithm::Rs256, P256, "a P-256 key", "RS256 takes an RSA key"),
        (Algorithm::Ps256, X25519, "another kind", "PS256 takes an RSA key"),
        (Algorithm::Es256, P384, "a P-384 key", "ES256 takes a P-256 key"),
        (Algorithm::Es512, P384, "a P-384 key", "ES512 takes a P-521 key"),
        (Algorithm::Es384, P256, "a P-256 key", "ES384 takes a P-384 key"),
        (Algorithm::Es256, SECP256K1, "none of P-256, P-384 and P-521", "ES256 takes a P-256 key"),
        (Algorithm::EdDsa, P256, "a P-256 key", "EdDSA takes an Ed25519 key"),
        (Algorithm::EdDsa, X25519, "another kind", "EdDSA takes an Ed25519 key"),
    ] {
        let (said, advised) = refusal(algorithm, &pem("PRIVATE KEY", base64));
        assert!(said.contains(is) && said.contains(takes), "{said}");
        assert!(advised.contains("assertion_alg"), "{advised}");
    }
}

/// A value of DER.
fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82, length[0], length[1]], content].concat()
}

/// An RSA key with a modulus of this many bits, and little else.
fn rsa_of(bits: usize, oid: u8) -> Secret {
    let mut modulus = vec![0; bits.div_ceil(8) + 1];
    modulus[1] = 1 << ((bits - 1) % 8);
    let key = value(der::SEQUENCE, &[value(der::INTEGER, &[0]), value(der::INTEGER, &modulus)].concat());
    let oid = value(der::OBJECT_IDENTIFIER, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, oid]);
    let algorithm = value(der::SEQUENCE, &oid);
    let info = [value(der::INTEGER, &[0]), algorithm, value(der::OCTET_STRING, &key)].concat();
    pem_of("PRIVATE KEY", &value(der::SEQUENCE, &info))
}

#[test]
fn s58_rsa_keys_that_are_too_short_or_too_long_are_refused_by_their_bits() {
    for (bits, limit) in [(512, "2048"), (1024, "2048"), (2047, "2048"), (4097, "4096"), (8192, "4096")] {
        let (said, advised) = refusal(Algorithm::Rs256, &rsa_of(bits, 1));
        assert!(said.contains(&format!("has {bits} bits")) && said.contains(limit), "{said}");
        assert!(advised.contains("key generate"), "{advised}");
    }
    let (said, _) = refusal(Algorithm::Rs256, &rsa_of(2048, 1));
    assert!(said.contains("damaged"), "of the right length, but no key: {said}");
}

#[test]
fn s58_a_key_restricted_to_pss_is_refused_with_a_way_out() {
    for algorithm in [Algorithm::Ps256, Algorithm::Rs256] {
        let (said, advised) = refusal(algorithm, &rsa_of(2048, 10));
        assert!(
            said.contains("id-RSASSA-PSS") && advised.contains("RSA-PSS takes a plain RSA key, too"),
            "{said} {advised}"
        );
    }
}

#[test]
fn s58_a_key_whose_parts_do_not_belong_together_is_refused() {
    let mut der = STANDARD.decode(P256).unwrap();
    let last = der.len() - 1;
    der[last] ^= 1;
    let (said, _) = refusal(Algorithm::Es256, &pem_of("PRIVATE KEY", &der));
    assert!(said.contains("damaged"), "{said}");
}

#[test]
fn s57_no_refusal_repeats_what_was_brought() {
    for brought in [
        &b"canary-c4n4ry"[..],
        b"-----BEGIN canary-c4n4ry-----\nAAAA\n-----END canary-c4n4ry-----",
        b"-----BEGIN canary-c4n4ry PRIVATE KEY-----\nAAAA\n-----END canary-c4n4ry PRIVATE KEY-----",
        b"-----BEGIN PRIVATE KEY-----\ncanary-c4n4ry\n-----END PRIVATE KEY-----",
        b"-----BEGIN PRIVATE KEY-----\nHeader: canary-c4n4ry\n-----END PRIVATE KEY-----",
    ] {
        let (said, advised) = refusal(Algorithm::Rs256, &Secret::from(brought));
        assert!(!format!("{said} {advised}").contains("c4n4ry"), "{said} {advised}");
    }
}

#[test]
fn key_ids_are_the_thumbprint_or_what_a_header_can_carry() {
    let public = generated(Algorithm::EdDsa).public().unwrap();
    assert_eq!(key_id(None, &public).unwrap(), public.thumbprint());
    let longest = "k".repeat(256);
    for kid in ["a", "~!{}\"\\", &longest] {
        assert_eq!(key_id(Some(kid), &public).unwrap(), kid);
    }
    for kid in ["", "a b", "é", "a\n", "\u{7f}", &"k".repeat(257)] {
        assert!(key_id(Some(kid), &public).is_err(), "{kid:?}");
    }
}
