//! Everything that can be done with secrets and tokens, and a look at whatever is said meanwhile.

use std::fs;

use tokenbroker_client::blocking::Broker;
use tokenbroker_testkit::Fault;

use crate::marks::{TOKEN_MARK, canary};
use crate::site::{Site, client};

/// What reads.
pub(crate) fn read_everything(site: &Site) {
    for format in ["token", "header", "json", "env", "curl"] {
        site.get(0, &["--format", format]);
    }
    site.get(1, &["--scope", "a", "--min-ttl", "5s"]);
    for arguments in [
        &["status"][..],
        &["status", "--json"],
        &["status", "c0000"],
        &["secret", "list"],
        &["key", "list", "signer"],
        &["doctor"],
        &["doctor", "--json"],
        &["test", "c0000"],
        &["test", "c0001"],
        &["test", "c0002", "--json"],
        &["renew", "c0000"],
        &["reload"],
        &["policy", "explain", "c0000", "--user", "root"],
        &["get", "nobody"],
        &["get", "c0000", "--scope", "not-one-of-its"],
    ] {
        site.run(arguments);
    }
    for path in ["/metrics", "/v1/status", "/livez", "/readyz", "/v1/tokens/nobody"] {
        let answer = site.http(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
        assert!(answer.starts_with(b"HTTP/1.1 "));
        assert_eq!(site.needles.find(&answer), [""; 0], "{path}");
    }
    let token = site.http("GET /v1/tokens/c0000 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(!site.needles.find(&token).is_empty(), "{}", token.escape_ascii());

    // Its memory is kept up to date by a subscription.
    let broker = Broker::builder().socket(site.install.socket()).build();
    let token = broker.token("c0001").unwrap();
    assert_eq!(site.needles.find(format!("{token:?}").as_bytes()), [""; 0]);
    let newer = broker.rejected(&token).unwrap();
    assert!(newer.value().contains(TOKEN_MARK) && newer.value() != token.value());
}

/// What writes.
pub(crate) fn change_credentials(site: &Site) {
    for (arguments, stdin) in [
        (&["key", "generate", "signer", "--alg", "EdDSA"][..], ""),
        (&["key", "public", "signer"], ""),
        (&["key", "public", "signer", "--format", "jwks"], ""),
        (&["key", "import", "signer", "--alg", "EdDSA"], &site.key),
        (&["key", "import", "signer"], "no key at all"),
        (&["key", "retire", "signer", "--kid", "unknown"], ""),
        (&["secret", "set", "c0000", "--next"], &canary("next", 0)),
        (&["renew", "c0000"], ""),
        (&["secret", "list", "c0000"], ""),
        (&["secret", "remove", "c0000", "--next"], ""),
        (&["secret", "set", "signer"], &canary("wrong", 0)),
        (&["secret", "set", "nobody"], &canary("wrong", 1)),
        (&["secret", "remove", "c0002"], ""),
        (&["secret", "set", "c0002"], &canary("secret", 2)),
    ] {
        site.checked(site.install.cli(arguments).stdin(stdin).run());
    }
    let listed = site.run(&["key", "list", "signer", "--json"]);
    assert!(listed.stdout.contains("EdDSA"), "{listed:?}");
    // It signs with what was imported; the server does not know that key.
    site.run(&["test", "signer"]);
    for argument in [canary("argument", 1), format!("--{}", canary("option", 1))] {
        // It was told already, and is not told again.
        let refused = site.install.cli(["secret", "set", "c0000", &argument]).run();
        assert_eq!(refused.code, 2, "{refused:?}");
    }
}

/// What an authorization server may say of it.
pub(crate) fn have_the_server_tell(site: &Site) {
    let token = site.get(1, &[]);
    for (number, told) in [(0, canary("secret", 0)), (1, token.trim().to_owned()), (2, canary("secret", 2))] {
        for status in [400, 401, 403, 500] {
            let name = client(number);
            let body = serde_json::json!({
                "error": "invalid_request",
                "error_description": format!("what is {told}?"),
                "error_uri": told,
            });
            let body = body.to_string().into_bytes();
            site.server
                .set_client_fault(&name, Fault::Garbage { status, content_type: "application/json", body });
            site.run(&["renew", &name]);
            site.run(&["test", &name]);
            site.run(&["status", &name]);
            let body = format!("<html>{told}</html>").into_bytes();
            site.server.set_client_fault(&name, Fault::Garbage { status, content_type: "text/html", body });
            site.run(&["renew", &name]);
            site.run(&["test", &name]);
        }
        site.server.clear_client_fault(&client(number));
        site.run(&["renew", &client(number)]);
    }
}

/// A configuration with a secret in it, and files that are not what they were.
pub(crate) fn damage(site: &Site) {
    let file = site.install.config_file();
    let before = fs::read_to_string(&file).unwrap();
    let with_secret = before.replacen(
        "[clients.c0000]",
        &format!("[clients.c0000]\nsecret = {:?}", canary("config", 0)),
        1,
    );
    fs::write(&file, with_secret).unwrap();
    site.run(&["reload"]);
    site.run(&["doctor"]);
    fs::write(&file, before).unwrap();
    site.run(&["reload"]);
}
