//! Keys and values that make no sense.

use crate::{CLIENT, ISSUER, refused_at};

#[test]
fn an_unknown_key_comes_with_the_nearest_known_one() {
    refused_at(
        "7:1",
        &format!("{ISSUER}{CLIENT}sope = \"read\"\n"),
        &["unknown key `sope` in [clients.app]\nhint: did you mean `scope`?\n"],
    );
}

#[test]
fn an_unknown_table_comes_with_the_nearest_known_one() {
    refused_at("1:2", "[isuers.as]\n", &["unknown key `isuers`\nhint: did you mean `issuers`?\n"]);
}

#[test]
fn a_client_that_is_there_twice_is_refused() {
    refused_at(
        "7:10",
        &format!("{ISSUER}{CLIENT}{CLIENT}"),
        &["`clients.app` is set twice: here and at ", "config.toml:3:10\nhint: "],
    );
}

#[test]
fn a_value_of_the_wrong_type_is_told_from_the_right_one() {
    refused_at(
        "3:11",
        &format!("{ISSUER}timeout = 10\n"),
        &["`issuers.as.timeout`: expected a duration such as \"10s\" or \"1h30m\", found an integer\n"],
    );
    refused_at(
        "7:9",
        &format!("{ISSUER}{CLIENT}allow = \"ann\"\n"),
        &["`clients.app.allow`: expected an array of tables such as [{ user = \"ann\" }"],
    );
}

#[test]
fn what_is_no_toml_is_refused_without_quoting_it() {
    let said = refused_at("2:10", "[issuers.as]\nissuer = hunter2 is mine\n", &["this is not TOML: "]);
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn an_unknown_issuer_comes_with_the_nearest_known_one() {
    refused_at(
        "4:10",
        &format!("{ISSUER}{}", CLIENT.replace("\"as\"", "\"sa\"")),
        &[
            "`clients.app.issuer`: unknown issuer\nhint: did you mean `as`? otherwise add an [issuers.NAME] table",
        ],
    );
}

#[test]
fn an_unknown_preset_comes_with_the_nearest_known_one() {
    refused_at(
        "2:10",
        "[issuers.as]\npreset = \"signaturgrupen-pp\"\n",
        &["`issuers.as.preset`: unknown preset\nhint: did you mean `signaturgruppen-pp`?\n"],
    );
}

#[test]
fn a_tenant_is_missed_where_it_is_needed_and_refused_where_it_is_not() {
    refused_at(
        "2:10",
        "[issuers.as]\npreset = \"entra-id\"\n",
        &["preset \"entra-id\" needs a `tenant`\nhint: add `tenant` to the issuer: directory (tenant) ID"],
    );
    refused_at(
        "3:1",
        &format!("{ISSUER}tenant = \"acme\"\n"),
        &["`issuers.as.tenant`: only some presets have tenants\nhint: remove it; `tokenbroker presets`"],
    );
}

#[test]
fn keys_whose_feature_comes_later_are_refused_by_name() {
    // The test's own keys come after the header of a [daemon], on four lines.
    for (place, text, words) in
        [("6:1", "[daemon]\nsandbox = \"prefer\"\n", "`daemon.sandbox`"), ("1:3", "[[files]]\n", "`files`")]
    {
        refused_at(place, text, &[words, "not supported yet"]);
    }
}

#[test]
fn a_certificate_is_asked_for_and_refused_by_name() {
    let client = CLIENT.replace("client_secret_post", "tls_client_auth");
    refused_at(
        "3:10",
        &format!("{ISSUER}{client}"),
        &["`certificate` missing in [clients.app]", "certificate = \"client.pem\""],
    );
    let more = "certificate = \"client.pem\"\n";
    refused_at(
        "7:1",
        &format!("{ISSUER}{CLIENT}{more}"),
        &["`clients.app.certificate`: only clients with auth"],
    );
}

#[test]
fn the_kernels_keyring_is_refused_as_the_only_store_with_the_reason() {
    refused_at(
        "2:9",
        "[keystore]\nstore = \"keyutils\"\n",
        &["`keystore.store`: ", "a reboot empties it", "set store = \"encrypted-file\""],
    );
}

#[test]
fn every_mistake_is_named_at_once_in_the_order_of_the_lines() {
    let client = CLIENT.replace("\"as\"", "\"other\"");
    refused_at(
        "3:1",
        &format!("{ISSUER}colour = 1\n{client}sope = \"read\"\n"),
        &["unknown key `colour`", ".toml:5:10: ", "unknown issuer", ".toml:8:1: ", "unknown key `sope`"],
    );
}
