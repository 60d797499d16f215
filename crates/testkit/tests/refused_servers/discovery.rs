//! Metadata documents that are missing, somebody else's, or no metadata.

use tokenbroker_testkit::{AuthServer, Discovery, Fault};

use crate::Host;

#[test]
fn s39_metadata_of_another_issuer_is_refused_and_no_secret_is_sent() {
    let server = AuthServer::builder().claimed_issuer("https://other.example").start();
    let host = Host::of(&server);
    host.failed_with("blocked", "malformed");
    let said = host.refused(
        6,
        "0s",
        &[
            "error: discovery of issuer as failed: the metadata is of another issuer than the configured one; next try ",
            "\nhint: check `issuer` of [issuers.as], or name its token_endpoint there\n",
        ],
    );
    assert!(!said.contains("other.example"), "what a server writes is not repeated: {said}");
    assert_eq!(server.all_token_requests(), 0);
}

#[test]
fn s39_an_issuer_that_differs_by_a_slash_is_refused_in_words_of_its_own() {
    let server = AuthServer::builder().issuer_path("/op").start();
    let host = Host::with_issuer(&format!(
        "[issuers.as]\nissuer = \"{}/\"\nallow_plain_http = true\n",
        server.issuer()
    ));
    let status = host.failed();
    let message = status["last_error"]["message"].as_str().unwrap();
    assert!(message.contains("differs from the configured one by a slash at the end"), "{status}");
    assert_eq!(server.all_token_requests(), 0);
}

#[test]
fn an_issuer_without_metadata_is_refused_with_the_way_out() {
    let server = AuthServer::builder().discovery(Discovery::Nothing).start();
    let host = Host::of(&server);
    host.failed_with("blocked", "http");
    host.refused(
        6,
        "0s",
        &[
            "error: discovery of issuer as failed: ",
            "(HTTP 404)",
            "\nhint: ",
            "name its token_endpoint there\n",
        ],
    );
}

#[test]
fn a_server_that_has_no_metadata_now_is_tried_again() {
    let server = AuthServer::start();
    server.set_metadata_fault(Fault::Status(503));
    let host = Host::of(&server);
    host.failed_with("unavailable", "http");
    host.refused(5, "0s", &["error: discovery of issuer as failed: ", "(HTTP 503); next try "]);
    server.set_metadata_fault(Fault::None);
    host.get();
}

#[test]
fn s37_metadata_that_is_no_json_is_refused() {
    let server = AuthServer::start();
    let body = b"<html>c4n4ry</html>".to_vec();
    server.set_metadata_fault(Fault::Garbage { status: 200, content_type: "text/html", body });
    let host = Host::of(&server);
    let status = host.failed_with("unavailable", "malformed");
    assert!(!status.to_string().contains("c4n4ry") && !host.daemon.log().contains("c4n4ry"), "{status}");
}
