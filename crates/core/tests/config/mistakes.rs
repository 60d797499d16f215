//! What is refused, at which place and in which words.

use crate::{ISSUER, parse_files, parse_text};

/// Every mistake as it is printed. The text begins with line 1.
fn mistakes(text: &str) -> Vec<String> {
    let Err(errors) = parse_text(text) else { panic!("no mistake was found in {text}") };
    errors.0.iter().map(ToString::to_string).collect()
}

/// The only mistake as it is printed.
fn mistake(text: &str) -> String {
    let mistakes = mistakes(text);
    assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
    mistakes.concat()
}

/// The only mistake of a client with some more lines; they begin at line 7.
fn client_mistake(lines: &str) -> String {
    let client = "[clients.c]\nissuer = \"as\"\nclient_id = \"c\"\nauth = \"client_secret_post\"\n";
    mistake(&format!("{ISSUER}{client}{lines}\n"))
}

/// The only mistake of an issuer with some more lines; they begin at line 3.
fn issuer_mistake(lines: &str) -> String {
    mistake(&format!("{ISSUER}{lines}\n"))
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_one_that_is_known() {
    assert_eq!(
        client_mistake("  sope = \"a\""),
        "c.toml:7:3: unknown key `sope` in [clients.c]\nhint: did you mean `scope`?"
    );
    assert_eq!(mistake("[client.c]\n"), "c.toml:1:2: unknown key `client`\nhint: did you mean `clients`?");
    assert_eq!(
        mistake("[daemon]\ncolour = 1\n"),
        "c.toml:2:1: unknown key `colour` in [daemon]\n\
         hint: known here: admin, audit, http_socket, keep_tokens, max_connections_per_uid, max_requests_per_connection, memory, socket, state_dir"
    );
    assert_eq!(
        client_mistake("allow = [{ user = \"a\" }, { usr = \"b\", group = \"g\" }]"),
        "c.toml:7:28: unknown key `usr` in [clients.c.allow]\nhint: did you mean `user`?"
    );
}

#[test]
fn a_client_given_twice_is_one_mistake_in_one_file() {
    let client = "[clients.c]\nissuer = \"as\"\nclient_id = \"c\"\nauth = \"client_secret_post\"\n";
    assert_eq!(
        mistake(&format!("{ISSUER}{client}{client}")),
        "c.toml:7:10: `clients.c` is set twice: here and at c.toml:3:10\n\
         hint: put all of it in one place, or give one of the two another name"
    );
}

#[test]
fn a_key_set_twice_in_one_file_is_named_with_both_places() {
    let hint = "hint: remove one of the two";
    assert_eq!(
        mistakes("[daemon]\nsocket = \"/a\"\nsocket = \"/b\"\nstate_dir = \"/c\"\n\"state_dir\" = \"/d\"\n"),
        [
            format!("c.toml:3:1: `daemon.socket` is set twice: here and at c.toml:2:1\n{hint}"),
            format!("c.toml:5:1: `daemon.state_dir` is set twice: here and at c.toml:4:1\n{hint}"),
        ]
    );
    for (lines, expected) in [
        (
            "params = { a = \"1\", a = \"2\" }",
            "7:21: `clients.c.params.a` is set twice: here and at c.toml:7:12",
        ),
        (
            "params.a = \"1\"\nparams.a = \"2\"",
            "8:8: `clients.c.params.a` is set twice: here and at c.toml:7:8",
        ),
        (
            "allow = [{ user = \"a\" }, { user = \"b\", user = \"c\" }]",
            "7:40: `clients.c.allow.user` is set twice: here and at c.toml:7:28",
        ),
    ] {
        assert_eq!(client_mistake(lines), format!("c.toml:{expected}\n{hint}"));
    }
    assert!(
        client_mistake("params = { a = \"1\" }\n[clients.c.params]\nb = \"2\"")
            .starts_with("c.toml:8:12: `clients.c.params` is set twice: here and at c.toml:7:1\n")
    );
}

#[test]
fn a_key_set_twice_in_two_files_is_named_with_both_places() {
    let client = "[clients.c]\nissuer = \"as\"\nclient_id = \"c\"\nauth = \"client_secret_post\"\n";
    let config = format!("{ISSUER}{client}");
    let errors = parse_files(&[("config.toml", &config), ("conf.d/more.toml", client)]).unwrap_err();
    let printed: Vec<_> = errors.0.iter().map(ToString::to_string).collect();
    assert_eq!(
        printed,
        [
            "conf.d/more.toml:2:1: `clients.c.issuer` is set twice: here and at config.toml:4:1\nhint: remove one of the two",
            "conf.d/more.toml:3:1: `clients.c.client_id` is set twice: here and at config.toml:5:1\nhint: remove one of the two",
            "conf.d/more.toml:4:1: `clients.c.auth` is set twice: here and at config.toml:6:1\nhint: remove one of the two",
        ]
    );

    let errors = parse_files(&[("a.toml", "[daemon]\n"), ("b.toml", "\ndaemon = 1\n")]).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "b.toml:2:1: `daemon` is set twice: here and at a.toml:1:2\nhint: remove one of the two"
    );
}

#[test]
fn a_wrong_type_is_told_from_the_right_one() {
    for (lines, expected) in [
        (
            "timeout = 10",
            "3:11: `issuers.as.timeout`: expected a duration such as \"10s\" or \"1h30m\", found an integer",
        ),
        (
            "max_in_flight = \"8\"",
            "3:17: `issuers.as.max_in_flight`: expected a whole number from 1 to 1000, found a string",
        ),
        (
            "max_per_second = 1.5",
            "3:18: `issuers.as.max_per_second`: expected a whole number from 0 to 100000, found a float",
        ),
        (
            "renew_at = true",
            "3:12: `issuers.as.renew_at`: expected a number from 0.1 to 0.95, found a boolean",
        ),
        (
            "allow_plain_http = \"no\"",
            "3:20: `issuers.as.allow_plain_http`: expected true or false, found a string",
        ),
        ("ca_file = [\"a\"]", "3:11: `issuers.as.ca_file`: expected a string, found an array"),
        ("basic_encoding = 1", "3:18: `issuers.as.basic_encoding`: expected a string, found an integer"),
        (
            "token_endpoint = 2026-01-01",
            "3:18: `issuers.as.token_endpoint`: expected a URL such as \"https://host/path\", found a datetime",
        ),
        ("timeout = { s = 1 }", "3:1: `issuers.as.timeout`: expected a value, found a table"),
    ] {
        assert_eq!(issuer_mistake(lines), format!("c.toml:{expected}"));
    }
    for (lines, expected) in [
        ("scope = 1", "7:9: `clients.c.scope`: expected a string or an array of strings, found an integer"),
        (
            "scope = [\"a\", 1]",
            "7:9: `clients.c.scope`: expected a string or an array of strings, found an array",
        ),
        ("params = \"a=b\"", "7:1: `clients.c.params`: expected a table, found a string"),
        ("params = { a = 1 }", "7:16: `clients.c.params.a`: expected a string, found an integer"),
        (
            "allow = \"ann\"",
            "7:9: `clients.c.allow`: expected an array of tables such as [{ user = \"ann\" }, { group = \"signers\" }]",
        ),
        (
            "allow = [\"ann\"]",
            "7:9: `clients.c.allow`: expected an array of tables such as [{ user = \"ann\" }, { group = \"signers\" }]",
        ),
        (
            "allow = [{ user = 1.5 }]",
            "7:19: `clients.c.allow.user`: expected a name or a numeric ID, found a float",
        ),
        (
            "allow = [{ user = -1 }]",
            "7:19: `clients.c.allow.user`: expected a name or a numeric ID, found an integer",
        ),
    ] {
        assert_eq!(client_mistake(lines), format!("c.toml:{expected}"));
    }
    assert_eq!(mistake("clients = 5\n"), "c.toml:1:1: `clients`: expected a table, found an integer");
    assert_eq!(
        mistake("[clients]\nc = \"x\"\n"),
        "c.toml:2:1: `clients.c`: expected a table, found a string",
        "and nothing is said about the keys that it lacks"
    );
}

#[test]
fn a_bad_url_is_refused() {
    let issuer = |url: &str| mistake(&format!("[issuers.as]\nissuer = \"{url}\"\n"));
    for (url, expected) in [
        ("as.example", "not an absolute URL such as https://host/path"),
        ("ftp://as.example", "the URL must begin with https://"),
        ("https://user@as.example", "the URL must not hold a user name or password"),
        ("https://as.example/?a", "an issuer identifier must not have a query (?...)"),
        ("https://as.example/#a", "the URL must not have a fragment (#...)"),
    ] {
        assert_eq!(issuer(url), format!("c.toml:2:10: `issuers.as.issuer`: {expected}"));
    }
    assert_eq!(
        mistake("[issuers.as]\ntoken_endpoint = \"\"\n"),
        "c.toml:2:18: `issuers.as.token_endpoint`: not an absolute URL such as https://host/path"
    );
}

#[test]
fn plain_http_to_another_host_is_refused_always_and_to_loopback_unless_allowed() {
    for allowed in ["", "allow_plain_http = true\n"] {
        assert_eq!(
            mistake(&format!("[issuers.as]\nissuer = \"http://as.example\"\n{allowed}")),
            "c.toml:2:10: `issuers.as.issuer`: plain http is allowed only to a loopback host \
             (127.0.0.1, [::1], localhost)\nhint: use the server's https:// URL"
        );
    }
    for not_allowed in ["", "allow_plain_http = false\n"] {
        assert_eq!(
            mistake(&format!("[issuers.as]\ntoken_endpoint = \"http://localhost/token\"\n{not_allowed}")),
            "c.toml:2:18: `issuers.as.token_endpoint`: plain http is refused: the URL must begin with https://\n\
             hint: for tests on this host there is allow_plain_http = true"
        );
    }
}

#[test]
fn an_unknown_issuer_comes_with_the_nearest_or_with_what_to_add() {
    let with_issuer = |name: &str| {
        mistake(&format!(
            "{ISSUER}[issuers.bank]\npreset = \"signaturgruppen\"\n\
             [clients.c]\nclient_id = \"c\"\nauth = \"client_secret_post\"\nissuer = \"{name}\"\n"
        ))
    };
    let place = "c.toml:8:10: `clients.c.issuer`: unknown issuer\nhint: ";
    assert_eq!(
        with_issuer("bnak"),
        format!("{place}did you mean `bank`? otherwise add an [issuers.NAME] table for it")
    );
    assert_eq!(
        with_issuer("signaturgruppen-pp"),
        format!("{place}add [issuers.signaturgruppen-pp] with preset = \"signaturgruppen-pp\"")
    );
    assert_eq!(with_issuer("elsewhere"), format!("{place}add an [issuers.NAME] table for it"));
}

#[test]
fn an_issuer_with_a_mistake_is_not_unknown() {
    let mistakes = mistakes(
        "[issuers.as]\nissuer = \"nowhere\"\n\
         [clients.c]\nissuer = \"as\"\nclient_id = \"c\"\nauth = \"private_key_jwt\"\n",
    );
    assert_eq!(mistakes, ["c.toml:2:10: `issuers.as.issuer`: not an absolute URL such as https://host/path"]);
}

#[test]
fn an_issuer_identifier_with_a_mistake_is_not_absent() {
    let text = "[issuers.as]\nissuer = \"nowhere\"\ntoken_endpoint = \"https://as.example/token\"\n\
                [clients.c]\nissuer = \"as\"\nclient_id = \"c\"\nauth = \"private_key_jwt\"\n";
    assert_eq!(
        mistake(text),
        "c.toml:2:10: `issuers.as.issuer`: not an absolute URL such as https://host/path"
    );
}

#[test]
fn an_unknown_preset_comes_with_the_nearest() {
    assert_eq!(
        mistake("[issuers.as]\npreset = \"signaturgrupen-pp\"\n"),
        "c.toml:2:10: `issuers.as.preset`: unknown preset\nhint: did you mean `signaturgruppen-pp`?"
    );
    assert_eq!(
        mistake("[issuers.as]\npreset = \"bank\"\n"),
        "c.toml:2:10: `issuers.as.preset`: unknown preset\nhint: known here: signaturgruppen, signaturgruppen-pp, \
         keycloak, entra-id, auth0, okta, duende-identityserver"
    );
}

#[test]
fn an_issuer_needs_to_be_found() {
    assert_eq!(
        mistake("\n [issuers.as]\ntimeout = \"1s\"\n"),
        "c.toml:2:11: an issuer needs `preset`, `issuer` or `token_endpoint`\n\
         hint: with `issuer` the token endpoint is discovered"
    );
}

#[test]
fn what_a_client_must_have_is_asked_for_in_one_go() {
    assert_eq!(
        mistake(&format!("{ISSUER}[clients.c]\nscope = \"a\"\n")),
        "c.toml:3:10: `issuer`, `client_id`, `auth` missing in [clients.c]\n\
         hint: set, for example, issuer = \"NAME\", client_id = \"...\", auth = \"client_secret_basic\""
    );
}

#[test]
fn values_out_of_range_are_refused() {
    for (lines, expected) in [
        ("timeout = \"50ms\"", "3:11: `issuers.as.timeout`: expected a duration from 100ms to 5m"),
        ("timeout = \"1h\"", "3:11: `issuers.as.timeout`: expected a duration from 100ms to 5m"),
        (
            "timeout = \"10 seconds\"",
            "3:11: `issuers.as.timeout`: expected a duration such as \"10s\" or \"1h30m\"\n\
             hint: the units are d, h, m, s and ms, the longer before the shorter",
        ),
        (
            "default_lifetime = \"0s\"",
            "3:20: `issuers.as.default_lifetime`: expected a duration from 1s to 30d",
        ),
        ("max_lifetime = \"31d\"", "3:16: `issuers.as.max_lifetime`: expected a duration from 1s to 30d"),
        ("max_in_flight = 0", "3:17: `issuers.as.max_in_flight`: expected a whole number from 1 to 1000"),
        (
            "max_per_second = -1",
            "3:18: `issuers.as.max_per_second`: expected a whole number from 0 to 100000",
        ),
        ("renew_at = 1", "3:12: `issuers.as.renew_at`: expected a number from 0.1 to 0.95"),
        ("renew_at = nan", "3:12: `issuers.as.renew_at`: expected a number from 0.1 to 0.95"),
        ("assertion_typ = \"\"", "3:17: `issuers.as.assertion_typ`: expected a string that is not empty"),
        (
            "basic_encoding = \"fomr\"",
            "3:18: `issuers.as.basic_encoding`: expected one of form, raw\nhint: did you mean \"form\"?",
        ),
    ] {
        assert_eq!(issuer_mistake(lines), format!("c.toml:{expected}"));
    }
    for (lines, expected) in [
        ("renew_at = 0.05", "7:12: `clients.c.renew_at`: expected a number from 0.1 to 0.95"),
        ("scope = \"\"", "7:9: `clients.c.scope`: expected strings that are not empty"),
        (
            "scope = []",
            "7:9: `clients.c.scope`: a scope has at least one word\n\
             hint: leave `scope` out to take the server's default",
        ),
        ("audience = \"\"", "7:12: `clients.c.audience`: expected a string that is not empty"),
        (
            "resource = [\"https://api.example\", \"api\"]",
            "7:12: `clients.c.resource`: expected absolute URIs without a fragment (#...)",
        ),
        (
            "params = { grant_type = \"password\" }",
            "7:25: `clients.c.params.grant_type`: the broker sends this parameter itself\n\
             hint: remove it from `params`",
        ),
        (
            "allow = []",
            "7:1: `clients.c.allow`: an empty list permits nobody\n\
             hint: without `allow`, root and the daemon's own user have the token",
        ),
        ("allow = [{ user = \"a\" }, {}]", "7:26: a rule needs a condition: `user`, `group` or `unit`"),
        (
            "allow = [{ user = \"\" }]",
            "7:19: `clients.c.allow.user`: expected a name, not empty and without colons and control characters",
        ),
        (
            "allow = [{ group = \"99999999999\" }]",
            "7:20: `clients.c.allow.group`: expected a numeric ID below 4294967296",
        ),
        (
            "allow = [{ user = 65534 }]",
            "7:19: `clients.c.allow.user`: 65534 permits nobody: it stands for whoever has no ID on this host\n\
             hint: give the caller a user or a group of its own, and name that",
        ),
        (
            "allow = [{ group = \"65534\" }]",
            "7:20: `clients.c.allow.group`: 65534 permits nobody: it stands for whoever has no ID on this host\n\
             hint: give the caller a user or a group of its own, and name that",
        ),
    ] {
        assert_eq!(client_mistake(lines), format!("c.toml:{expected}"));
    }
}

#[test]
fn a_client_id_is_some_text() {
    for (id, expected) in
        [("", "expected a string that is not empty"), ("a\\n", "a client ID has no control characters")]
    {
        let text = format!(
            "{ISSUER}[clients.c]\nissuer = \"as\"\nclient_id = \"{id}\"\nauth = \"client_secret_post\"\n"
        );
        assert_eq!(mistake(&text), format!("c.toml:5:13: `clients.c.client_id`: {expected}"));
    }
}

#[test]
fn names_of_clients_and_issuers_are_narrow() {
    let rule = "hint: a name has 1 to 64 letters, digits, dots, dashes and underscores, \
                and begins with a letter or a digit";
    assert_eq!(
        mistake(&format!(
            "{ISSUER}[clients.\"a/b\"]\nissuer = \"as\"\nclient_id = \"c\"\nauth = \"client_secret_post\"\n"
        )),
        format!("c.toml:3:10: a client can't have this name\n{rule}")
    );
    assert_eq!(
        mistake("[issuers.-as]\nissuer = \"https://as.example\"\n"),
        format!("c.toml:1:10: an issuer can't have this name\n{rule}")
    );
}

#[test]
fn paths_begin_at_the_root() {
    for (text, expected) in [
        ("[daemon]\nsocket = \"broker.sock\"\n", "2:10: `daemon.socket`"),
        ("[daemon]\nstate_dir = \"./state\"\n", "2:13: `daemon.state_dir`"),
        ("[keystore]\nkey_file = \"~/key\"\n", "2:12: `keystore.key_file`"),
    ] {
        assert_eq!(mistake(text), format!("c.toml:{expected}: expected an absolute path"));
    }
}

#[test]
fn a_socket_has_a_path_that_fits() {
    let with_socket = |length: usize| format!("[daemon]\nsocket = \"/{}\"\n", "s".repeat(length - 1));
    assert!(parse_text(&with_socket(107)).is_ok());
    assert!(parse_text(&with_socket(107).replace("socket", "http_socket")).is_ok());
    assert!(parse_text(&with_socket(108).replace("socket", "http_socket")).is_err());
    assert_eq!(
        mistake(&with_socket(108)),
        "c.toml:2:10: `daemon.socket`: the path of a socket has at most 107 bytes\n\
         hint: choose a shorter one, such as \"/run/tokenbroker/broker.sock\""
    );
}

#[test]
fn a_preset_does_not_go_with_the_issuer_of_another() {
    for (preset, other, issuer) in [
        ("signaturgruppen-pp", "signaturgruppen", "https://netseidbroker.dk/op"),
        ("signaturgruppen", "signaturgruppen-pp", "https://pp.netseidbroker.dk/op/"),
    ] {
        assert_eq!(
            mistake(&format!("[issuers.as]\npreset = \"{preset}\"\nissuer = \"{issuer}\"\n")),
            format!(
                "c.toml:3:10: `issuers.as.issuer`: this is the issuer of preset = \"{other}\"\n\
                 hint: set that preset, or remove `issuer` to stay with \"{preset}\"; client IDs of one are \
                 unknown to the other"
            )
        );
        assert!(parse_text(&format!("[issuers.as]\npreset = \"{other}\"\nissuer = \"{issuer}\"\n")).is_ok());
        assert!(parse_text(&format!("[issuers.as]\nissuer = \"{issuer}\"\n")).is_ok());
    }
}

#[test]
fn a_preset_without_its_tenant_says_what_that_is() {
    assert_eq!(
        mistake("[issuers.as]\npreset = \"okta\"\n"),
        "c.toml:2:10: `issuers.as.preset`: preset \"okta\" needs a `tenant`\n\
         hint: add `tenant` to the issuer: domain and authorization server, as in acme.okta.com/oauth2/default"
    );
    for tenant in
        ["", "https://acme.okta.com", "acme.okta.com/", "a//b", "../x", "a b", "acme?x=y", "a#b", "u@h"]
    {
        let said = mistake(&format!("[issuers.as]\npreset = \"okta\"\ntenant = \"{tenant}\"\n"));
        assert!(said.starts_with("c.toml:3:10: `issuers.as.tenant`: "), "{tenant}: {said}");
    }
    assert!(
        mistake("[issuers.as]\npreset = \"signaturgruppen\"\ntenant = \"x\"\n")
            .starts_with("c.toml:3:1: `issuers.as.tenant`: only some presets have tenants")
    );
}

#[test]
fn only_clients_that_sign_have_an_algorithm() {
    assert_eq!(
        client_mistake("assertion_alg = \"RS256\""),
        "c.toml:7:1: `clients.c.assertion_alg`: only clients with auth = \"private_key_jwt\" or \
         \"client_secret_jwt\" sign assertions\n\
         hint: remove it, or change `auth`"
    );
    assert_eq!(
        mistake(&format!(
            "{ISSUER}[clients.c]\nissuer = \"as\"\nclient_id = \"c\"\nauth = \"private_key_jwt\"\n\
             assertion_alg = \"rs256\"\n"
        )),
        "c.toml:7:17: `clients.c.assertion_alg`: expected one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, \
         ES384, ES512, EdDSA\n\
         hint: did you mean \"RS256\"?"
    );
    assert_eq!(
        mistake(&format!(
            "{ISSUER}[clients.c]\nissuer = \"as\"\nclient_id = \"c\"\nauth = \"client_secret_jwt\"\n\
             assertion_alg = \"RS256\"\n"
        )),
        "c.toml:7:17: `clients.c.assertion_alg`: expected one of HS256, HS384, HS512\n\
         hint: did you mean \"HS256\"?"
    );
}

#[test]
fn an_assertion_needs_an_audience() {
    let text = "[issuers.as]\ntoken_endpoint = \"https://as.example/token\"\n\
                [clients.c]\nissuer = \"as\"\nclient_id = \"c\"\nauth = \"private_key_jwt\"\n";
    assert_eq!(
        mistake(text),
        "c.toml:6:1: `clients.c.auth`: the audience of assertions is not known: the issuer has no identifier\n\
         hint: add `issuer` to [issuers.as], or assertion_audience = \"token-endpoint\" or what the server wants"
    );
}

#[test]
fn a_raw_basic_header_has_no_room_for_a_colon() {
    let text = format!(
        "{ISSUER}basic_encoding = \"raw\"\n\
         [clients.c]\nissuer = \"as\"\nclient_id = \"a:b\"\nauth = \"client_secret_basic\"\n"
    );
    assert_eq!(
        mistake(&text),
        "c.toml:6:1: `clients.c.client_id`: a raw Basic header can't carry a client ID with a colon\n\
         hint: use auth = \"client_secret_post\" if the server has it"
    );
}

#[test]
fn s44_a_proxy_is_the_environment_or_a_bare_http_url() {
    let expected = "expected \"environment\" or a URL such as \"http://proxy.example:3128\"";
    for value in [
        "proxy.example:3128",
        "Environment",
        "none",
        "http://",
        "http:proxy.example",
        "http://proxy example",
        "http://proxy.example\\\\path",
        "http://proxy.example/path",
        "http://proxy.example?query",
        "http://proxy.example#fragment",
        "socks5://proxy.example:1080",
    ] {
        assert_eq!(
            issuer_mistake(&format!("proxy = \"{value}\"")),
            format!("c.toml:3:9: `issuers.as.proxy`: {expected}")
        );
    }
    assert_eq!(
        issuer_mistake("proxy = true"),
        "c.toml:3:9: `issuers.as.proxy`: expected a string, found a boolean"
    );
    assert_eq!(
        issuer_mistake("proxy = \"https://proxy.example:3129\""),
        "c.toml:3:9: `issuers.as.proxy`: a proxy is talked to by http\n\
         hint: write http://: through the proxy goes TLS from here to the server, which the proxy can't look into"
    );
}

#[test]
fn s56_a_password_for_a_proxy_is_refused() {
    for value in
        ["http://user:hunter2@proxy.example:3128", "http://@proxy.example", "user:hunter2@proxy.example"]
    {
        assert_eq!(
            issuer_mistake(&format!("proxy = \"{value}\"")),
            "c.toml:3:9: `issuers.as.proxy`: a user name or password must not be in the configuration\n\
             hint: set proxy = \"environment\", and HTTPS_PROXY in the daemon's environment"
        );
    }
}

#[test]
fn s44_a_server_on_this_host_has_no_proxy() {
    let table = "[issuers.as]\nissuer = \"http://127.0.0.1:8080\"\nallow_plain_http = true\n";
    assert_eq!(
        mistake(&format!("{table}proxy = \"http://proxy.example:3128\"\n")),
        "c.toml:4:1: `issuers.as.proxy`: a server that is asked by plain http is never asked through a proxy\n\
         hint: remove `proxy`, or use the server's https:// URL"
    );
    assert!(
        parse_text(&format!("{table}proxy = \"environment\"\n")).is_ok(),
        "which may name one for others"
    );
}

#[test]
fn s45_an_address_where_no_server_is_is_refused_where_it_is_written() {
    let allow = "if that is where it has to go, set allow_link_local = true";
    for (line, what, hint) in [
        ("token_endpoint = \"https://169.254.169.254/token\"", "link-local", allow),
        ("token_endpoint = \"https://[fe80::1]/token\"", "link-local", allow),
        ("token_endpoint = \"https://[::ffff:169.254.1.1]/\"", "link-local", allow),
        ("token_endpoint = \"https://0xA9FEA9FE/\"", "link-local", allow),
        ("token_endpoint = \"https://2852039166/\"", "link-local", allow),
        ("token_endpoint = \"https://0251.0376.1/\"", "link-local", allow),
        ("token_endpoint = \"https://169.254.169.254./\"", "link-local", allow),
        ("token_endpoint = \"https://[fd00:ec2::254]/\"", "the metadata service of a cloud", allow),
        ("proxy = \"http://169.254.1.1:3128\"", "link-local", allow),
        (
            "proxy = \"http://0.0.0.0:3128\"",
            "the address of no host",
            "for a server on this host write 127.0.0.1 or [::1]",
        ),
    ] {
        let (key, _) = line.split_once(' ').unwrap();
        assert_eq!(
            issuer_mistake(line),
            format!(
                "c.toml:3:1: `issuers.as.{key}`: no request is sent to this address: it is {what}\nhint: {hint}"
            )
        );
        let allowed = parse_text(&format!("{ISSUER}{line}\nallow_link_local = true\n"));
        assert_eq!(allowed.is_ok(), what != "the address of no host", "{line}");
    }
    assert_eq!(
        mistake("[issuers.as]\nissuer = \"https://169.254.169.254\"\n"),
        format!(
            "c.toml:2:1: `issuers.as.issuer`: no request is sent to this address: it is link-local\nhint: {allow}"
        )
    );
    let named =
        "[issuers.as]\nissuer = \"https://169.254.169.254\"\ntoken_endpoint = \"https://as.example/\"\n";
    assert!(parse_text(named).is_ok(), "what is no more than a name in an assertion is never asked");
    assert_eq!(
        issuer_mistake("proxy = \"http://169.254.1.1\"\nallow_link_local = \"yes\""),
        "c.toml:4:20: `issuers.as.allow_link_local`: expected true or false, found a string"
    );
}

#[test]
fn limits_of_callers_have_bounds() {
    for (setting, expected) in [
        (
            "max_connections_per_uid = 0",
            "c.toml:2:27: `daemon.max_connections_per_uid`: expected a whole number from 1 to 65536",
        ),
        (
            "max_requests_per_connection = 5000",
            "c.toml:2:31: `daemon.max_requests_per_connection`: expected a whole number from 1 to 4096",
        ),
    ] {
        assert_eq!(mistake(&format!("[daemon]\n{setting}\n")), expected);
    }
}

#[test]
fn memory_is_one_of_three_words() {
    assert_eq!(
        mistake("[daemon]\nmemory = \"required\"\n"),
        "c.toml:2:10: `daemon.memory`: expected one of require, prefer, off\nhint: did you mean \"require\"?"
    );
}

#[test]
fn the_two_sockets_are_not_the_same() {
    assert_eq!(
        mistake("[daemon]\nhttp_socket = \"/run/one.sock\"\nsocket = \"/run/one.sock\"\n"),
        "c.toml:2:1: `daemon.http_socket`: is the same as `daemon.socket`, which does not speak HTTP\n\
         hint: give each a socket of its own, such as \"/run/tokenbroker/http.sock\" here"
    );
    assert!(parse_text("[daemon]\nhttp_socket = \"/run/one.sock\"\n").is_ok());
}

#[test]
fn the_audit_goes_to_the_journal_an_absolute_path_or_nowhere() {
    for place in ["syslog", "audit.jsonl", "Journal"] {
        assert_eq!(
            mistake(&format!("[daemon]\naudit = {place:?}\n")),
            "c.toml:2:9: `daemon.audit`: expected \"journal\", \"off\" or the absolute path of a file\n\
             hint: a file is named like \"/var/log/tokenbroker/audit.jsonl\""
        );
    }
    for place in ["journal", "off", "/var/log/audit.jsonl"] {
        assert!(parse_text(&format!("[daemon]\naudit = {place:?}\n")).is_ok(), "{place}");
    }
}

#[test]
fn what_comes_later_is_refused_by_name() {
    assert_eq!(
        mistake("[daemon]\nsandbox = 1\n"),
        "c.toml:2:1: `daemon.sandbox` is not supported yet\nhint: remove it"
    );
    assert_eq!(
        issuer_mistake("tenant = \"x\""),
        "c.toml:3:1: `issuers.as.tenant`: only some presets have tenants\n\
         hint: remove it; `tokenbroker presets` lists those that have"
    );
    assert_eq!(
        mistake("[[files]]\nclient = \"c\"\n"),
        "c.toml:1:3: `files` is not supported yet\nhint: remove it"
    );
}

#[test]
fn mistakes_in_toml_itself_have_a_place_too() {
    assert_eq!(
        mistake("[daemon\nsocket = 1\n"),
        "c.toml:1:8: this is not TOML: unclosed table, expected `]`"
    );
    assert_eq!(
        mistakes("[daemon]\nüß = 1\nsocket = \"/a\n"),
        [
            "c.toml:2:1: this is not TOML: invalid unquoted key, expected letters, numbers, `-`, `_`",
            "c.toml:3:13: this is not TOML: invalid basic string, expected `\"`",
        ]
    );
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_files_and_lines() {
    let errors = parse_files(&[
        ("config.toml", "[clients.c]\nissuer = \"as\"\nclient_id = \"\"\n[daemon]\nsocket = 1\n"),
        ("conf.d/a.toml", "[clients.c]\nauth = \"basic\"\nclient_id = \"c\"\n[deamon]\n"),
    ])
    .unwrap_err();
    let places: Vec<_> =
        errors.0.iter().map(|error| (error.path.to_str().unwrap(), error.line, error.column)).collect();
    assert_eq!(
        places,
        [
            ("config.toml", 2, 10),
            ("config.toml", 3, 13),
            ("config.toml", 5, 10),
            ("conf.d/a.toml", 2, 8),
            ("conf.d/a.toml", 3, 1),
            ("conf.d/a.toml", 4, 2),
        ]
    );
}
