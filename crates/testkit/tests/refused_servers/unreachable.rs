//! Servers that don't answer, or whose certificate is not trusted.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use tokenbroker_testkit::{AuthServer, Client, Fault, Stopwatch, configuration};

use crate::Host;

#[test]
fn s22_an_unreachable_server_is_named_with_the_cause_and_the_time_of_the_next_try() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let host = Host::with_issuer(&format!(
        "[issuers.as]\ntoken_endpoint = \"http://127.0.0.1:{port}/token\"\nallow_plain_http = true\n"
    ));
    let status = host.failed_with("unavailable", "network");
    assert!(status["last_error"]["next_try_in"].is_u64(), "{status}");
    host.refused(5, "0s", &["error: can't connect to 127.0.0.1: ", "refused", "; next try "]);
    assert!(host.daemon.log().contains("can't connect to 127.0.0.1"), "{}", host.daemon.log());
}

#[test]
fn a_server_whose_name_nobody_knows_is_named() {
    let host = Host::with_issuer("[issuers.as]\nissuer = \"https://no-such-host.invalid\"\n");
    let status = host.failed_with("unavailable", "network");
    assert_eq!(status["token_requests"], 0, "{status}");
    host.refused(5, "0s", &["error: can't connect to no-such-host.invalid: ", "; next try "]);
}

#[test]
fn a_server_with_an_unknown_ca_is_not_trusted_and_the_hint_names_ca_file() {
    let server = AuthServer::builder().tls(true).start();
    let host = Host::with_issuer(&format!("[issuers.as]\nissuer = {:?}\n", server.issuer()));
    host.failed_with("unavailable", "tls");
    host.refused(
        5,
        "0s",
        &[
            "error: TLS with 127.0.0.1 failed: its certificate is not from a CA that is trusted here; next try ",
            "\nhint: ",
            "ca_file",
        ],
    );
    assert_eq!((server.metadata_requests(), server.all_token_requests()), (0, 0));
}

#[test]
fn a_server_with_the_certificate_of_another_ca_than_the_configured_one_is_not_trusted() {
    let (server, other) = (AuthServer::builder().tls(true).start(), AuthServer::builder().tls(true).start());
    let ca_file = other.ca_file().unwrap();
    let host = Host::with_issuer(&format!(
        "[issuers.as]\ntoken_endpoint = {:?}\nca_file = {ca_file:?}\n",
        server.token_endpoint()
    ));
    host.failed_with("unavailable", "tls");
    assert_eq!(server.all_token_requests(), 0, "no secret was sent");
}

#[test]
fn a_server_with_a_certificate_for_another_name_is_not_trusted() {
    let server = AuthServer::builder().tls(true).start();
    let ca_file = server.ca_file().unwrap();
    let endpoint = format!("https://{}/token", relay(server.address()));
    let host =
        Host::with_issuer(&format!("[issuers.as]\ntoken_endpoint = {endpoint:?}\nca_file = {ca_file:?}\n"));
    host.failed_with("unavailable", "tls");
    host.refused(5, "0s", &["error: TLS with 127.0.0.2 failed: "]);
    assert_eq!(server.all_token_requests(), 0, "no secret was sent");
}

#[test]
fn a_caller_waits_as_long_as_it_said_for_a_server_that_hangs() {
    let server = AuthServer::start();
    server.set_fault(Fault::Hang);
    let host = Host::of(&server);
    let watch = Stopwatch::start();
    host.refused(5, "1s", &["error: "]);
    let waited = watch.elapsed();
    assert!(waited >= Duration::from_millis(900), "{waited:?}");
    assert!(waited < Duration::from_secs(5), "{waited:?}");
    assert_eq!(server.token_requests("app"), 1, "the request goes on");
}

#[test]
fn s25_a_server_that_hangs_is_given_up_at_the_configured_timeout() {
    for fault in [Fault::Hang, Fault::Stall] {
        let server = AuthServer::start();
        server.set_fault(fault);
        server.register(Client::secret_post("app", "secret"));
        let host = Host::with_issuer(&(configuration::issuer("as", &server) + "timeout = \"300ms\"\n"));
        host.failed_with("unavailable", "timeout");
        host.refused(
            5,
            "0s",
            &["error: 127.0.0.1 did not answer in time; next try ", "\nhint: the issuer's timeout is 0.3 s"],
        );
    }
}

/// Another address of this host behind which the same server is, until the test program ends.
fn relay(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(server) else { return };
            for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
                thread::spawn(move || io::copy(&mut from, &mut to));
            }
        }
    });
    address
}
