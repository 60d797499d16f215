//! The fixture by itself, with hand-made requests: the daemon's tests are only as good as what it refuses.

use std::panic::{self, AssertUnwindSafe};
use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokenbroker_testkit::{Client, Counts, OidcProvider};
use url::form_urlencoded;

use crate::keys::Key;
use crate::{data, http, provider};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

#[expect(
    clippy::disallowed_methods,
    reason = "assertions name the time, and the server reads the same clock"
)]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn ask(provider: &OidcProvider, fields: &[(&str, &str)]) -> (u16, Value) {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials").extend_pairs(fields);
    let request = http(provider).post(provider.token_endpoint());
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.finish());
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

async fn present(provider: &OidcProvider, key: &Key, claims: &Value) -> (u16, Value) {
    let header = json!({ "alg": "ES256", "typ": "client-authentication+jwt", "kid": "k1" });
    let assertion = key.sign(&header, claims);
    ask(provider, &[("client_assertion_type", ASSERTION_TYPE), ("client_assertion", &assertion)]).await
}

#[tokio::test]
async fn it_takes_its_own_tokens_and_counts_token_requests() {
    let Some(provider) = provider() else { return };
    provider.register(&Client::secret_post("app", "s3cret"));

    let fields = [("client_id", "app"), ("client_secret", "s3cret"), ("scope", "signtext_api")];
    let (status, body) = ask(&provider, &fields).await;
    assert_eq!((status, &body["scope"], &body["expires_in"]), (200, &json!("signtext_api"), &json!(60)));
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(data(&provider, token).await, (200, "This is the protected data.".into()));
    assert_eq!(data(&provider, "made-up").await.0, 401);

    let wrong = ask(&provider, &[("client_id", "app"), ("client_secret", "wrong")]).await;
    assert_eq!((wrong.0, &wrong.1["error"]), (401, &json!("invalid_client")));
    assert_eq!(provider.counts("app"), Counts { requests: 2, accepted: 1, rejected: 1 });
    assert_eq!(provider.counts("nobody"), Counts::default());
}

#[tokio::test]
async fn it_is_strict_with_assertions() {
    let Some(provider) = provider() else { return };
    let key = Key::generate("ES256");
    provider.register(&Client::private_key_jwt("app", &key.jwk("k1").to_string()));
    let claims = |jti: &str| {
        json!({
            "iss": "app", "sub": "app", "aud": provider.issuer(), "jti": jti, "iat": now(), "exp": now() + 60,
        })
    };

    assert_eq!(present(&provider, &key, &claims("1")).await.0, 200);
    let again = present(&provider, &key, &claims("1")).await;
    assert_eq!((again.0, &again.1["error"]), (401, &json!("invalid_client")));

    let broken: [fn(&mut Value); 6] = [
        |claims| claims["aud"] = json!([claims["aud"]]),
        |claims| claims["aud"] = format!("{}/token", claims["aud"].as_str().unwrap()).into(),
        |claims| claims["exp"] = (now() + 300).into(),
        |claims| drop(claims.as_object_mut().unwrap().remove("exp")),
        |claims| drop(claims.as_object_mut().unwrap().remove("iat")),
        |claims| drop(claims.as_object_mut().unwrap().remove("jti")),
    ];
    for (number, break_rule) in broken.into_iter().enumerate() {
        let mut claims = claims(&format!("broken-{number}"));
        break_rule(&mut claims);
        let (status, body) = present(&provider, &key, &claims).await;
        assert_eq!((status, &body["error"]), (401, &json!("invalid_client")), "{claims}");
    }
    assert_eq!(provider.counts("app"), Counts { requests: 8, accepted: 1, rejected: 7 });
}

#[test]
fn it_refuses_a_client_that_it_does_not_understand() {
    let Some(provider) = provider() else { return };
    let register = || provider.register(&Client::secret_post("app", "a secret with a\nline break"));
    assert!(panic::catch_unwind(AssertUnwindSafe(register)).is_err());
    provider.register(&Client::secret_post("app", "a secret without"));
}
