//! A proxy that is configured: how it is used, when it is taken, and what is said when it fails.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use tokenbroker_testkit::{AuthServer, configuration};

use crate::proxy::Proxy;
use crate::raw::{Raw, response};
use crate::{Host, SECRET, tls_server};

#[test]
fn s44_a_proxy_carries_tls_and_learns_no_secret() {
    let (server, proxy) = (tls_server(), Proxy::start());
    let table = configuration::issuer("as", &server) + &format!("proxy = {:?}\n", proxy.url());
    let host = Host::with_issuer(&table);
    host.get();
    let tunnels = proxy.tunnels();
    assert!(
        !tunnels.is_empty() && tunnels.iter().all(|to| *to == server.address().to_string()),
        "{tunnels:?}"
    );
    assert!(!proxy.told().contains(SECRET), "{}", proxy.told());
    let through = proxy.through();
    assert!(!through.is_empty());
    assert!(!through.windows(SECRET.len()).any(|bytes| bytes == SECRET.as_bytes()));
}

#[test]
fn s44_another_proxy_is_taken_at_reload_and_at_once() {
    let (server, one, two) = (tls_server(), Proxy::start(), Proxy::start());
    let issuer = configuration::issuer("as", &server);
    let through = |proxy: &Proxy| format!("{issuer}proxy = {:?}\n", proxy.url());
    let counts = || (one.tunnels().len(), two.tunnels().len());

    let host = Host::with_issuer(&issuer);
    host.get();
    assert_eq!(counts(), (0, 0));

    host.reconfigure(&through(&one));
    host.renew();
    let (of_one, of_two) = counts();
    assert!(of_one > 0 && of_two == 0, "{:?}", counts());

    host.reconfigure(&through(&two));
    host.renew();
    assert_eq!(counts().0, of_one);
    let of_two = counts().1;
    assert!(of_two > 0);

    host.reconfigure(&issuer);
    host.renew();
    assert_eq!(counts(), (of_one, of_two));
    assert_eq!(server.token_requests("app"), 4);
}

/// A daemon whose proxy is this one, and the server that it can't reach.
fn behind(proxy: &str, keys: &str) -> (Host, AuthServer) {
    let server = tls_server();
    let table = format!("{}proxy = {proxy:?}\n{keys}", configuration::issuer("as", &server));
    (Host::with_issuer(&table), server)
}

#[test]
fn s44_a_proxy_that_refuses_is_told_from_a_server_that_does() {
    for (answer, words, hint) in [
        (
            response("407 Proxy Authentication Required", &["proxy-authenticate: Basic"], b""),
            "wants other credentials (HTTP 407)",
            "\nhint: set proxy = \"environment\" for [issuers.as], and in the daemon's environment HTTPS_PROXY",
        ),
        (
            response("403 Forbidden", &[], b"<html>not you</html>"),
            "opens no tunnel to 127.0.0.1",
            "\nhint: the proxy must permit CONNECT to 127.0.0.1",
        ),
        (
            response("502 Bad Gateway", &[], b""),
            "opens no tunnel to 127.0.0.1",
            "\nhint: the proxy must permit CONNECT to 127.0.0.1",
        ),
        (b"SSH-2.0-OpenSSH\r\n".to_vec(), "opens no tunnel to 127.0.0.1", "\nhint: "),
    ] {
        let proxy = Raw::saying(answer);
        let (host, server) = behind(&proxy.url(""), "");
        let message = format!("the proxy {} {words}", proxy.address);
        host.failed_with("network", &message);
        host.refused(5, &["error: ", &message, "; next try ", hint]);
        assert_eq!(
            (server.metadata_requests(), server.all_token_requests()),
            (0, 0),
            "not without the proxy"
        );
    }
}

#[test]
fn s44_a_proxy_that_is_not_there_is_named() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (host, server) = behind(&format!("http://{address}"), "");
    host.failed_with("network", &format!("can't connect to the proxy {address}: "));
    host.refused(
        5,
        &["error: can't connect to the proxy ", "refused", "\nhint: check `proxy` of [issuers.as]\n"],
    );
    assert_eq!(server.metadata_requests(), 0, "not without the proxy");
}

#[test]
fn s44_a_proxy_that_hangs_is_given_up_at_the_timeout() {
    let proxy = Raw::start(|_, _| thread::sleep(Duration::from_secs(60)));
    let (host, _server) = behind(&proxy.url(""), "timeout = \"400ms\"\n");
    host.failed_with(
        "timeout",
        &format!("127.0.0.1 through the proxy {} did not answer in time", proxy.address),
    );
}

#[test]
fn s43_a_certificate_is_verified_through_a_proxy_as_well() {
    let (server, proxy) = (tls_server(), Proxy::start());
    let table = format!("[issuers.as]\nissuer = {:?}\nproxy = {:?}\n", server.issuer(), proxy.url());
    let host = Host::with_issuer(&table);
    host.failed_with("tls", "TLS with 127.0.0.1 through the proxy ");
    host.failed_with("tls", "its certificate is not from a CA that is trusted here");
    assert_eq!((server.metadata_requests(), server.all_token_requests()), (0, 0));
}
