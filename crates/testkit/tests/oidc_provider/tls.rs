//! The daemon with clients that authenticate with a certificate (RFC 8705), whose key stays in its key store.

use std::fs;
use std::path::{Path, PathBuf};

use tokenbroker_testkit::{Client, ClientCertificate, Daemon, Install, OidcProvider, Output, Validity};

use crate::{http_with, provider};

/// A daemon with the clients `app`, which shows a certificate, and `other`, which has a secret.
struct Site {
    _daemon: Daemon,
    install: Install,
    provider: OidcProvider,
}

impl Site {
    fn start(provider: OidcProvider, auth: &str) -> Self {
        let install = Install::new();
        let (issuer, ca_file) = (provider.issuer(), provider.ca_file());
        install.config(&format!(
            "[issuers.peer]\nissuer = {issuer:?}\nca_file = {ca_file:?}\n\
             [clients.app]\nissuer = \"peer\"\nclient_id = \"app\"\nauth = {auth:?}\nscope = \"signtext_api\"\n\
             certificate = \"client.pem\"\n\
             [clients.other]\nissuer = \"peer\"\nclient_id = \"other\"\nauth = \"client_secret_post\"\n"
        ));
        provider.register(&Client::secret_post("other", "s3cret"));
        let daemon = install.start();
        install.cli(["secret", "set", "other"]).stdin("s3cret").run().success();
        Self { _daemon: daemon, install, provider }
    }

    fn certificate_file(&self) -> PathBuf {
        self.install.path().join("client.pem")
    }

    /// Puts certificates where the configuration names them.
    fn put(&self, pem: &str) {
        fs::write(self.certificate_file(), pem).unwrap();
        self.cli(&["reload"]);
    }

    fn import(&self, certificate: &ClientCertificate) {
        self.install.cli(["key", "import", "app"]).stdin(&certificate.key).run().success();
    }

    fn cli(&self, arguments: &[&str]) -> String {
        self.install.cli(arguments).run().success()
    }

    fn token(&self) -> String {
        self.cli(&["get", "app"]).trim_end().to_owned()
    }

    fn refused(&self) -> Output {
        self.install.cli(["get", "app"]).run().expect(6)
    }

    /// What the resource answers to somebody with this certificate and this token.
    async fn data(&self, certificate: Option<&ClientCertificate>, token: &str) -> u16 {
        let request = http_with(&self.provider, certificate).get(self.provider.mtls_data_url());
        request.bearer_auth(token).send().await.unwrap().status().as_u16()
    }
}

#[tokio::test]
async fn a_token_got_with_a_certificate_is_bound_to_it() {
    let Some(provider) = provider() else { return };
    provider.register(&Client::tls("app", "CN=app"));
    let certificate = provider.client_authority().issue("app", Validity::CURRENT);
    let site = Site::start(provider, "tls_client_auth");
    site.import(&certificate);
    site.put(&certificate.certificate);

    let token = site.token();
    assert_eq!(site.data(Some(&certificate), &token).await, 200);
    assert_eq!(site.data(None, &token).await, 401, "it is worth nothing without the certificate");
    let counts = site.provider.counts("app");
    assert_eq!(
        (counts.requests, counts.accepted),
        (1, 1),
        "at the endpoint of mtls_endpoint_aliases, and at once"
    );

    let status = site.install.status("app");
    assert_eq!(status["credential"]["kind"], "private-key");
    assert!(status["certificate_expires"].is_string(), "{status}");
}

#[tokio::test]
async fn a_generated_key_is_certified_by_an_authority_without_leaving_the_key_store() {
    let Some(provider) = provider() else { return };
    provider.register(&Client::tls("app", "CN=app"));
    let site = Site::start(provider, "tls_client_auth");
    for algorithm in ["ES256", "ES384", "RS256", "EdDSA"] {
        site.cli(&["key", "generate", "app", "--alg", algorithm]);
        let request = site.cli(&["key", "certificate", "app", "--request"]);
        assert!(request.starts_with("-----BEGIN CERTIFICATE REQUEST-----"), "{request}");
        let public = site.cli(&["key", "public", "app"]);
        site.put(&site.provider.client_authority().certify(&public, "app", Validity::CURRENT));
        site.cli(&["renew", "app"]);
        site.token();
    }
    assert_eq!(site.provider.counts("app").rejected, 0);
    let files = fs::read_dir(site.install.path()).unwrap().map(|entry| entry.unwrap().path());
    let has_private_key = |path: &Path| {
        path.is_file() && String::from_utf8_lossy(&fs::read(path).unwrap()).contains("PRIVATE KEY")
    };
    assert!(!files.into_iter().any(|path| has_private_key(&path)));
}

#[tokio::test]
async fn a_certificate_that_the_key_signs_itself_is_registered_and_taken() {
    let Some(provider) = provider() else { return };
    let site = Site::start(provider, "self_signed_tls_client_auth");
    site.cli(&["key", "generate", "app"]);
    let certificate = site.cli(&["key", "certificate", "app", "--self-signed", "365"]);
    site.provider.register(&Client::self_signed_tls("app", &certificate));
    site.put(&certificate);
    site.cli(&["renew", "app"]);
    site.token();
}

#[tokio::test]
async fn s42_a_renewed_certificate_is_shown_and_tokens_bound_to_the_old_one_are_dropped() {
    let Some(provider) = provider() else { return };
    provider.register(&Client::tls("app", "CN=app"));
    let old = provider.client_authority().issue("app", Validity::CURRENT);
    let site = Site::start(provider, "tls_client_auth");
    site.import(&old);
    site.put(&old.certificate);
    let before = site.token();

    // A file that is being written costs nobody a token.
    fs::write(site.certificate_file(), &old.certificate[..40]).unwrap();
    let words = ["error: certificate ", "client.pem of [clients.app]", "hint: nothing was changed"];
    site.install.cli(["reload"]).run().refused(1, &words);
    assert_eq!(site.token(), before);

    let certificate = site.provider.client_authority().certify(&old.public_key(), "app", Validity::CURRENT);
    let new = ClientCertificate { certificate, key: old.key.clone() };
    site.put(&new.certificate);
    let after = site.token();
    assert_ne!(after, before);
    assert_eq!(site.data(Some(&new), &after).await, 200);
    assert_eq!(site.data(Some(&old), &after).await, 401);
}

#[tokio::test]
async fn s54_a_next_key_takes_its_turn_with_its_certificate() {
    let Some(provider) = provider() else { return };
    provider.register(&Client::tls("app", "CN=app"));
    let old = provider.client_authority().issue("app", Validity::CURRENT);
    let site = Site::start(provider, "tls_client_auth");
    site.import(&old);
    site.put(&old.certificate);
    let before = site.token();

    site.cli(&["key", "generate", "app", "--next"]);
    let kids: Vec<_> =
        serde_json::from_str::<serde_json::Value>(&site.cli(&["key", "list", "app", "--json"]))
            .unwrap()
            .as_array()
            .unwrap()
            .iter()
            .map(|key| {
                (key["standing"].as_str().unwrap().to_owned(), key["kid"].as_str().unwrap().to_owned())
            })
            .collect();
    assert_eq!((kids[0].0.as_str(), kids[1].0.as_str()), ("next", "current"));
    site.cli(&["renew", "app"]);
    assert_eq!(
        site.install.status("app")["next_credential"]["refused"]["code"],
        "certificate",
        "it has none yet"
    );

    let public = site.cli(&["key", "public", "app", "--kid", &kids[0].1]);
    let next = site.provider.client_authority().certify(&public, "app", Validity::CURRENT);
    site.put(&format!("{}{next}", old.certificate));
    site.cli(&["renew", "app"]);
    let status = site.install.status("app");
    assert_eq!(status["next_credential"], serde_json::Value::Null, "{status}");
    assert_ne!(site.token(), before);
    site.cli(&["key", "retire", "app", "--kid", &kids[1].1]);
    assert_eq!(site.provider.counts("app").rejected, 0);
}

#[test]
fn a_certificate_that_can_not_be_used_is_named_with_the_remedy_and_no_other_client_suffers() {
    let Some(provider) = provider() else { return };
    provider.register(&Client::tls("app", "CN=app"));
    let [right, other] = [(); 2].map(|()| provider.client_authority().issue("app", Validity::CURRENT));
    let expired = provider.client_authority().certify(&right.public_key(), "app", Validity::Expired);
    let site = Site::start(provider, "tls_client_auth");

    let without_key = site.refused();
    assert!(without_key.stderr.contains("key import app --file key.pem"), "{without_key:?}");
    site.import(&right);
    for (pem, words, remedy) in [
        (None, "can't be used: No such file", "put the certificate in PEM there"),
        (Some("nonsense"), "there is no certificate in it", "put the certificate in PEM there"),
        (
            Some(other.certificate.as_str()),
            "is not for the key in the key store",
            "tokenbroker key public app",
        ),
        (Some(expired.as_str()), "expired", "have it renewed"),
    ] {
        if let Some(pem) = pem {
            site.put(pem);
        }
        let refused = site.refused();
        for words in ["client app", "client.pem", words, remedy, "tokenbroker reload"] {
            assert!(refused.stderr.contains(words), "{words:?} is not in {refused:?}");
        }
        site.cli(&["get", "other"]);
    }
    assert_eq!(site.provider.counts("app").requests, 0, "nothing is sent that is known to be refused");

    site.put(&right.certificate);
    site.token();
}
