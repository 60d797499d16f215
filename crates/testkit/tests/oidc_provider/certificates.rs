//! Clients that authenticate with a certificate, and the tokens that are bound to it (RFC 8705), with hand-made requests.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokenbroker_testkit::{
    Client, ClientAuthority, ClientCertificate, Counts, OidcProvider, Validity, wait_for,
};
use tokio::runtime;

use crate::{http, http_with, provider};

/// Ample: other tests use the same processors.
const DEADLINE: Duration = Duration::from_secs(30);

async fn post(
    provider: &OidcProvider,
    certificate: Option<&ClientCertificate>,
    url: String,
    body: String,
) -> (u16, Value) {
    let request = http_with(provider, certificate).post(url);
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

/// Asks for a token as `app`, with this certificate or without one.
async fn ask(provider: &OidcProvider, certificate: Option<&ClientCertificate>) -> (u16, Value) {
    let body = "grant_type=client_credentials&client_id=app&scope=signtext_api".into();
    post(provider, certificate, provider.mtls_token_endpoint(), body).await
}

async fn token(provider: &OidcProvider, certificate: &ClientCertificate) -> String {
    let (status, body) = ask(provider, Some(certificate)).await;
    assert_eq!((status, &body["token_type"]), (200, &json!("Bearer")), "{body}");
    body["access_token"].as_str().unwrap().into()
}

#[track_caller]
fn assert_refused((status, body): (u16, Value), what: &str) {
    assert_eq!((status, &body["error"]), (401, &json!("invalid_client")), "{what}: {body}");
}

/// What the protected resource answers to this token from somebody with this certificate, or without one.
async fn data(provider: &OidcProvider, certificate: Option<&ClientCertificate>, token: &str) -> u16 {
    let request = http_with(provider, certificate).get(provider.mtls_data_url());
    request.bearer_auth(token).send().await.unwrap().status().as_u16()
}

/// The token is bound to this certificate and to no other.
async fn assert_bound(provider: &OidcProvider, certificate: &ClientCertificate, token: &str) {
    let url = provider.mtls_introspection_endpoint();
    let (_, introspected) =
        post(provider, Some(certificate), url, format!("client_id=app&token={token}")).await;
    assert_eq!(introspected["active"], true, "{introspected}");
    assert_eq!(introspected["cnf"], json!({ "x5t#S256": certificate.thumbprint() }));

    assert_eq!(data(provider, Some(certificate), token).await, 200);
    let other = provider.client_authority().issue("app", Validity::CURRENT);
    assert_eq!(data(provider, Some(&other), token).await, 401, "with another certificate");
    assert_eq!(data(provider, None, token).await, 401, "without a certificate");
    assert_eq!(crate::data(provider, token).await.0, 401, "where nobody is asked for one");
}

#[tokio::test]
async fn the_metadata_name_other_endpoints_for_clients_with_certificates() {
    let Some(provider) = provider() else { return };
    let url = format!("{}/.well-known/openid-configuration", provider.issuer());
    let response = http(&provider).get(url).send().await.unwrap();
    let metadata: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(metadata["token_endpoint"], provider.token_endpoint());
    assert_eq!(metadata["mtls_endpoint_aliases"]["token_endpoint"], provider.mtls_token_endpoint());
    assert_ne!(provider.token_endpoint(), provider.mtls_token_endpoint());
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
}

#[tokio::test]
async fn a_certificate_by_the_authority_gets_a_token_that_is_bound_to_it() {
    let Some(provider) = provider() else { return };
    provider.register(&Client::tls("app", "CN=app"));
    let certificate = provider.client_authority().issue("app", Validity::CURRENT);
    let token = token(&provider, &certificate).await;
    assert_bound(&provider, &certificate, &token).await;
    assert_eq!(provider.counts("app"), Counts { requests: 1, accepted: 1, rejected: 0 });
}

#[tokio::test]
async fn any_other_certificate_and_none_are_refused() {
    let Some(provider) = provider() else { return };
    provider.register(&Client::tls("app", "CN=app"));
    let authority = provider.client_authority();
    let wrong = [
        ("another subject", authority.issue("other", Validity::CURRENT)),
        ("another authority", ClientAuthority::new().issue("app", Validity::CURRENT)),
        ("no authority", ClientCertificate::self_signed("app", Validity::CURRENT)),
        ("expired", authority.issue("app", Validity::Expired)),
        ("not yet good", authority.issue("app", Validity::NotYet)),
    ];
    for (what, certificate) in &wrong {
        assert_refused(ask(&provider, Some(certificate)).await, what);
    }
    assert_refused(ask(&provider, None).await, "no certificate");

    let right = authority.issue("app", Validity::CURRENT);
    let body = "grant_type=client_credentials&client_id=app".into();
    let refused = post(&provider, Some(&right), provider.token_endpoint(), body).await;
    assert_refused(refused, "where nobody is asked for one");
    assert_eq!(provider.counts("app"), Counts { requests: 7, accepted: 0, rejected: 7 });
}

#[tokio::test]
async fn a_client_is_known_by_its_dns_name_as_well() {
    let Some(provider) = provider() else { return };
    provider.register(&Client::tls_dns_name("app", "app.example"));
    let authority = provider.client_authority();
    token(&provider, &authority.issue("app.example", Validity::CURRENT)).await;
    let other = authority.issue("other.example", Validity::CURRENT);
    assert_refused(ask(&provider, Some(&other)).await, "another name");
}

#[tokio::test]
async fn a_certificate_by_nobody_but_itself_is_as_good_as_its_registration() {
    let Some(provider) = provider() else { return };
    let [old, new, other] = [(); 3].map(|()| ClientCertificate::self_signed("app", Validity::CURRENT));
    provider.register(&Client::self_signed_tls("app", &old.certificate));
    let token = token(&provider, &old).await;
    assert_bound(&provider, &old, &token).await;
    for (what, certificate) in [
        ("one that is not registered", &new),
        ("one by the authority", &provider.client_authority().issue("app", Validity::CURRENT)),
    ] {
        assert_refused(ask(&provider, Some(certificate)).await, what);
    }
    assert_refused(ask(&provider, None).await, "no certificate");

    let both = format!("{}{}", old.certificate, new.certificate);
    provider.register(&Client::self_signed_tls("app", &both));
    assert_eq!(ask(&provider, Some(&old)).await.0, 200);
    assert_eq!(ask(&provider, Some(&new)).await.0, 200);
    assert_refused(ask(&provider, Some(&other)).await, "a third");
}

#[tokio::test]
async fn a_public_key_alone_is_certified_anew_and_tokens_stay_with_the_old_certificate() {
    let Some(provider) = provider() else { return };
    provider.register(&Client::tls("app", "CN=app"));
    let authority = provider.client_authority();
    let old = authority.issue("app", Validity::CURRENT);
    let certificate = authority.certify(&old.public_key(), "app", Validity::Lasts(Duration::from_secs(3600)));
    let new = ClientCertificate { certificate, key: old.key.clone() };

    let token_of_old = token(&provider, &old).await;
    let token_of_new = token(&provider, &new).await;
    assert_bound(&provider, &new, &token_of_new).await;
    assert_eq!(data(&provider, Some(&new), &token_of_old).await, 401);
}

#[test]
fn a_certificate_is_good_until_it_ends() {
    let Some(provider) = provider() else { return };
    provider.register(&Client::tls("app", "CN=app"));
    let certificate = provider.client_authority().issue("app", Validity::Lasts(Duration::from_secs(10)));
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(token(&provider, &certificate));
    let refused = wait_for(DEADLINE, || {
        let answer = runtime.block_on(ask(&provider, Some(&certificate)));
        (answer.0 != 200).then_some(answer)
    });
    assert_refused(refused.unwrap(), "when it has ended");
}
