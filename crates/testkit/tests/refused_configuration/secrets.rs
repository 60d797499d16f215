//! Secrets in the configuration are refused, and not repeated: whoever pastes one there must not find it in the log too.

use crate::{CLIENT, ISSUER, refused_at};

const CANARY: &str = "c4n4ry-s3cret";

#[track_caller]
fn refused_and_not_repeated(place: &str, line: &str, words: &[&str]) {
    assert!(line.contains(CANARY));
    let said = refused_at(place, &format!("{ISSUER}{CLIENT}{line}\n"), words);
    assert!(!said.contains(CANARY), "{said}");
}

#[test]
fn s56_a_client_secret_is_refused_and_not_repeated() {
    refused_and_not_repeated(
        "7:1",
        &format!("client_secret = \"{CANARY}\""),
        &[
            "`clients.app.client_secret`: a secret must not be in the configuration\n",
            "hint: remove it and give it to the key store: `tokenbroker secret set app`\n",
        ],
    );
}

#[test]
fn s56_a_private_key_is_refused_and_not_repeated_whatever_its_key_is_called() {
    let pem = format!("\"\"\"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\"\"\"");
    refused_and_not_repeated(
        "7:12",
        &format!("audience = {pem}"),
        &[
            "`clients.app.audience`: a private key must not be in the configuration\n",
            "hint: remove it and give it to the key store: `tokenbroker key import app`\n",
        ],
    );
}

#[test]
fn s57_a_secret_is_not_repeated_when_the_line_is_wrong_in_another_way_too() {
    refused_and_not_repeated("7:17", &format!("client_secret = {CANARY}"), &["this is not TOML"]);
    refused_and_not_repeated("7:1", &format!("client_secrets = [\"{CANARY}\"]"), &["a secret must not be"]);
    refused_and_not_repeated("7:12", &format!("renew_at = \"{CANARY}\""), &["expected a number"]);
    refused_and_not_repeated("7:9", &format!("scope = \"\\\"{CANARY}\""), &["`clients.app.scope`: "]);
}

#[test]
fn s57_a_secret_is_not_repeated_at_any_level_of_the_log() {
    let install = tokenbroker_testkit::Install::new();
    install.config(&format!("{ISSUER}{CLIENT}client_secret = \"{CANARY}\"\n"));
    let output = install.tokenbrokerd([""; 0]).env("TOKENBROKER_LOG", "trace").run();
    let said = output.refused(crate::REFUSED, &["a secret must not be in the configuration"]);
    assert!(!said.contains(CANARY), "{said}");
}
