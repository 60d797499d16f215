//! `--check-config` on configurations that are fine, and on command lines that are not.

use tokenbroker_testkit::Install;

use crate::{CLIENT, ISSUER};

#[test]
fn a_good_configuration_is_called_valid_and_nothing_is_started() {
    let install = Install::new();
    install.config(&format!("{ISSUER}{CLIENT}"));
    let output = install.tokenbrokerd(["--check-config"]).run().expect(0);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", "the configuration is valid\n"));
    assert!(!install.socket().exists());
    assert_eq!(std::fs::read_dir(install.state_dir()).unwrap().count(), 0);
}

#[test]
fn every_key_of_today_is_taken() {
    let install = Install::new();
    install.config(
        r#"
        [daemon]
        admin = [{ group = "root" }]

        [keystore]
        store = "encrypted-file"

        [issuers.pp]
        preset = "signaturgruppen-pp"
        timeout = "5s"
        max_in_flight = 4
        max_per_second = 0
        renew_at = 0.6
        default_lifetime = "5m"
        max_lifetime = "1h"

        [issuers.named]
        token_endpoint = "https://as.example/token"
        assertion_audience = "token-endpoint"
        assertion_typ = "JWT"
        basic_encoding = "raw"

        [issuers.okta]
        preset = "okta"
        tenant = "acme.okta.com/oauth2/default"

        [clients.reports]
        issuer = "okta"
        client_id = "reports"
        auth = "client_secret_jwt"
        assertion_alg = "HS384"

        [clients.signtext]
        issuer = "pp"
        client_id = "9f1c"
        auth = "private_key_jwt"
        assertion_alg = "PS256"
        scope = ["signtext_api", "other"]
        resource = ["https://api.example"]
        audience = "api"
        params = { acr = "high" }
        renew_at = 0.5
        allow = [{ user = "root", group = 0 }]

        [clients.mail]
        issuer = "named"
        client_id = "mail"
        auth = "client_secret_basic"
        "#,
    );
    install.tokenbrokerd(["--check-config"]).run().expect(0);
}

#[test]
fn an_unknown_option_is_a_usage_error() {
    let install = Install::new();
    install.config(ISSUER);
    install
        .tokenbrokerd(["--chek-config"])
        .run()
        .refused(1, &["unexpected argument '--chek-config'", "--check-config"]);
}
