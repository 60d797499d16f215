//! `key import` and `key generate`.
//!
//! The keys were made with `openssl genpkey`, `openssl ec` and `openssl pkcs8`, and are used nowhere else.

use std::fs;

use tokenbroker_testkit::{AuthServer, Client};

use crate::{start, stored};

const P256: &str = include_str!("keys/p-256.pem");
const SEC1: &str = include_str!("keys/p-256-sec1.pem");
const ENCRYPTED: &str = include_str!("keys/p-256-encrypted.pem");
const ENCRYPTED_OLD: &str = include_str!("keys/p-256-encrypted-old.pem");
const PUBLIC: &str = include_str!("keys/p-256-public.pem");
const RSA_1024: &str = include_str!("keys/rsa-1024.pem");
const RSA_PSS: &str = include_str!("keys/rsa-pss.pem");
const ED25519: &str = include_str!("keys/ed25519.pem");

/// Each is refused with these words, and the client goes on with the key it has.
fn refused_and_the_old_key_still_signs(algorithm: &str, imports: &[(&str, &[&str])]) {
    let server = AuthServer::start();
    let (install, daemon) = start(&server, &[("signer", algorithm)]);
    install.cli(["key", "generate", "signer", "--alg", algorithm]).run().success();
    let jwk = install.cli(["key", "public", "signer", "--format", "jwk"]).run().success();
    server.register(Client::private_key_jwt("signer", &jwk));
    let before = stored(&install, "signer");
    assert_eq!(before.len(), 1);

    for (pem, words) in imports {
        let words = [&["error: "], *words].concat();
        let said = install.cli(["key", "import", "signer"]).stdin(pem).run().refused(1, &words);
        for line in pem.lines().filter(|line| line.len() > 40) {
            assert!(!said.contains(line) && !daemon.log().contains(line), "the key is repeated: {said}");
        }
    }
    assert_eq!(stored(&install, "signer"), before);
    install.cli(["renew", "signer"]).run().success();
}

#[test]
fn s58_a_key_that_is_not_for_rs256_is_refused_and_the_old_one_stays() {
    refused_and_the_old_key_still_signs(
        "RS256",
        &[
            (
                P256,
                &[
                    "it is a P-256 key, and RS256 takes an RSA key\n",
                    "hint: bring a key for RS256, change assertion_alg",
                ],
            ),
            (ED25519, &["it is an Ed25519 key, and RS256 takes an RSA key\n", "hint: "]),
            (
                RSA_1024,
                &[
                    "the RSA key has 1024 bits, and fewer than 2048 are not safe\n",
                    "hint: bring a longer one",
                ],
            ),
            (
                RSA_PSS,
                &["restricted to RSA-PSS", "\nhint: RSA-PSS takes a plain RSA key, too: openssl genpkey"],
            ),
        ],
    );
}

#[test]
fn s58_a_key_in_another_form_is_refused_with_the_command_that_converts_it() {
    let convert = "openssl pkcs8 -topk8 -nocrypt -in key.pem | tokenbroker key import";
    refused_and_the_old_key_still_signs(
        "ES256",
        &[
            (
                ENCRYPTED,
                &[
                    "is encrypted with a passphrase\n",
                    "hint: ",
                    "openssl pkey -in key.pem | tokenbroker key import",
                ],
            ),
            (
                ENCRYPTED_OLD,
                &["is encrypted with a passphrase, in OpenSSL's old format\n", "hint: ", convert],
            ),
            (SEC1, &["is in SEC 1 form (EC PRIVATE KEY), and PKCS#8 is taken\n", "hint: ", convert]),
            (PUBLIC, &["it is a public key, without the private key\n", "hint: give the private key"]),
            (
                &P256[..P256.len() / 2],
                &["the PEM is truncated: a BEGIN line has no END line\n", "hint: give the whole file"],
            ),
            (
                "hunter2",
                &[
                    "it is no private key in PEM\n",
                    "hint: the first line of a private key should be -----BEGIN",
                ],
            ),
        ],
    );
}

#[test]
fn an_empty_key_or_a_file_that_is_not_there_is_refused() {
    let server = AuthServer::start();
    let (install, _daemon) = start(&server, &[("signer", "ES256")]);
    let nothing = install.cli(["key", "import", "signer"]).run();
    nothing
        .refused(1, &["error: the key is empty\n", "hint: pipe in an unencrypted PKCS#8 private key in PEM"]);
    let missing = install.cli(["key", "import", "signer", "--file", "missing.pem"]).run();
    missing.refused(1, &["error: can't read missing.pem: "]);

    fs::write(install.path().join("sec1.pem"), SEC1).unwrap();
    let sec1 = install.cli(["key", "import", "signer", "--file", "sec1.pem"]).run();
    sec1.refused(1, &["error: the private key is in SEC 1 form"]);
    assert_eq!(stored(&install, "signer"), []);

    fs::write(install.path().join("key.pem"), P256).unwrap();
    install.cli(["key", "import", "signer", "--file", "key.pem"]).run().success();
    assert_eq!(stored(&install, "signer").len(), 1);
}

#[test]
fn s57_a_key_is_no_argument_and_is_not_repeated() {
    let server = AuthServer::start();
    let (install, _daemon) = start(&server, &[("signer", "ES256")]);
    let said = install.cli(["key", "import", "signer", P256]).run();
    let said = said.refused(2, &["error: unexpected argument", "\nhint: a private key is never an argument"]);
    let secret_line = P256.lines().nth(1).unwrap();
    assert!(!said.contains(secret_line), "{said}");
}

#[test]
fn another_algorithm_than_the_configured_one_is_refused() {
    let server = AuthServer::start();
    let (install, _daemon) = start(&server, &[("signer", "ES256")]);
    for run in [
        install.cli(["key", "import", "signer", "--alg", "RS256"]).stdin(P256),
        install.cli(["key", "generate", "signer", "--alg", "RS256"]),
    ] {
        run.run().refused(
            1,
            &[
                "error: client signer is configured to sign with ES256\n",
                "hint: use --alg ES256, or change assertion_alg of [clients.signer]\n",
            ],
        );
    }
    assert_eq!(stored(&install, "signer"), []);
}

#[test]
fn a_generated_key_is_for_the_configured_algorithm() {
    let server = AuthServer::start();
    let algorithms = ["RS256", "PS256", "ES256", "EdDSA"];
    let (install, _daemon) = start(&server, &algorithms.map(|algorithm| (algorithm, algorithm)));
    for algorithm in algorithms {
        install.cli(["key", "generate", algorithm]).run().success();
        let jwk = install.cli(["key", "public", algorithm, "--format", "jwk"]).run().success();
        let jwk: serde_json::Value = serde_json::from_str(&jwk).unwrap();
        assert_eq!(jwk["alg"], algorithm);
    }
}

#[test]
fn an_unknown_key_id_gets_the_same_words_whatever_it_was_for() {
    let server = AuthServer::start();
    let (install, _daemon) = start(&server, &[("signer", "ES256")]);
    install.cli(["key", "generate", "signer"]).run().success();
    let said = ["public", "retire"]
        .map(|what| install.cli(["key", what, "signer", "--kid", "other"]).run().refused(1, &["\nhint: "]));
    assert_eq!(said[0], said[1]);
    assert_eq!(stored(&install, "signer").len(), 1);
}

#[test]
fn keys_that_are_not_offered_are_not_generated() {
    let server = AuthServer::start();
    let (install, _daemon) = start(&server, &[("signer", "RS256"), ("curve", "ES256")]);
    for bits in ["1024", "8192"] {
        let said = install.cli(["key", "generate", "signer", "--bits", bits]).run();
        said.refused(1, &["error: ", "2048"]);
    }
    let kid = install.cli(["key", "generate", "curve", "--alg", "ES256", "--kid", "a\nb"]).run();
    kid.refused(1, &["error: "]);
    assert_eq!((stored(&install, "signer"), stored(&install, "curve")), (vec![], vec![]));
}
