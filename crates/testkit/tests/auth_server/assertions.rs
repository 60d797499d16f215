//! Requests authenticated with a signed assertion: each rule is broken once.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokenbroker_testkit::{AuthServer, Client};

use crate::http::{Answer, form, send};
use crate::keys::Key;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

#[expect(
    clippy::disallowed_methods,
    reason = "assertions name the time, and the server reads the same clock"
)]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A header and claims that break no rule.
fn proper(server: &AuthServer, algorithm: &str) -> (Value, Value) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let jti = format!("jti-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let header = json!({ "alg": algorithm, "typ": "client-authentication+jwt", "kid": "k1" });
    let claims = json!({
        "iss": "app", "sub": "app", "aud": server.issuer(), "jti": jti, "iat": now(), "exp": now() + 60,
    });
    (header, claims)
}

/// A compact JWS with exactly this header and these claims, by HMAC.
fn authenticated(secret: &str, header: &Value, claims: &Value) -> String {
    let encoded = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let input =
        format!("{}.{}", encoded(header.to_string().as_bytes()), encoded(claims.to_string().as_bytes()));
    let algorithm = match header["alg"].as_str() {
        Some("HS384") => hmac::HMAC_SHA384,
        Some("HS512") => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    let tag = hmac::sign(&hmac::Key::new(algorithm, secret.as_bytes()), input.as_bytes());
    format!("{input}.{}", encoded(tag.as_ref()))
}

async fn present(server: &AuthServer, assertion: &str) -> Answer {
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion),
    ];
    send(form(server, &fields)).await
}

#[tokio::test]
async fn every_algorithm_is_verified() {
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA"] {
        let server = AuthServer::start();
        let key = Key::generate(algorithm);
        server.register(Client::private_key_jwt("app", &key.jwk("k1").to_string()));

        let (header, claims) = proper(&server, algorithm);
        let answer = present(&server, &key.sign(&header, &claims)).await;
        assert_eq!(answer.status, 200, "{algorithm}: {answer:?}");

        let (header, claims) = proper(&server, algorithm);
        let forged = present(&server, &Key::generate(algorithm).sign(&header, &claims)).await;
        assert_eq!((forged.status, forged.error()), (401, "invalid_client"), "{algorithm}");
        assert_eq!(forged.description(), "the signature does not fit the key");
        assert_eq!((server.counts("app").accepted, server.counts("app").rejected), (1, 1));
    }
}

#[tokio::test]
async fn a_secret_must_fit_and_be_as_long_as_the_hash() {
    const LONG: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let server = AuthServer::start();
    for (algorithm, shortest) in [("HS256", 32), ("HS384", 48), ("HS512", 64)] {
        let (secret, short) = (&LONG[..shortest], &LONG[1..shortest]);
        server.register(Client::secret_jwt("app", secret, algorithm));
        let (header, claims) = proper(&server, algorithm);
        assert_eq!(
            present(&server, &authenticated(secret, &header, &claims)).await.status,
            200,
            "{algorithm}"
        );

        let (header, claims) = proper(&server, algorithm);
        let forged = present(&server, &authenticated("another", &header, &claims)).await;
        assert_eq!((forged.status, forged.error()), (401, "invalid_client"), "{algorithm}");
        assert_eq!(forged.description(), "the signature does not fit the secret");

        let another = if algorithm == "HS256" { "HS512" } else { "HS256" };
        let (header, claims) = proper(&server, another);
        let refused = present(&server, &authenticated(secret, &header, &claims)).await;
        assert_eq!(refused.description(), "alg is not the one that is registered");

        server.register(Client::secret_jwt("app", short, algorithm));
        let (header, claims) = proper(&server, algorithm);
        let refused = present(&server, &authenticated(short, &header, &claims)).await;
        assert_eq!(refused.description(), "the secret is shorter than the hash");
    }
}

#[tokio::test]
async fn the_algorithm_is_the_registered_one_if_there_is_one() {
    let server = AuthServer::start();
    let key = Key::generate("RS256");
    let mut jwk = key.jwk("k1");
    jwk["alg"] = "PS256".into();
    server.register(Client::private_key_jwt("app", &jwk.to_string()));
    for (algorithm, status) in [("RS256", 401), ("PS256", 200)] {
        let (header, claims) = proper(&server, algorithm);
        assert_eq!(present(&server, &key.sign(&header, &claims)).await.status, status, "{algorithm}");
    }
}

#[tokio::test]
async fn an_assertion_is_good_for_one_request() {
    let server = AuthServer::start();
    let key = Key::generate("ES256");
    server.register(Client::private_key_jwt("app", &key.jwk("k1").to_string()));
    let (header, claims) = proper(&server, "ES256");
    let assertion = key.sign(&header, &claims);
    assert_eq!(present(&server, &assertion).await.status, 200);
    let again = present(&server, &assertion).await;
    assert_eq!((again.status, again.description()), (401, "jti was used before"));
}

#[tokio::test]
async fn each_broken_rule_is_refused_by_name() {
    type Break = fn(&mut Value, &mut Value);
    let broken: [(&str, Break); 15] = [
        ("aud must be", |_, claims| claims["aud"] = json!([claims["aud"]])),
        ("aud must be", |_, claims| claims["aud"] = format!("{}/", claims["aud"].as_str().unwrap()).into()),
        ("aud must be", |_, claims| drop(claims.as_object_mut().unwrap().remove("aud"))),
        ("it lives longer", |_, claims| claims["exp"] = (now() + 121).into()),
        ("exp is in the past", |_, claims| claims["exp"] = (now() - 1).into()),
        ("exp is missing", |_, claims| drop(claims.as_object_mut().unwrap().remove("exp"))),
        ("iat is in the future", |_, claims| claims["iat"] = (now() + 60).into()),
        ("iat is missing", |_, claims| drop(claims.as_object_mut().unwrap().remove("iat"))),
        ("jti is missing", |_, claims| drop(claims.as_object_mut().unwrap().remove("jti"))),
        ("iss and sub", |_, claims| claims["iss"] = "another".into()),
        ("kid is missing", |header, _| drop(header.as_object_mut().unwrap().remove("kid"))),
        ("kid is not known", |header, _| header["kid"] = "k2".into()),
        ("typ is not", |header, _| header["typ"] = "JWT".into()),
        ("typ is not", |header, _| drop(header.as_object_mut().unwrap().remove("typ"))),
        ("the signature", |header, _| header["alg"] = "none".into()),
    ];
    let server = AuthServer::start();
    let key = Key::generate("EdDSA");
    server.register(Client::private_key_jwt("app", &key.jwk("k1").to_string()));
    for (words, break_rule) in broken {
        let (mut header, mut claims) = proper(&server, "EdDSA");
        break_rule(&mut header, &mut claims);
        let answer = present(&server, &key.sign(&header, &claims)).await;
        assert_eq!((answer.status, answer.error()), (401, "invalid_client"), "{words}");
        assert!(answer.description().starts_with(words), "{words}: {}", answer.description());
    }
    assert_eq!(server.counts("app").accepted, 0);
}

#[tokio::test]
async fn keys_can_be_added_while_it_runs() {
    let server = AuthServer::start();
    let (old, new) = (Key::generate("EdDSA"), Key::generate("ES256"));
    server.register(Client::private_key_jwt("app", &old.jwk("k1").to_string()));
    let (mut header, claims) = proper(&server, "ES256");
    header["kid"] = "k2".into();
    let assertion = new.sign(&header, &claims);
    assert_eq!(present(&server, &assertion).await.description(), "kid is not known");

    server.add_key("app", &json!({ "keys": [new.jwk("k2")] }).to_string());
    assert_eq!(present(&server, &assertion).await.status, 200, "a refused assertion does not use its jti up");
}

#[tokio::test]
async fn what_other_servers_want_can_be_had() {
    let server = AuthServer::builder().audience_is_token_endpoint().assertion_typ("JWT").start();
    let key = Key::generate("EdDSA");
    server.register(Client::private_key_jwt("app", &key.jwk("k1").to_string()));
    let (mut header, mut claims) = proper(&server, "EdDSA");
    header["typ"] = "JWT".into();
    assert_eq!(present(&server, &key.sign(&header, &claims)).await.status, 401);
    claims["aud"] = server.token_endpoint().into();
    assert_eq!(present(&server, &key.sign(&header, &claims)).await.status, 200);
}

#[test]
#[should_panic(expected = "it is a private key")]
fn a_private_key_can_t_be_registered() {
    let mut jwk = Key::generate("EdDSA").jwk("k1");
    jwk["d"] = "AAAA".into();
    Client::private_key_jwt("app", &jwk.to_string());
}
