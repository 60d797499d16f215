//! Servers that speak TLS badly, for somebody else, or not at all: nobody sends them a credential.

use tokenbroker_testkit::hostile::{Identity, Port, Script};
use tokenbroker_testkit::{HostileServer, Install};

use crate::host::{Host, tables};
use crate::{SECRET, TOKEN};

/// A client whose server is this, and that trusts that authority.
fn trusting(name: &str, server: &HostileServer, authority: &HostileServer) -> String {
    let address = server.address();
    let keys = format!("ca_file = {:?}\ntimeout = \"1s\"\n", authority.ca_file());
    tables(name, &format!("https://{address}/token"), &keys)
}

#[test]
fn a_certificate_that_is_not_the_servers_or_not_of_today_is_not_trusted() {
    let identities = [
        ("unknown-authority", Identity::UnknownAuthority, "not from a CA that is trusted here"),
        ("self-signed", Identity::SelfSigned, "not from a CA that is trusted here"),
        ("other-name", Identity::OtherName, ""),
        ("expired", Identity::Expired, ""),
        ("not-yet-valid", Identity::NotYetValid, ""),
        ("right", Identity::Right, ""),
    ];
    let servers =
        identities.map(|(name, identity, words)| (name, HostileServer::on(Port::Https(identity)), words));
    let mut config = String::new();
    for (name, server, _) in &servers {
        server.at("/token", Script::token(TOKEN, 3600));
        config += &trusting(name, server, server);
    }
    let host = Host::start(&config, servers.iter().map(|(name, ..)| *name));
    assert_eq!(host.get("right"), TOKEN);
    for (name, server, words) in servers.iter().filter(|(name, ..)| *name != "right") {
        let status = host.failed(name, "tls");
        assert_eq!(status["state"], "unavailable", "{status}");
        let said = host.refused(name, 5, &["error: TLS with 127.0.0.1 failed: ", words, "\nhint: "]);
        assert!(said.contains("ca_file"), "{said}");
        assert!(server.all_seen().is_empty(), "{name} saw a request");
        assert!(server.connections() <= 12, "{name}: {} connections", server.connections());
    }
    host.leaks_nothing();
}

#[test]
fn what_is_no_tls_gets_no_credential() {
    let authority = HostileServer::on(Port::Https(Identity::Right));
    let alert = |description: u8| vec![0x15, 3, 1, 0, 2, 2, description];
    // A ServerHello that chooses TLS 1.1 and a cipher suite of its time.
    let mut hello = vec![0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    let ports = [
        (
            "plain-http",
            Script::new().write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").hang(),
            "tls",
        ),
        ("ssh", Script::new().write("SSH-2.0-OpenSSH_9.9\r\n").hang(), "tls"),
        ("zeros", Script::new().write([0; 4096]).hang(), "tls"),
        ("old-version", Script::new().write(hello).hang(), "tls"),
        ("alert-version", Script::new().write(alert(70)).hang(), "tls"),
        ("alert-handshake", Script::new().write(alert(40)).hang(), "tls"),
        ("half-record", Script::new().write([0x16, 3, 3, 0x40, 0, 2]).hang(), "timeout"),
        ("silence", Script::new().hang(), "timeout"),
        ("reset", Script::new().reset(), "network"),
        ("close", Script::new(), "network"),
    ];
    let ports = ports.map(|(name, script, code)| (name, HostileServer::on(Port::Says(script)), code));
    let config: String = ports.iter().map(|(name, server, _)| trusting(name, server, &authority)).collect();
    let host = Host::start(&config, ports.iter().map(|(name, ..)| *name));
    for (name, server, code) in &ports {
        let status = host.failed(name, code);
        assert_eq!(status["state"], "unavailable", "{status}");
        host.refused(name, 5, &["error: ", "127.0.0.1"]);
        let heard = server.heard();
        let has = |text: &str| heard.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!has(SECRET) && !has("client_id") && !has("POST"), "{name} was told something");
        assert!(server.connections() <= 12, "{name}: {} connections", server.connections());
    }
    host.leaks_nothing();
}

#[test]
fn plain_http_is_no_way_out_for_an_issuer_that_is_not_allowed_to_have_it() {
    let server = HostileServer::start();
    let table = tables("app", &server.url("/token"), "").replace("allow_plain_http = true\n", "");
    let install = Install::new();
    install.config(&table);
    install.tokenbrokerd([""; 0]).run().refused(78, &["error: ", "plain http is refused"]);
    assert_eq!(server.connections(), 0);
}

#[test]
fn s43_another_authority_counts_after_a_reload_and_verification_is_never_off() {
    let server = HostileServer::on(Port::Https(Identity::Right));
    server.at("/token", Script::token(&format!("{TOKEN}-1"), 3600));
    let install = Install::new();
    let ca_file = server.copy_ca_file(&install.path().join("ca.pem"));
    let keys = format!("ca_file = {ca_file:?}\ntimeout = \"2s\"\n");
    install.config(&tables("app", &server.url("/token"), &keys));
    let host = Host::in_install(install);
    host.set_secrets(["app"]);
    assert_eq!(host.get("app"), format!("{TOKEN}-1"));

    // The server moves to a certificate of another authority.
    let server = server.become_another(Port::Https(Identity::Right));
    server.at("/token", Script::token(&format!("{TOKEN}-2"), 3600));
    host.cli(&["renew", "app"]).refused(5, &["error: TLS with 127.0.0.1 failed: "]);
    host.cli(&["reload"]).success();
    host.cli(&["renew", "app"]).refused(5, &["error: TLS with 127.0.0.1 failed: "]);
    assert_eq!(host.get("app"), format!("{TOKEN}-1"), "the token lives on");
    assert!(server.all_seen().is_empty(), "and no secret was sent");

    server.copy_ca_file(&ca_file);
    host.cli(&["reload"]).success();
    host.cli(&["renew", "app"]).success();
    assert_eq!(host.get("app"), format!("{TOKEN}-2"));

    // The old authority does not count any more, nor does one that nobody named.
    let server = server.become_another(Port::Https(Identity::UnknownAuthority));
    host.cli(&["reload"]).success();
    host.cli(&["renew", "app"]).refused(5, &["error: TLS with 127.0.0.1 failed: "]);
    // A CA file that is gone is a mistake in the configuration, and what was there before stays in force.
    std::fs::remove_file(&ca_file).unwrap();
    host.cli(&["reload"]).refused(1, &["error: ", "the file can't be used"]);
    host.cli(&["renew", "app"]).refused(5, &["error: TLS with 127.0.0.1 failed: "]);
    assert!(server.all_seen().is_empty());
    assert_eq!(host.get("app"), format!("{TOKEN}-2"));
    host.leaks_nothing();
}
