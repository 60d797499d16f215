//! Proxies in the environment of the daemon.

use tokenbroker_testkit::{AuthServer, Client, Install, configuration};

use crate::proxy::Proxy;
use crate::{Host, SECRET, tls_server};

const VARIABLES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

fn install(variables: &[(&str, &str)]) -> Install {
    let mut install = Install::new();
    for (name, value) in variables {
        install.env(name, value);
    }
    install
}

#[test]
fn s44_the_environment_counts_only_where_it_is_enabled() {
    let (server, proxy) = (tls_server(), Proxy::start());
    let url = proxy.url();
    let variables: Vec<_> = VARIABLES.iter().map(|name| (*name, url.as_str())).collect();
    let issuer = configuration::issuer("as", &server);
    let host = Host::in_install(install(&variables), &issuer);
    host.get();
    assert_eq!(proxy.tunnels(), [""; 0]);

    host.reconfigure(&(issuer + "proxy = \"environment\"\n"));
    host.renew();
    let tunnels = proxy.tunnels();
    assert!(
        !tunnels.is_empty() && tunnels.iter().all(|to| *to == server.address().to_string()),
        "{tunnels:?}"
    );
}

#[test]
fn s44_the_environment_can_exempt_hosts_and_hold_the_proxys_password() {
    let (server, proxy) = (tls_server(), Proxy::start());
    let url = proxy.url().replace("http://", "http://daemon:hunter2@");
    let table = configuration::issuer("as", &server) + "proxy = \"environment\"\n";

    let exempt = install(&[("HTTPS_PROXY", &url), ("NO_PROXY", "other.example, 127.0.0.0/8")]);
    Host::in_install(exempt, &table).get();
    assert_eq!(proxy.tunnels(), [""; 0]);

    let host = Host::in_install(install(&[("HTTPS_PROXY", &url)]), &table);
    host.get();
    assert!(proxy.told().contains("proxy-authorization: Basic ZGFlbW9uOmh1bnRlcjI="), "{}", proxy.told());
    assert!(!host.daemon.log().contains("hunter2"), "{}", host.daemon.log());
}

#[test]
fn s44_a_server_on_this_host_is_never_asked_through_a_proxy() {
    let (server, proxy) = (AuthServer::start(), Proxy::start());
    server.register(Client::secret_post("app", SECRET));
    let url = proxy.url();
    let variables: Vec<_> = VARIABLES.iter().map(|name| (*name, url.as_str())).collect();
    let table = configuration::issuer("as", &server) + "proxy = \"environment\"\n";
    Host::in_install(install(&variables), &table).get();
    assert_eq!(proxy.told(), "");
}

#[test]
fn s44_a_variable_that_can_not_be_used_is_named_and_nothing_goes_past_it() {
    let server = tls_server();
    let table = configuration::issuer("as", &server) + "proxy = \"environment\"\n";
    let host = Host::in_install(install(&[("HTTPS_PROXY", "socks5://u:hunter2@127.0.0.1:1080")]), &table);
    let status = host.failed_with("network", "HTTPS_PROXY in the daemon's environment is no URL such as ");
    assert!(!(status.to_string() + &host.daemon.log()).contains("hunter2"), "{status}");
    assert_eq!(server.metadata_requests(), 0);
}
