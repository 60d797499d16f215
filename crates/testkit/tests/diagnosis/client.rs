//! `test CLIENT`.

use std::fs;
use std::net::TcpListener;

use tokenbroker_testkit::{AuthServer, Client, Fault, Install, configuration};

use crate::{Checks, SECRET, Site};

#[test]
fn every_step_is_explained_and_nothing_is_kept() {
    let site = Site::start();
    site.install.cli(["get", "app"]).run().success();
    let generation = site.install.status("app")["generation"].clone();
    let requests = site.server.token_requests("app");
    let checks = site.test();
    for subject in ["credential", "resolve", "connect", "tls", "discover", "clock", "authenticate", "token"] {
        assert_eq!(checks.verdict(subject), Some("good"), "{subject}: {:#?}", checks.checks);
    }
    assert_eq!((checks.code, site.server.token_requests("app")), (0, requests + 1));
    assert_eq!(site.install.status("app")["generation"], generation);

    let words = site.install.cli(["test", "app"]).run();
    assert_eq!(words.code, 0);
    assert!(words.stdout.contains("authenticate") && words.stdout.contains("token endpoint"), "{words:?}");
}

#[test]
fn what_is_wrong_with_the_credential_is_said_before_anything_is_sent() {
    let site = Site::start();
    site.install.cli(["secret", "remove", "app"]).run().success();
    let requests = site.server.token_requests("app");
    let checks = site.test();
    checks.assert_finds("bad", "credential", "no credential for client app", "tokenbroker secret set app");
    assert_eq!(checks.verdict("authenticate"), Some("skipped"));
    assert_eq!(site.server.token_requests("app"), requests);
}

#[test]
fn a_wrong_secret_and_one_that_was_pasted_badly_are_told_apart_from_a_right_one() {
    let site = Site::start();
    site.set("not the secret");
    site.test().assert_finds("bad", "authenticate", "invalid_client", "tokenbroker secret set app");
    site.set(&format!(" {SECRET}"));
    let checks = site.test();
    checks.assert_finds("warning", "credential", "white space", "tokenbroker secret set app");
    checks.assert_finds("bad", "authenticate", "invalid_client", "");
    site.set(&format!("\"{SECRET}\""));
    site.test().assert_finds("warning", "credential", "quotation marks", "tokenbroker secret set app");
}

#[test]
fn an_audience_that_the_server_does_not_take_is_named_with_the_other_one() {
    let server = AuthServer::builder().audience_is_token_endpoint().start();
    let site = Site::with(
        server,
        &(configuration::client("key", "test", "private_key_jwt") + "assertion_alg = \"ES256\"\n"),
    );
    site.install.cli(["key", "generate", "key"]).run().success();
    let jwk = site.install.cli(["key", "public", "key", "--format", "jwk"]).run().success();
    site.server.register(Client::private_key_jwt("key", &jwk));
    let checks = Checks::of(&site.install, &["test", "key", "--json"]);
    checks.assert_finds("bad", "authenticate", "invalid_client", "assertion_audience = \"token-endpoint\"");
}

#[test]
fn a_key_that_is_not_for_the_configured_algorithm_or_not_known_to_the_server_is_said_to_be_that() {
    let keys = configuration::client("key", "test", "private_key_jwt") + "assertion_alg = \"ES256\"\n";
    let site = Site::with(AuthServer::start(), &keys);
    site.install.cli(["key", "generate", "key"]).run().success();
    let jwk = site.install.cli(["key", "public", "key", "--format", "jwk"]).run().success();
    site.server.register(Client::private_key_jwt("key", &jwk));
    assert_eq!(Checks::of(&site.install, &["test", "key", "--json"]).code, 0);

    site.install.cli(["key", "generate", "key", "--kid", "another"]).run().success();
    let unknown = Checks::of(&site.install, &["test", "key", "--json"]);
    unknown.assert_finds("bad", "authenticate", "invalid_client", "tokenbroker key public key");

    let text = fs::read_to_string(site.install.config_file()).unwrap();
    fs::write(site.install.config_file(), text.replace("\"ES256\"", "\"RS256\"")).unwrap();
    site.install.cli(["reload"]).run().success();
    let another = Checks::of(&site.install, &["test", "key", "--json"]);
    another.assert_finds(
        "bad",
        "authenticate",
        "the key of key is for ES256, and RS256 is asked for",
        "assertion_alg",
    );
}

#[test]
fn a_scope_that_is_refused_or_narrowed_is_not_taken_for_a_refused_client() {
    let site = Site::with(AuthServer::start(), "scope = \"read admin\"\n");
    site.server.register(Client::secret_basic("app", SECRET).scope("read"));
    let checks = site.test();
    checks.assert_finds("bad", "token", "invalid_scope", "scope");
    assert_eq!(checks.verdict("authenticate"), Some("good"));
}

#[test]
fn s43_a_server_that_is_not_there_does_not_answer_or_has_a_foreign_certificate_is_each_said_so() {
    let install = Install::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tls = AuthServer::builder().tls(true).start();
    let other = AuthServer::builder().tls(true).start();
    install.config(&format!(
        "[issuers.closed]\nissuer = \"http://{closed}\"\nallow_plain_http = true\n\
         [issuers.unknown]\nissuer = \"https://no-such-host.invalid\"\n\
         [issuers.foreign]\nissuer = {:?}\nca_file = {:?}\n{}{}{}",
        tls.issuer(),
        other.ca_file().unwrap(),
        configuration::client("closed", "closed", "client_secret_post"),
        configuration::client("unknown", "unknown", "client_secret_post"),
        configuration::client("foreign", "foreign", "client_secret_post"),
    ));
    let _daemon = install.start();
    for client in ["closed", "unknown", "foreign"] {
        install.cli(["secret", "set", client]).stdin(SECRET).run().success();
    }
    let of = |client| Checks::of(&install, &["test", client, "--json"]);
    of("closed").assert_finds("bad", "connect", "nothing can be connected to", "firewall");
    of("unknown").assert_finds("bad", "resolve", "can't be looked up", "[issuers.unknown]");
    let foreign = of("foreign");
    foreign.assert_finds("bad", "tls", "not from a CA that is trusted here", "ca_file");
    assert_eq!(foreign.verdict("connect"), Some("good"));
}

#[test]
fn a_web_page_in_the_place_of_an_answer_is_something_in_between() {
    let site = Site::start();
    let body = b"<html>Access denied</html>".to_vec();
    site.server.set_fault(Fault::Garbage { status: 403, content_type: "text/html", body });
    site.test().assert_finds("bad", "authenticate", "", "a proxy or a gateway in between");
    site.server.set_fault(Fault::None);
    assert_eq!(site.test().code, 0);
}

#[test]
fn only_administrators_may_and_a_client_that_is_not_there_has_the_nearest_name() {
    let site = Site::start();
    let unknown = site.install.cli(["test", "ap"]).run();
    unknown.refused(4, &["there is no client \"ap\"", "did you mean app?"]);
}
