//! Assertions for Authlib, which takes one audience and three algorithms.

use tokenbroker_testkit::{AssertionAudience, Authlib, Client, wait_until};

use crate::{DEADLINE, Site, authlib};

/// 64 characters: as long as any hash.
const SECRET: &str = "a secret of 64 characters, which is as long as SHA-512's output. ";

/// The issuers of a site with Authlib, which differ in the audience alone.
const ISSUERS: [(&str, &str); 2] =
    [("issuer", "assertion_audience = \"issuer\""), ("endpoint", "assertion_audience = \"token-endpoint\"")];

const HS256: &str = "auth = \"client_secret_jwt\"\nassertion_alg = \"HS256\"";
const HS512: &str = "auth = \"client_secret_jwt\"\nassertion_alg = \"HS512\"";
const RS256: &str = "auth = \"private_key_jwt\"\nassertion_alg = \"RS256\"";
const ES256: &str = "auth = \"private_key_jwt\"\nassertion_alg = \"ES256\"";

/// A new key, whose public half is registered only when the daemon has tried it: it has no reason to wait.
fn generate_key(site: &Site, server: &Authlib, client: &str, algorithm: &str) {
    site.install.cli(["key", "generate", client, "--alg", algorithm]).run().success();
    let jwk = site.install.cli(["key", "public", client, "--format", "jwk"]).run().success();
    wait_until(DEADLINE, || {
        let status = site.install.status(client);
        status["token_requests"] != 0 && status["renewing"] == false
    });
    server.register(&Client::private_key_jwt(client, &jwk));
}

/// Of clients that differ in the audience alone, those of this issuer get tokens.
async fn assert_takes_only(right: &str, wrong: &str, audience: AssertionAudience) {
    let Some(server) = authlib(audience) else { return };
    let clients = [
        ("issuer-HS256", "issuer", HS256),
        ("issuer-RS256", "issuer", RS256),
        ("issuer-ES256", "issuer", ES256),
        ("endpoint-HS256", "endpoint", HS256),
        ("endpoint-RS256", "endpoint", RS256),
        ("endpoint-ES256", "endpoint", ES256),
    ];
    let site = Site::start(&server, &ISSUERS, &clients);

    for issuer in [right, wrong] {
        let client = format!("{issuer}-HS256");
        server.register(&Client::secret_jwt(&client, SECRET, "HS256"));
        site.set_secret(&client, SECRET);
    }
    site.assert_token_is_accepted(&format!("{right}-HS256")).await;
    site.assert_refused(&format!("{wrong}-HS256"), "assertion_audience");

    for algorithm in ["RS256", "ES256"] {
        let [right, wrong] = [right, wrong].map(|issuer| format!("{issuer}-{algorithm}"));
        generate_key(&site, &server, &right, algorithm);
        generate_key(&site, &server, &wrong, algorithm);
        site.install.cli(["renew", &right]).run().success();
        site.assert_token_is_accepted(&right).await;
        site.install.cli(["renew", &wrong]).run().refused(6, &["\nhint: ", "assertion_audience"]);
        site.assert_refused(&wrong, "assertion_audience");
        assert_eq!(server.counts(&wrong).accepted, 0);
    }
}

#[tokio::test]
async fn s40_where_the_issuer_is_the_audience_the_token_endpoint_is_not() {
    assert_takes_only("issuer", "endpoint", AssertionAudience::Issuer).await;
}

#[tokio::test]
async fn s40_where_the_token_endpoint_is_the_audience_the_issuer_is_not() {
    assert_takes_only("endpoint", "issuer", AssertionAudience::TokenEndpoint).await;
}

#[test]
fn an_algorithm_that_the_server_does_not_take_is_named_by_the_hint() {
    let Some(server) = authlib(AssertionAudience::Issuer) else { return };
    let site = Site::start(&server, &ISSUERS, &[("app", "issuer", HS512)]);
    server.register(&Client::secret_jwt("app", SECRET, "HS512"));
    site.set_secret("app", SECRET);
    site.assert_refused("app", "assertion_alg");
}
