//! `secret` and `key`, as long as a client has one credential.

use tokenbroker_client::protocol::{
    Command, Credential, CredentialKind, Failure, FailureCode, KeyAlgorithm, PublicKey, Response, Standing,
    Store, Storing,
};
use tokenbroker_secret::{Secret, SecretString};

use crate::fake::FakeDaemon;

pub(crate) const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n";

pub(crate) fn secret() -> Credential {
    Credential {
        client: "signtext".into(),
        version: "5f0c".into(),
        store: Store::OsKeyring,
        kind: CredentialKind::Secret,
        kid: None,
        algorithm: None,
        standing: Standing::Current,
        created: Some(1_795_471_199),
        expires: None,
    }
}

fn key() -> Credential {
    Credential {
        client: "mail".into(),
        kind: CredentialKind::PrivateKey,
        kid: Some("2026-11".into()),
        algorithm: Some(KeyAlgorithm::Rs256),
        ..secret()
    }
}

pub(crate) fn public(kid: &str) -> PublicKey {
    PublicKey {
        standing: Standing::Current,
        kid: kid.into(),
        algorithm: KeyAlgorithm::Rs256,
        pem: PEM.into(),
        jwk: format!(r#"{{"kty":"RSA","kid":"{kid}"}}"#),
    }
}

#[test]
fn a_secret_comes_from_standard_input_less_one_newline() {
    for (input, stored) in [
        ("hunter2", "hunter2"),
        ("hunter2\n", "hunter2"),
        ("hunter2\r\n", "hunter2"),
        (" +:%&= \n\n", " +:%&= \n"),
    ] {
        let daemon = FakeDaemon::with(Response::Credentials(vec![secret()]));
        let outcome = daemon.cli(&["secret", "set", "signtext"]).input(input).run();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "signtext: stored secret in os-keyring, version 5f0c\n");
        assert_eq!(outcome.stderr, "");
        let expected = Command::SecretSet {
            client: "signtext".into(),
            secret: SecretString::from(stored),
            storing: Storing::default(),
        };
        assert!(daemon.asked().contains(&expected), "{input:?}");
    }
}

#[test]
fn an_empty_secret_is_refused_before_the_daemon_sees_it() {
    for input in ["", "\n", "\r\n"] {
        let daemon = FakeDaemon::with(Response::Credentials(vec![secret()]));
        let outcome = daemon.cli(&["secret", "set", "signtext"]).input(input).run();
        assert_eq!(outcome.code, Some(1));
        assert!(outcome.stderr.starts_with("error: the secret is empty\nhint: "), "{}", outcome.stderr);
        assert!(!daemon.asked().iter().any(|asked| matches!(asked, Command::SecretSet { .. })));
    }
}

#[test]
fn a_secret_that_is_not_text_or_too_long_is_refused_and_not_repeated() {
    let daemon = FakeDaemon::with(Response::Credentials(vec![secret()]));
    for input in [b"hunter\xff2\n".to_vec(), b"hunter2".repeat(10_000)] {
        let outcome = daemon.cli(&["secret", "set", "signtext"]).input(input).run();
        assert_eq!(outcome.code, Some(1));
        assert!(!outcome.stderr.contains("hunter"), "{}", outcome.stderr);
    }
}

#[test]
fn credentials_are_listed_as_a_table_and_as_objects() {
    let daemon = FakeDaemon::with(Response::Credentials(vec![key(), secret()]));
    assert_eq!(
        daemon.cli(&["secret", "list"]).run().stdout,
        "\
CLIENT    USE     KIND       KID      STORE       VERSION  STORED      EXPIRES
mail      in use  key RS256  2026-11  os-keyring  5f0c     2026-11-23  -
signtext  in use  secret     -        os-keyring  5f0c     2026-11-23  -
"
    );
    assert_eq!(
        daemon.cli(&["key", "list", "--json"]).run().stdout,
        "[{\"client\":\"mail\",\"version\":\"5f0c\",\"store\":\"os-keyring\",\"kind\":\"private-key\",\
         \"kid\":\"2026-11\",\"algorithm\":\"RS256\",\"created\":\"2026-11-23T21:59:59Z\",\"standing\":\"current\",\
         \"expires\":null}]\n",
        "keys alone"
    );
    daemon.cli(&["key", "list", "mail"]).run();
    assert_eq!(daemon.asked().last(), Some(&Command::CredentialList { client: Some("mail".into()) }));
}

#[test]
fn what_was_removed_is_said() {
    let daemon = FakeDaemon::with(Response::Credentials(vec![key()]));
    let outcome = daemon.cli(&["secret", "remove", "mail"]).run();
    assert_eq!(outcome.stdout, "mail: removed private-key RS256 \"2026-11\" in os-keyring, version 5f0c\n");
    assert_eq!(daemon.asked(), [Command::CredentialRemove { client: "mail".into(), next_only: false }]);

    let outcome = daemon.cli(&["key", "retire", "mail", "--kid", "2026-11"]).run();
    assert_eq!(outcome.stdout, "mail: removed private-key RS256 \"2026-11\" in os-keyring, version 5f0c\n");
    let retired = Command::KeyRetire { client: "mail".into(), kid: "2026-11".into() };
    assert_eq!(daemon.asked().last(), Some(&retired));

    // A thumbprint may begin with a hyphen.
    daemon.cli(&["key", "retire", "mail", "--kid", "-x_Y"]).run();
    let retired = Command::KeyRetire { client: "mail".into(), kid: "-x_Y".into() };
    assert_eq!(daemon.asked().last(), Some(&retired));
}

#[test]
fn a_generated_key_prints_its_public_half_alone_and_beside_it_what_to_do() {
    let daemon = FakeDaemon::with(Response::PublicKeys(vec![public("2026-11")]));
    let outcome = daemon.cli(&["key", "generate", "signtext"]).run();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), PEM));
    assert!(outcome.stderr.contains("2026-11"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("tokenbroker renew signtext"), "{}", outcome.stderr);

    let chosen = ["key", "generate", "signtext", "--alg", "rs256", "--bits", "4096", "--kid", "mine"];
    assert_eq!(daemon.cli(&chosen).run().code, Some(0));
    let client = || "signtext".to_owned();
    let (algorithm, storing) = (Some(KeyAlgorithm::Rs256), Storing::default());
    assert_eq!(
        daemon.asked(),
        [
            // The daemon takes what the client is configured with.
            Command::KeyGenerate { client: client(), algorithm: None, bits: None, kid: None, storing },
            Command::KeyGenerate {
                client: client(),
                algorithm,
                bits: Some(4096),
                kid: Some("mine".into()),
                storing
            },
        ]
    );
}

#[test]
fn a_key_is_imported_from_standard_input_or_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "from a file").unwrap();
    let path = file.path().to_str().unwrap();

    let daemon = FakeDaemon::with(Response::PublicKeys(vec![public("2026-11")]));
    let outcome = daemon.cli(&["key", "import", "signtext"]).input("from a pipe").run();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), PEM));
    let from_file = ["key", "import", "signtext", "--file", path, "--alg", "ES256", "--kid", "mine"];
    assert_eq!(daemon.cli(&from_file).run().code, Some(0));

    let imports: Vec<Command> = daemon.asked();
    assert_eq!(
        imports,
        [
            Command::KeyImport {
                client: "signtext".into(),
                algorithm: None,
                pem: Secret::from(&b"from a pipe"[..]),
                kid: None,
                storing: Storing::default(),
            },
            Command::KeyImport {
                client: "signtext".into(),
                algorithm: Some(KeyAlgorithm::Es256),
                pem: Secret::from(&b"from a file"[..]),
                kid: Some("mine".into()),
                storing: Storing::default(),
            },
        ]
    );
}

#[test]
fn s58_a_key_that_is_missing_empty_or_refused_exits_1_with_the_words_for_it() {
    let daemon = FakeDaemon::with(Response::Failed(
        Failure::new(FailureCode::Refused, "the key is encrypted")
            .with_hint("decrypt it with `openssl pkey`"),
    ));
    let refused = daemon.cli(&["key", "import", "signtext"]).input("PEM").run();
    assert_eq!(refused.code, Some(1));
    assert_eq!(refused.stderr, "error: the key is encrypted\nhint: decrypt it with `openssl pkey`\n");

    let empty = daemon.cli(&["key", "import", "signtext"]).run();
    assert_eq!(empty.code, Some(1));
    assert!(empty.stderr.starts_with("error: the key is empty\nhint: "), "{}", empty.stderr);

    let missing = daemon.cli(&["key", "import", "signtext", "--file", "/nowhere/key.pem"]).run();
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.stderr.starts_with("error: can't read /nowhere/key.pem: No such file"),
        "{}",
        missing.stderr
    );
}

#[test]
fn public_keys_are_printed_all_or_by_id() {
    let daemon = FakeDaemon::with(Response::PublicKeys(vec![public("old"), public("new")]));
    let printed =
        |arguments: &[&str]| daemon.cli(&[&["key", "public", "signtext"], arguments].concat()).run();
    assert_eq!(printed(&[]).stdout, PEM.repeat(2));
    assert_eq!(printed(&["--kid", "new", "--format", "jwk"]).stdout, "{\"kty\":\"RSA\",\"kid\":\"new\"}\n");
    assert_eq!(
        printed(&["--format", "jwks"]).stdout,
        "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"old\"},{\"kty\":\"RSA\",\"kid\":\"new\"}]}\n"
    );
    let unknown = printed(&["--kid", "other"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(1), ""));
    assert_eq!(
        unknown.stderr,
        "error: signtext has no key with that key ID\nhint: see which it has: tokenbroker key list signtext\n"
    );
}
