//! The life of a key pair, with OpenSSL as the judge of what is printed.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tokenbroker_testkit::{AuthServer, Client, programs, require_or_skip};

use crate::Site;

fn site(algorithm: &str) -> Site {
    let keys = format!("assertion_alg = {algorithm:?}");
    Site::start(AuthServer::start(), &[("app", "private_key_jwt", &keys)])
}

fn public(site: &Site, format: &str) -> String {
    site.cli(&["key", "public", "app", "--format", format], "")
}

fn list(site: &Site) -> Vec<Value> {
    serde_json::from_str(&site.cli(&["key", "list", "app", "--json"], "")).unwrap()
}

/// Registers the public half that the broker prints, and gets a token that is accepted.
#[track_caller]
fn assert_works(site: &Site) {
    site.server.register(Client::private_key_jwt("app", &public(site, "jwk")));
    site.cli(&["renew", "app"], "");
    site.assert_accepted(&site.get("app"));
}

fn has_openssl() -> bool {
    require_or_skip("openssl", programs(&["openssl"]))
}

fn openssl(directory: &Path, arguments: &str) -> String {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_generated_key_is_printed_in_three_formats_that_agree() {
    let site = site("RS256");
    let printed = site.cli(&["key", "generate", "app", "--bits", "2048"], "");
    let pem = public(&site, "pem");
    assert_eq!(printed, pem);
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{pem}");

    let jwk: Value = serde_json::from_str(&public(&site, "jwk")).unwrap();
    let jwks: Value = serde_json::from_str(&public(&site, "jwks")).unwrap();
    assert_eq!(jwks["keys"], Value::Array(vec![jwk.clone()]));
    assert_eq!(jwk["kty"], "RSA");
    let private = ["d", "p", "q", "dp", "dq", "qi"];
    assert!(private.iter().all(|member| jwk.get(member).is_none()), "{jwk}");

    let stored = list(&site);
    assert_eq!(stored.len(), 1, "{stored:?}");
    assert_eq!((&stored[0]["kind"], &stored[0]["algorithm"]), (&"private-key".into(), &"RS256".into()));
    assert_eq!(stored[0]["kid"], jwk["kid"]);
    assert_works(&site);

    if has_openssl() {
        fs::write(site.install.path().join("public.pem"), &pem).unwrap();
        let text = openssl(site.install.path(), "pkey -pubin -in public.pem -noout -text");
        assert!(text.contains("(2048 bit)"), "{text}");
    }
}

#[test]
fn a_new_key_replaces_the_old_one_and_the_one_in_use_is_not_retired() {
    let site = site("ES256");
    site.cli(&["key", "generate", "app", "--alg", "ES256", "--kid", "first"], "");
    assert_works(&site);
    site.cli(&["key", "generate", "app", "--alg", "ES256", "--kid", "second"], "");
    let stored = list(&site);
    assert_eq!(stored.iter().map(|key| &key["kid"]).collect::<Vec<_>>(), ["second"], "{stored:?}");
    assert_works(&site);

    let unknown = site.install.cli(["key", "retire", "app", "--kid", "first"]).run().expect(1);
    assert!(unknown.stderr.starts_with("error: "), "{unknown:?}");
    let in_use = site.install.cli(["key", "retire", "app", "--kid", "second"]).run();
    in_use.refused(1, &["error: that is the key that app uses", "tokenbroker key generate app --next"]);
    assert_works(&site);
    site.cli(&["secret", "remove", "app"], "");
    assert!(list(&site).is_empty());
    site.install.cli(["get", "app"]).run().expect(6);
}

#[test]
fn keys_that_openssl_generated_can_be_imported() {
    if !has_openssl() {
        return;
    }
    for (algorithm, generate) in [
        ("RS256", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem"),
        ("PS256", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out key.pem"),
        ("PS512", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem"),
        ("ES256", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem"),
        ("ES384", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out key.pem"),
        ("ES512", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521 -out key.pem"),
        ("EdDSA", "genpkey -algorithm ED25519 -out key.pem"),
    ] {
        let site = site(algorithm);
        openssl(site.install.path(), generate);
        let key = site.install.path().join("key.pem");
        if algorithm == "RS256" {
            site.cli(&["key", "import", "app", "--file", key.to_str().unwrap()], "");
        } else {
            site.cli(&["key", "import", "app"], &fs::read_to_string(key).unwrap());
        }
        assert_eq!(
            public(&site, "pem"),
            openssl(site.install.path(), "pkey -in key.pem -pubout"),
            "{algorithm}"
        );
        assert_works(&site);
    }
}
