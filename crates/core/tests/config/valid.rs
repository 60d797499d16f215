//! What a valid configuration becomes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokenbroker_core::config::{
    AssertionAudience, Audit, AuthMethod, CallerLimits, Config, Daemon, EndpointSource, KeyStore, Memory,
    Principal, Proxy, Rule, StoreChoice,
};
use tokenbroker_oauth as oauth;
use tokenbroker_oauth::{BasicEncoding, PlainHttp};

use crate::{ISSUER, parse_files, parse_text};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn name(name: &str) -> Option<Principal> {
    Some(Principal::Name(name.into()))
}

#[test]
fn every_key_is_taken() {
    let config = parse_text(
        r#"
        [daemon]
        socket = "/run/tokenbroker/broker.sock"
        http_socket = "/run/tokenbroker/http.sock"
        state_dir = "/var/lib/tokenbroker"
        admin = [{ group = "wheel" }]
        keep_tokens = false
        audit = "/var/log/tokenbroker/audit.jsonl"
        memory = "require"
        max_connections_per_uid = 10
        max_requests_per_connection = 20

        [keystore]
        store = "encrypted-file"
        key_file = "/etc/tokenbroker/keystore.key"

        [issuers.signaturgruppen-pp]
        preset = "signaturgruppen-pp"
        issuer = "https://pp.netseidbroker.dk/other"
        token_endpoint = "https://pp.netseidbroker.dk/token"
        assertion_audience = "token-endpoint"
        assertion_typ = "JWT"
        basic_encoding = "raw"
        ca_file = "/etc/ssl/ca.pem"
        proxy = "http://proxy.example:3128"
        allow_link_local = true
        timeout = "2s"
        max_in_flight = 3
        max_per_second = 0
        renew_at = 0.5
        default_lifetime = "10m"
        max_lifetime = "1h30m"
        allow_plain_http = true

        [clients.signtext]
        issuer = "signaturgruppen-pp"
        client_id = "9f1c: and more"
        auth = "private_key_jwt"
        assertion_alg = "ES256"
        scope = ["signtext_api", "neb_api other"]
        resource = ["https://api.example/", "urn:example:api"]
        audience = "api"
        params = { key = "value", organization = "" }
        renew_at = 0.9
        allow = [
            { user = "signer" }, { group = 50 }, { user = "ann", group = "signers" }, { user = "1000" },
        ]
        "#,
    )
    .unwrap();

    assert_eq!(
        config.daemon,
        Daemon {
            socket: Some("/run/tokenbroker/broker.sock".into()),
            http_socket: Some("/run/tokenbroker/http.sock".into()),
            state_dir: Some("/var/lib/tokenbroker".into()),
            admin: vec![Rule { group: name("wheel"), ..Rule::default() }],
            keep_tokens: false,
            audit: Audit::File("/var/log/tokenbroker/audit.jsonl".into()),
            memory: Memory::Require,
            limits: CallerLimits { connections_per_uid: 10, requests_per_connection: 20 },
        }
    );
    assert_eq!(
        config.keystore,
        KeyStore {
            store: StoreChoice::EncryptedFile,
            key_file: Some("/etc/tokenbroker/keystore.key".into())
        }
    );

    let issuer = &config.issuers["signaturgruppen-pp"];
    assert_eq!(issuer.name, "signaturgruppen-pp");
    assert_eq!(issuer.preset, Some("signaturgruppen-pp"));
    let EndpointSource::Named { endpoint, issuer: Some(identifier) } = &issuer.endpoint else {
        panic!("{:?}", issuer.endpoint)
    };
    assert_eq!(endpoint.as_str(), "https://pp.netseidbroker.dk/token");
    assert_eq!(identifier.as_str(), "https://pp.netseidbroker.dk/other", "goes before the preset's");
    assert_eq!(issuer.assertion_audience, AssertionAudience::TokenEndpoint);
    assert_eq!(issuer.assertion_typ, "JWT");
    assert_eq!(issuer.basic_encoding, BasicEncoding::Raw);
    assert_eq!(issuer.ca_file.as_deref(), Some(Path::new("/etc/ssl/ca.pem")));
    assert_eq!(issuer.proxy, Proxy::Url("http://proxy.example:3128".parse().unwrap()));
    assert!(issuer.allow_link_local);
    assert_eq!(issuer.timeout, seconds(2));
    assert_eq!((issuer.max_in_flight, issuer.max_per_second), (3, 0));
    assert_eq!(issuer.renew_at, 0.5);
    assert_eq!((issuer.default_lifetime, issuer.max_lifetime), (seconds(600), seconds(5400)));
    assert_eq!(issuer.plain_http, PlainHttp::LoopbackOnly);

    let client = &config.clients["signtext"];
    assert_eq!(client.name.as_str(), "signtext");
    assert!(Arc::ptr_eq(&client.issuer, issuer));
    assert_eq!(client.client_id, "9f1c: and more");
    assert_eq!(client.auth, AuthMethod::PrivateKeyJwt { algorithm: oauth::Algorithm::Es256 });
    assert_eq!(client.scope, Some("neb_api other signtext_api".parse().unwrap()));
    assert_eq!(client.resource, ["https://api.example/", "urn:example:api"]);
    assert_eq!(client.audience.as_deref(), Some("api"));
    let params = [("key", "value"), ("organization", "")].map(|(name, value)| (name.into(), value.into()));
    assert_eq!(client.params, BTreeMap::<String, String>::from(params));
    assert_eq!(client.renew_at, 0.9);
    assert_eq!(
        client.allow,
        [
            Rule { user: name("signer"), ..Rule::default() },
            Rule { group: Some(Principal::Id(50)), ..Rule::default() },
            Rule { user: name("ann"), group: name("signers"), ..Rule::default() },
            Rule { user: Some(Principal::Id(1000)), ..Rule::default() },
        ]
    );
}

#[test]
fn what_is_left_open_has_defaults() {
    let client = "[clients.c]\nissuer = \"as\"\nclient_id = \"c\"\nauth = \"client_secret_post\"\n";
    let config = parse_text(&format!("{ISSUER}{client}")).unwrap();
    let limits = CallerLimits { connections_per_uid: 1024, requests_per_connection: 64 };
    assert_eq!(
        config.daemon,
        Daemon {
            socket: None,
            http_socket: None,
            state_dir: None,
            admin: vec![],
            keep_tokens: true,
            audit: Audit::Journal,
            memory: Memory::Prefer,
            limits
        }
    );
    assert_eq!(config.keystore, KeyStore { store: StoreChoice::Auto, key_file: None });

    let issuer = &config.issuers["as"];
    assert_eq!(issuer.preset, None);
    assert_eq!(issuer.endpoint.issuer().unwrap().as_str(), "https://as.example");
    assert_eq!(issuer.assertion_audience, AssertionAudience::Issuer);
    assert_eq!(issuer.assertion_typ, "client-authentication+jwt");
    assert_eq!(issuer.basic_encoding, BasicEncoding::Form);
    assert_eq!(issuer.ca_file, None);
    assert_eq!((&issuer.proxy, issuer.allow_link_local), (&Proxy::None, false));
    assert_eq!(issuer.timeout, seconds(10));
    assert_eq!((issuer.max_in_flight, issuer.max_per_second), (8, 20));
    assert_eq!(issuer.renew_at, 0.75);
    assert_eq!((issuer.default_lifetime, issuer.max_lifetime), (seconds(300), seconds(86_400)));
    assert_eq!(issuer.plain_http, PlainHttp::Refused);

    let client = &config.clients["c"];
    assert_eq!(client.auth, AuthMethod::ClientSecretPost);
    assert_eq!((&client.scope, &client.audience), (&None, &None));
    assert!(client.resource.is_empty() && client.params.is_empty() && client.allow.is_empty());
    assert_eq!(client.renew_at, 0.75);
}

#[test]
fn no_file_and_an_empty_file_are_valid() {
    assert_eq!(parse_files(&[]), Ok(Config::default()));
    assert_eq!(parse_text(""), Ok(Config::default()));
    assert_eq!(parse_text("[clients]\n[daemon]\nadmin = []\n"), Ok(Config::default()));
    assert_eq!(parse_text("\u{feff}[daemon]\r\n"), Ok(Config::default()));
}

#[test]
fn a_client_renews_when_its_issuer_says_unless_it_says_itself() {
    let client = |name: &str, more: &str| {
        format!(
            "[clients.{name}]\nissuer = \"as\"\nclient_id = \"c\"\nauth = \"client_secret_post\"\n{more}\n"
        )
    };
    let text = format!("{ISSUER}renew_at = 0.6\n{}{}", client("a", ""), client("b", "renew_at = 0.3"));
    let config = parse_text(&text).unwrap();
    assert_eq!(config.clients["a"].renew_at, 0.6);
    assert_eq!(config.clients["b"].renew_at, 0.3);
}

fn auth(method: &str, more: &str) -> AuthMethod {
    let text =
        format!("{ISSUER}[clients.c]\nissuer = \"as\"\nclient_id = \"c\"\nauth = \"{method}\"\n{more}");
    parse_text(&text).unwrap_or_else(|errors| panic!("{errors}")).clients["c"].auth
}

#[test]
fn the_algorithm_of_assertions_is_rs256_unless_it_is_set() {
    let auth = |more: &str| auth("private_key_jwt", more);
    assert_eq!(auth(""), AuthMethod::PrivateKeyJwt { algorithm: oauth::Algorithm::Rs256 });
    for algorithm in oauth::Algorithm::ALL {
        assert_eq!(
            auth(&format!("assertion_alg = \"{algorithm}\"")),
            AuthMethod::PrivateKeyJwt { algorithm }
        );
    }
}

#[test]
fn a_secret_authenticates_with_hs256_unless_it_is_set() {
    let auth = |more: &str| auth("client_secret_jwt", more);
    assert_eq!(auth(""), AuthMethod::ClientSecretJwt { algorithm: oauth::MacAlgorithm::Hs256 });
    for algorithm in oauth::MacAlgorithm::ALL {
        let more = format!("assertion_alg = \"{}\"", algorithm.name());
        assert_eq!(auth(&more), AuthMethod::ClientSecretJwt { algorithm });
    }
}

#[test]
fn an_endpoint_without_an_issuer_will_do_with_a_named_audience() {
    for (audience, expected) in [
        ("token-endpoint", AssertionAudience::TokenEndpoint),
        ("https://as.example/", AssertionAudience::Other("https://as.example/".into())),
    ] {
        let config = parse_text(&format!(
            "[issuers.as]\ntoken_endpoint = \"https://as.example/token\"\nassertion_audience = \"{audience}\"\n\
             [clients.c]\nissuer = \"as\"\nclient_id = \"c\"\nauth = \"private_key_jwt\"\n"
        ))
        .unwrap();
        assert_eq!(config.issuers["as"].assertion_audience, expected);
        assert_eq!(config.issuers["as"].endpoint.issuer(), None);
    }
}

#[test]
fn plain_http_goes_to_loopback_when_it_is_allowed() {
    for host in ["127.0.0.1:9000", "[::1]", "localhost"] {
        let text = format!("[issuers.as]\nissuer = \"http://{host}\"\nallow_plain_http = true\n");
        assert!(parse_text(&text).is_ok(), "{host}");
    }
}

#[test]
fn a_preset_is_overridden_by_what_is_written_in_any_order() {
    let config = parse_text("[issuers.x]\ntimeout = \"1s\"\npreset = \"signaturgruppen\"\n").unwrap();
    let issuer = &config.issuers["x"];
    assert_eq!(issuer.timeout, seconds(1));
    assert_eq!(issuer.endpoint.issuer().unwrap().as_str(), "https://netseidbroker.dk/op");
}

#[test]
fn the_default_lifetime_is_not_over_the_longest() {
    let config = parse_text(&format!("{ISSUER}max_lifetime = \"1m\"\n")).unwrap();
    assert_eq!(config.issuers["as"].default_lifetime, seconds(60));
}

#[test]
fn tables_merge_across_files() {
    let config = parse_files(&[
        ("config.toml", "[daemon]\nsocket = \"/a\"\n[clients.c]\nissuer = \"as\"\nclient_id = \"c\"\n"),
        ("conf.d/10.toml", ISSUER),
        ("conf.d/20.toml", "daemon.state_dir = \"/b\"\nclients.c = { auth = \"client_secret_basic\" }\n"),
        ("conf.d/30.toml", "[clients.c]\nallow = [{ user = \"ann\" }]\nparams.a = \"1\"\n"),
        ("conf.d/40.toml", "[clients.c.params]\nb = \"2\"\n"),
    ])
    .unwrap();
    assert_eq!(config.daemon.socket, Some(PathBuf::from("/a")));
    assert_eq!(config.daemon.state_dir, Some(PathBuf::from("/b")));
    let client = &config.clients["c"];
    assert_eq!(client.auth, AuthMethod::ClientSecretBasic);
    assert_eq!(client.allow.len(), 1);
    assert_eq!(client.params.len(), 2);
}

#[test]
fn a_relative_ca_file_lies_beside_the_file_that_names_it() {
    let with_ca = |ca: &str| format!("{ISSUER}ca_file = \"{ca}\"\n");
    for (file, ca, expected) in [
        ("/etc/tokenbroker/config.toml", "ca.pem", "/etc/tokenbroker/ca.pem"),
        ("/etc/tokenbroker/conf.d/as.toml", "../ca.pem", "/etc/tokenbroker/conf.d/../ca.pem"),
        ("/etc/tokenbroker/config.toml", "/ca.pem", "/ca.pem"),
        ("config.toml", "ca.pem", "ca.pem"),
    ] {
        let config = parse_files(&[(file, &with_ca(ca))]).unwrap();
        assert_eq!(config.issuers["as"].ca_file.as_deref(), Some(Path::new(expected)));
    }
}

#[test]
fn locked_memory_is_preferred_unless_told_otherwise() {
    assert_eq!(Config::default().daemon.memory, Memory::Prefer);
    for (word, expected) in [("require", Memory::Require), ("prefer", Memory::Prefer), ("off", Memory::Off)] {
        let config = parse_text(&format!("[daemon]\nmemory = \"{word}\"\n")).unwrap();
        assert_eq!(config.daemon.memory, expected);
    }
}

#[test]
fn what_needs_a_restart_is_told_by_its_keys() {
    let old = parse_text("[daemon]\nsocket = \"/a\"\n[keystore]\nstore = \"os-keyring\"\n").unwrap();
    assert_eq!(old.restart_needed(&old), [""; 0]);
    assert_eq!(old.restart_needed(&Config::default()), ["daemon.socket", "keystore.store"]);
    let new = parse_text(
        "[daemon]\nsocket = \"/a\"\nhttp_socket = \"/h\"\nstate_dir = \"/s\"\n\
         memory = \"off\"\n[keystore]\nstore = \"os-keyring\"\nkey_file = \"/k\"\n",
    );
    assert_eq!(
        old.restart_needed(&new.unwrap()),
        ["daemon.http_socket", "daemon.state_dir", "daemon.memory", "keystore.key_file"]
    );

    let text = format!("[daemon]\nsocket = \"/a\"\nadmin = [{{ user = \"ann\" }}]\n{ISSUER}");
    let reloadable = parse_text(&format!("{text}[keystore]\nstore = \"os-keyring\"\n")).unwrap();
    assert_eq!(old.restart_needed(&reloadable), [""; 0]);
}

#[test]
fn what_did_not_change_is_taken_from_the_configuration_before() {
    let config = |scope: &str, more: &str| {
        let client = |name: &str, scope: &str| {
            format!(
                "[clients.{name}]\nissuer = \"as\"\nclient_id = \"{name}\"\nauth = \"client_secret_basic\"\n{scope}\n"
            )
        };
        parse_text(&format!("{ISSUER}{}{}{more}", client("one", ""), client("two", scope))).unwrap()
    };
    let before = config("scope = \"read\"", "");
    let third = "[clients.three]\nissuer = \"as\"\nclient_id = \"3\"\nauth = \"client_secret_post\"\n";
    let new = config("scope = \"write\"", third);
    let shared = new.clone().sharing(&before);
    assert_eq!(shared, new);
    assert!(Arc::ptr_eq(&shared.clients["one"], &before.clients["one"]));
    assert!(Arc::ptr_eq(&shared.clients["two"], &new.clients["two"]));
    assert!(Arc::ptr_eq(&shared.clients["three"], &new.clients["three"]));
}
