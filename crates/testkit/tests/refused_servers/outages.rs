//! An unexpired token is served whatever the server says in the meantime.

use std::time::Duration;

use serde_json::Value;
use tokenbroker_testkit::{AuthServer, Client, Fault, configuration, wait_until};

use crate::{Host, SOON};

fn garbage(status: u16, body: impl Into<Vec<u8>>) -> Fault {
    Fault::Garbage { status, content_type: "text/html", body: body.into() }
}

#[test]
fn s21_an_unexpired_token_is_served_through_every_failure() {
    let server = AuthServer::start();
    server.register(Client::secret_post("app", "secret"));
    let host = Host::with_issuer(&(configuration::issuer("as", &server) + "timeout = \"500ms\"\n"));
    let token = host.get();

    for (fault, code) in [
        (Fault::Status(500), "http"),
        (Fault::RetryAfter { status: 503, value: "60".into() }, "http"),
        (Fault::Hang, "timeout"),
        (Fault::Stall, "timeout"),
        (Fault::Disconnect, "network"),
        (garbage(200, "<html>"), "malformed"),
        (garbage(200, vec![b' '; 1024 * 1024 + 1]), "malformed"),
        (garbage(400, "<html>"), "http"),
        (Fault::Status(403), "http"),
        (Fault::Redirect("http://127.0.0.1:9/".into()), "http"),
        (Fault::Refuse("invalid_scope"), "invalid_scope"),
        (Fault::Refuse("invalid_client"), "invalid_client"),
    ] {
        let what = format!("{fault:?}").chars().take(60).collect::<String>();
        server.set_fault(fault);
        // Not 6, whatever it is: a client with a live token is not blocked.
        host.install.cli(["renew", "app"]).run().refused(5, &["error: "]);
        assert_eq!(host.get(), token, "{what}");
        let status = host.failed_with("degraded", code);
        assert!(
            status["last_error"]["next_try_in"].is_u64() && status["expires_in"].is_u64(),
            "{what}: {status}"
        );
        assert_eq!(status["generation"], 1, "{what}");
    }

    server.stop();
    host.install.cli(["renew", "app"]).run().refused(5, &["error: can't connect to 127.0.0.1: "]);
    assert_eq!(host.get(), token, "the server is gone");
    host.failed_with("degraded", "network");

    server.set_fault(Fault::None);
    server.start_again();
    host.install.cli(["renew", "app"]).run().success();
    assert_ne!(host.get(), token);
    let status = host.install.status("app");
    assert_eq!((&status["state"], &status["last_error"]), (&"warm".into(), &Value::Null));
}

#[test]
fn s22_an_expired_token_is_never_served() {
    let server = AuthServer::builder().lifetime(Duration::from_secs(2)).start();
    let host = Host::of(&server);
    host.get();
    server.set_fault(Fault::Status(503));
    let expired = || host.install.status("app")["state"] == "unavailable";
    wait_until(SOON, expired);
    host.refused(5, "0s", &["error: ", "HTTP 503", "; next try "]);
}
