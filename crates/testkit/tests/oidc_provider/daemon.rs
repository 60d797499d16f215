//! The whole way: command line, daemon, oidc-provider over TLS, and the protected resource.

use std::time::Duration;

use tokenbroker_testkit::{Client, Daemon, Install, OidcProvider, wait_for};

use crate::{data, provider};

/// Ample: other tests use the same processors.
const DEADLINE: Duration = Duration::from_secs(30);

/// Every character that is special in a form, in a Basic header, or in both.
const AWKWARD_SECRET: &str = "+ : % & = s3cret";
const AWKWARD_ID: &str = "app: number 1";

/// A daemon that knows the peer and these clients, each with the keys that its table has besides the issuer.
fn start(provider: &OidcProvider, clients: &[(&str, &str)]) -> (Install, Daemon) {
    let mut config =
        format!("[issuers.peer]\nissuer = {:?}\nca_file = {:?}\n", provider.issuer(), provider.ca_file());
    for (name, keys) in clients {
        config
            .push_str(&format!("\n[clients.{name}]\nissuer = \"peer\"\nscope = \"signtext_api\"\n{keys}\n"));
    }
    let install = Install::new();
    install.config(&config);
    let daemon = install.start();
    (install, daemon)
}

async fn assert_token_is_accepted(install: &Install, provider: &OidcProvider, client: &str) {
    let token = install.cli(["get", client]).run().success();
    let answer = data(provider, token.trim_end()).await;
    assert_eq!(answer, (200, "This is the protected data.".into()), "{client}");
}

#[tokio::test]
async fn secrets_with_special_characters_work_in_the_header_and_in_the_body() {
    let Some(provider) = provider() else { return };
    for (method, client) in [
        ("client_secret_basic", Client::secret_basic(AWKWARD_ID, AWKWARD_SECRET)),
        ("client_secret_post", Client::secret_post(AWKWARD_ID, AWKWARD_SECRET)),
    ] {
        provider.register(&client);
        let before = provider.counts(AWKWARD_ID).accepted;
        let keys = format!("client_id = {AWKWARD_ID:?}\nauth = {method:?}");
        let (install, _daemon) = start(&provider, &[("app", &keys)]);
        install.cli(["secret", "set", "app"]).stdin(AWKWARD_SECRET).run().success();
        assert_token_is_accepted(&install, &provider, "app").await;
        assert_eq!(provider.counts(AWKWARD_ID).accepted, before + 1, "{method}");
        assert_eq!(provider.counts(AWKWARD_ID).rejected, 0, "{method}");
    }
}

#[tokio::test]
async fn a_generated_key_works_once_its_public_half_is_registered_whatever_the_algorithm() {
    let Some(provider) = provider() else { return };
    let algorithms =
        ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];
    let tables = algorithms.map(|algorithm| {
        let keys = format!(
            "client_id = \"id-of-{algorithm}\"\nauth = \"private_key_jwt\"\nassertion_alg = {algorithm:?}"
        );
        (algorithm, keys)
    });
    let (install, _daemon) = start(&provider, &tables.each_ref().map(|(name, keys)| (*name, keys.as_str())));

    for algorithm in algorithms {
        install.cli(["key", "generate", algorithm, "--alg", algorithm]).run().success();
        let jwk = install.cli(["key", "public", algorithm, "--format", "jwk"]).run().success();
        // The daemon has no reason to wait for the registration, and is refused before it. A renewal would share the
        // outcome of a request that is still under way.
        wait_for(DEADLINE, || {
            let status = install.status(algorithm);
            (status["token_requests"] != 0 && status["renewing"] == false).then_some(())
        })
        .unwrap();
        provider.register(&Client::private_key_jwt(&format!("id-of-{algorithm}"), &jwk));
        install.cli(["renew", algorithm]).run().success();
        assert_token_is_accepted(&install, &provider, algorithm).await;
    }
}

#[tokio::test]
async fn a_secret_authenticates_assertions_and_is_not_sent_whatever_the_algorithm() {
    const SECRET: &str = "a secret of 64 characters, which is as long as SHA-512's output. ";
    let Some(provider) = provider() else { return };
    let algorithms = ["HS256", "HS384", "HS512"];
    let tables = algorithms.map(|algorithm| {
        let id = format!("secret-of-{algorithm}");
        provider.register(&Client::secret_jwt(&id, SECRET, algorithm));
        let keys = format!("client_id = {id:?}\nauth = \"client_secret_jwt\"\nassertion_alg = {algorithm:?}");
        (algorithm, keys)
    });
    let (install, _daemon) = start(&provider, &tables.each_ref().map(|(name, keys)| (*name, keys.as_str())));
    for algorithm in algorithms {
        install.cli(["secret", "set", algorithm]).stdin(SECRET).run().success();
        assert_token_is_accepted(&install, &provider, algorithm).await;
        assert_eq!(provider.counts(&format!("secret-of-{algorithm}")).rejected, 0, "{algorithm}");
    }
    install.cli(["secret", "set", "HS256"]).stdin(format!("{SECRET}!")).run();
    let refused = install.cli(["renew", "HS256"]).run().expect(5);
    assert!(refused.stderr.contains("invalid_client"), "{refused:?}");
}

#[tokio::test]
async fn s26_a_wrong_secret_costs_two_token_requests_at_most() {
    let Some(provider) = provider() else { return };
    provider.register(&Client::secret_basic("app", "right"));
    let (install, _daemon) =
        start(&provider, &[("app", "client_id = \"app\"\nauth = \"client_secret_basic\"")]);
    install.cli(["secret", "set", "app"]).stdin("wrong").run().success();

    for _ in 0..10 {
        let refused = install.cli(["get", "app"]).run().expect(6);
        assert!(refused.stdout.is_empty(), "{refused:?}");
        assert!(refused.stderr.contains("invalid_client"), "{refused:?}");
    }
    assert!((1..=2).contains(&provider.counts("app").requests), "{:?}", provider.counts("app"));

    install.cli(["secret", "set", "app"]).stdin("right").run().success();
    assert_token_is_accepted(&install, &provider, "app").await;
}
