//! Secrets in the configuration are refused, and no mistake of any kind repeats a value.

use proptest::prelude::*;
use tokenbroker_core::config::ConfigErrors;

use crate::{ISSUER, parse_text};

/// Looks like nothing that the parser's or the checker's own words could contain.
const CANARY: &str = "c4n4rY-hunter2";

const CLIENT: &str =
    "[clients.signtext]\nissuer = \"as\"\nclient_id = \"c\"\nauth = \"client_secret_post\"\n";

fn refused(text: &str) -> ConfigErrors {
    let Err(errors) = parse_text(text) else { panic!("taken: {text}") };
    errors
}

fn assert_silent(errors: &ConfigErrors, text: &str) {
    let mut printed = format!("{errors} {errors:?} {errors:#?}");
    for error in &errors.0 {
        printed += &format!("{error} {error:?}");
    }
    assert!(!printed.contains(CANARY), "{text}\n---\n{printed}");
    assert!(!printed.contains("hunter2"), "{text}\n---\n{printed}");
}

#[test]
fn s56_a_key_named_like_a_secret_is_refused_wherever_it_is() {
    for (key, command) in [
        ("client_secret", "secret set"),
        ("secret", "secret set"),
        ("client-secret", "secret set"),
        ("clientSecret", "secret set"),
        ("password", "secret set"),
        ("token", "secret set"),
        ("api_key", "secret set"),
        ("private_key", "key import"),
        ("key", "key import"),
        ("jwk", "key import"),
    ] {
        for value in
            [format!("\"{CANARY}\""), format!("[\"{CANARY}\"]"), format!("{{ value = \"{CANARY}\" }}")]
        {
            let text = format!("{ISSUER}{CLIENT}{key} = {value}\n");
            let errors = refused(&text);
            let what = if command == "secret set" { "a secret" } else { "a private key" };
            assert_eq!(
                errors.to_string(),
                format!(
                    "c.toml:7:1: `clients.signtext.{key}`: {what} must not be in the configuration\n\
                     hint: remove it and give it to the key store: `tokenbroker {command} signtext`"
                )
            );
            assert_silent(&errors, &text);
        }
    }
    for (text, place) in [
        (format!("secret = \"{CANARY}\"\n"), "1:1: `secret`"),
        (format!("[daemon]\npassword = \"{CANARY}\"\n"), "2:1: `daemon.password`"),
        (format!("{ISSUER}client_secret = \"{CANARY}\"\n"), "3:1: `issuers.as.client_secret`"),
        (
            format!("{ISSUER}{CLIENT}params.password = \"{CANARY}\"\n"),
            "7:8: `clients.signtext.params.password`",
        ),
        (
            format!("{ISSUER}{CLIENT}allow = [{{ user = \"a\", token = \"{CANARY}\" }}]\n"),
            "7:24: `clients.signtext.allow.token`",
        ),
    ] {
        let errors = refused(&text);
        assert!(errors.to_string().starts_with(&format!("c.toml:{place}: a secret must not be")), "{errors}");
        assert_silent(&errors, &text);
    }
}

#[test]
fn s56_a_private_key_is_refused_under_any_name() {
    let pem = format!("-----BEGIN EC PRIVATE KEY-----\n{CANARY}\n-----END EC PRIVATE KEY-----\n");
    for (line, place) in [
        (format!("scope = '''{pem}'''"), "7:9: `clients.signtext.scope`"),
        (format!("resource = ['''{pem}''']"), "7:13: `clients.signtext.resource`"),
        (format!("params = {{ a = '''{pem}''' }}"), "7:16: `clients.signtext.params.a`"),
        (format!("note = '''{pem}'''"), "7:8: `clients.signtext.note`"),
    ] {
        let text = format!("{ISSUER}{CLIENT}{line}\n");
        let errors = refused(&text);
        let expected = format!(
            "c.toml:{place}: a private key must not be in the configuration\n\
             hint: remove it and give it to the key store: `tokenbroker key import signtext`"
        );
        assert!(errors.0.iter().any(|error| error.to_string() == expected), "{errors}");
        assert_silent(&errors, &text);
    }
}

#[test]
fn s56_a_secret_in_the_query_of_an_issuers_url_is_refused() {
    for (key, parameter, command) in [
        ("token_endpoint", "client_secret", "secret set"),
        ("token_endpoint", "a=b&Client%2DSecret", "secret set"),
        ("token_endpoint", "api_key", "secret set"),
        ("token_endpoint", "private-key", "key import"),
        ("issuer", "password", "secret set"),
    ] {
        let text = format!("[issuers.as]\n{key} = \"https://as.example/t?{parameter}={CANARY}\"\n");
        let errors = refused(&text);
        let what = if command == "secret set" { "a secret" } else { "a private key" };
        let length = key.len() + 4;
        assert_eq!(
            errors.to_string(),
            format!(
                "c.toml:2:{length}: `issuers.as.{key}`: {what} must not be in the configuration\n\
                 hint: remove it and give it to the key store: `tokenbroker {command} NAME`"
            )
        );
        assert_silent(&errors, &text);
    }
    let errors = refused(&format!("[issuers.as]\nissuer = \"https://as.example/?x={CANARY}\"\n"));
    assert!(errors.to_string().contains("an issuer identifier must not have a query"), "{errors}");
    assert_silent(&errors, "a query");
    assert!(parse_text("[issuers.as]\ntoken_endpoint = \"https://as.example/t?tenant=a\"\n").is_ok());
}

#[test]
fn one_secret_is_one_mistake() {
    for params in ["client_secret = \"x\"", "client_secret = 1", "client_secret = { grant_type = 1 }"] {
        let errors = refused(&format!("{ISSUER}{CLIENT}params = {{ {params} }}\n"));
        assert_eq!(errors.0.len(), 1, "{errors}");
        assert!(errors.to_string().contains("a secret must not be in the configuration"), "{errors}");
    }
}

#[test]
fn names_that_the_author_chooses_may_be_any_word() {
    let text = "[issuers.key]\nissuer = \"https://as.example\"\n\
                [clients.secret]\nissuer = \"key\"\nclient_id = \"c\"\nauth = \"client_secret_post\"\n\
                params = { key = \"value\", token = \"jwt\" }\n";
    assert!(parse_text(text).is_ok());
}

/// Every key there is, and some that there are not.
const KEYS: &[(&str, &[&str])] = &[
    ("daemon", &["socket", "state_dir", "admin", "http_socket", "memory", "foo"]),
    ("keystore", &["store", "key_file", "foo"]),
    (
        "issuers.as",
        &[
            "preset",
            "issuer",
            "token_endpoint",
            "assertion_audience",
            "assertion_typ",
            "basic_encoding",
            "ca_file",
            "proxy",
            "timeout",
            "max_in_flight",
            "max_per_second",
            "renew_at",
            "default_lifetime",
            "max_lifetime",
            "allow_plain_http",
            "allow_link_local",
            "foo",
        ],
    ),
    (
        "clients.c",
        &[
            "issuer",
            "client_id",
            "auth",
            "assertion_alg",
            "scope",
            "resource",
            "audience",
            "params",
            "certificate",
            "renew_at",
            "allow",
            "client_secret",
            "private_key",
            "foo",
        ],
    ),
];

/// The canary as TOML that is right and as TOML that is not.
const VALUES: &[&str] = &[
    "\"CANARY\"",
    "'CANARY'",
    "\"\"\"CANARY\"\"\"",
    "\"\\nCANARY\"",
    "[\"CANARY\"]",
    "[[\"CANARY\"], 1]",
    "[{ user = \"CANARY:\" }]",
    "[{ user = [\"CANARY\"] }]",
    "{ a = { b = \"CANARY\" } }",
    "{ grant_type = \"CANARY\" }",
    "\"https://user:CANARY@as.example/\"",
    "\"http://as.example/CANARY\"",
    "\"https://as.example/CANARY#\"",
    "\"https://as.example/?client_secret=CANARY\"",
    "\"https://as.example/?x=CANARY\"",
    "\"10sCANARY\"",
    "\"-----BEGIN PRIVATE KEY----- CANARY\"",
    "CANARY",
    "\"CANARY",
    "\"CANARY\" CANARY",
    "\"CANARY\\q\"",
    "'''CANARY",
    "[\"CANARY\"",
    "{ a = \"CANARY\"",
    "2026-13-CANARY",
    "1_CANARY",
    "0xCANARY",
    "= \"CANARY\"",
    "",
];

fn line(key: &str, value: &str) -> String {
    format!("{key} = {}\n", value.replace("CANARY", CANARY))
}

#[test]
fn no_mistake_repeats_a_value() {
    let mut count = 0;
    for (table, keys) in KEYS {
        for key in *keys {
            for value in VALUES {
                let text = format!("[{table}]\n{}", line(key, value));
                if let Err(errors) = parse_text(&text) {
                    count += errors.0.len();
                    assert_silent(&errors, &text);
                }
            }
        }
    }
    assert!(count > 1_000, "{count} mistakes are too few to show anything");
}

#[test]
fn a_key_that_is_too_long_for_a_name_is_not_repeated() {
    let pasted = format!("{}{CANARY}", "A".repeat(64));
    for text in [
        format!("{pasted} = 1\n"),
        format!("[clients.{pasted}]\nfoo = 1\n"),
        format!("{pasted} = 1\n{pasted} = 1\n"),
    ] {
        assert_silent(&refused(&text), &text);
    }
}

fn any_line() -> impl Strategy<Value = String> {
    let keys: Vec<_> = KEYS.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
    let tables: Vec<_> = KEYS.iter().map(|(table, _)| *table).collect();

    prop_oneof![
        3 => (prop::sample::select(keys), prop::sample::select(VALUES)).prop_map(|(key, value)| line(key, value)),
        1 => prop::sample::select(tables).prop_map(|table| format!("[{table}]\n")),
        1 => "[a-z\\[\\]{}=.,\"'# \r\u{e9}-]{0,12}\n",
    ]
}

fn check(text: &str) -> Result<(), TestCaseError> {
    if let Err(errors) = parse_text(text) {
        assert_silent(&errors, text);
        prop_assert!(!errors.0.is_empty());
        for error in &errors.0 {
            prop_assert!((1..=text.matches('\n').count() + 1).contains(&error.line), "{error}");
            prop_assert!(error.column >= 1 && error.column <= text.chars().count() + 1, "{error}");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn no_mixture_of_lines_panics_or_repeats_a_value(lines in prop::collection::vec(any_line(), 0..12)) {
        check(&lines.concat())?;
    }
}
