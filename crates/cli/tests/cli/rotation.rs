//! A credential that is to take the place of the one in use.

use tokenbroker_client::protocol::{
    Command, Credential, Failure, FailureCode, PublicKey, Response, Standing, Storing,
};
use tokenbroker_secret::{Secret, SecretString};

use crate::credentials::{PEM, public, secret};
use crate::fake::FakeDaemon;

/// 2027-01-31T00:00:00Z
const DAY: u64 = 1_801_353_600;

fn next() -> Credential {
    Credential { standing: Standing::Next, ..secret() }
}

#[test]
fn a_next_secret_is_stored_beside_the_one_in_use_and_said_to_be_tried() {
    let daemon = FakeDaemon::with(Response::Credentials(vec![next()]));
    let outcome = daemon.cli(&["secret", "set", "signtext", "--next"]).input("hunter2\n").run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, "signtext: stored secret in os-keyring, version 5f0c\n");
    assert_eq!(
        outcome.stderr,
        "hint: it is tried with the next token request and takes the place of the one in use with its first token; \
         `tokenbroker renew signtext` makes that now; `tokenbroker status signtext` tells\n"
    );
    let stored = Command::SecretSet {
        client: "signtext".into(),
        secret: SecretString::from("hunter2"),
        storing: Storing { as_next: true, expires: None },
    };
    assert_eq!(daemon.asked(), [stored]);
}

#[test]
fn a_next_secret_with_nothing_before_it_is_in_use() {
    let daemon = FakeDaemon::with(Response::Credentials(vec![secret()]));
    let outcome = daemon.cli(&["secret", "set", "signtext", "--next"]).input("hunter2").run();
    assert_eq!(outcome.stdout, "signtext: stored secret in os-keyring, version 5f0c\n");
    assert_eq!(outcome.stderr, "signtext: there was no other to take the place of, so it is in use\n");
}

#[test]
fn a_secret_expires_at_the_beginning_of_a_day() {
    let expiring = Credential { expires: Some(DAY), ..secret() };
    let daemon = FakeDaemon::with(Response::Credentials(vec![expiring]));
    let set = ["secret", "set", "signtext", "--expires", "2027-01-31"];
    let outcome = daemon.cli(&set).input("hunter2").run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, "signtext: stored secret in os-keyring, version 5f0c, expires 2027-01-31\n");
    let storing = Storing { as_next: false, expires: Some(DAY) };
    let [Command::SecretSet { storing: stored, .. }] = daemon.asked()[..] else { panic!("one command") };
    assert_eq!(stored, storing);
}

#[test]
fn a_day_that_has_passed_is_for_the_daemon_to_refuse() {
    let refused = Failure::new(FailureCode::Refused, "a secret that expired is of no use");
    let daemon = FakeDaemon::with(Response::Failed(refused));
    for day in ["2001-01-01", "1969-12-31"] {
        let outcome = daemon.cli(&["secret", "set", "signtext", "--expires", day]).input("hunter2").run();
        assert_eq!(outcome.code, Some(1));
        assert_eq!(outcome.stderr, "error: a secret that expired is of no use\n");
    }
}

#[test]
fn the_next_credential_alone_can_be_removed() {
    let daemon = FakeDaemon::with(Response::Credentials(vec![next()]));
    let outcome = daemon.cli(&["secret", "remove", "signtext", "--next"]).run();
    assert_eq!(outcome.stdout, "signtext: removed secret in os-keyring, version 5f0c\n");
    assert_eq!(daemon.asked(), [Command::CredentialRemove { client: "signtext".into(), next_only: true }]);
}

#[test]
fn a_list_tells_what_each_credential_is_for_and_when_it_expires() {
    let previous = Credential { standing: Standing::Previous, created: None, ..secret() };
    let stored = vec![secret(), Credential { expires: Some(DAY), ..next() }, previous];
    let daemon = FakeDaemon::with(Response::Credentials(stored));
    assert_eq!(
        daemon.cli(&["secret", "list"]).run().stdout,
        "\
CLIENT    USE       KIND    STORE       VERSION  STORED      EXPIRES
signtext  in use    secret  os-keyring  5f0c     2026-11-23  -
signtext  next      secret  os-keyring  5f0c     2026-11-23  2027-01-31
signtext  previous  secret  os-keyring  5f0c     -           -
"
    );
    let json = daemon.cli(&["secret", "list", "--json"]).run().stdout;
    let listed: serde_json::Value = serde_json::from_str(&json).unwrap();
    let column = |name: &str| -> Vec<Option<&str>> {
        listed.as_array().unwrap().iter().map(|object| object[name].as_str()).collect()
    };
    assert_eq!(column("standing"), [Some("current"), Some("next"), Some("previous")]);
    assert_eq!(column("expires"), [None, Some("2027-01-31T00:00:00Z"), None]);
    assert_eq!(column("created")[1..], [Some("2026-11-23T21:59:59Z"), None]);
}

#[test]
fn a_next_key_comes_with_what_is_to_be_done_until_the_old_one_goes() {
    let next = PublicKey { standing: Standing::Next, ..public("2027-01") };
    let daemon = FakeDaemon::with(Response::PublicKeys(vec![next]));
    let hint = "hint: register the public key with the authorization server (`tokenbroker key public signtext --format \
                jwks` has both); it takes its turn with the next token request, then `tokenbroker key retire signtext \
                --kid OLD`\n";
    let generated = daemon.cli(&["key", "generate", "signtext", "--next"]).run();
    assert_eq!((generated.code, generated.stdout.as_str()), (Some(0), PEM));
    assert_eq!(generated.stderr, format!("signtext: generated key 2027-01 (RS256)\n{hint}"));
    let imported = daemon.cli(&["key", "import", "signtext", "--next"]).input("a key").run();
    assert_eq!(imported.stderr, format!("signtext: imported key 2027-01 (RS256)\n{hint}"));
    let (client, storing) = ("signtext".to_owned(), Storing { as_next: true, expires: None });
    let pem = Secret::from(&b"a key"[..]);
    assert_eq!(
        daemon.asked(),
        [
            Command::KeyGenerate { client: client.clone(), algorithm: None, bits: None, kid: None, storing },
            Command::KeyImport { client, algorithm: None, pem, kid: None, storing },
        ]
    );
}

#[test]
fn a_next_key_with_nothing_before_it_is_in_use() {
    let daemon = FakeDaemon::with(Response::PublicKeys(vec![public("2027-01")]));
    let stderr = daemon.cli(&["key", "generate", "signtext", "--next"]).run().stderr;
    assert!(
        stderr.contains("\nsigntext: there was no other to take the place of, so it is in use\n"),
        "{stderr}"
    );
    assert!(!stderr.contains("key retire"), "{stderr}");
}
