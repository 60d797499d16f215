//! Addresses where no authorization server is.

use serde_json::Value;
use tokenbroker_testkit::{AuthServer, Client, Fault, Install, Stopwatch, configuration};

use crate::{Host, SECRET, SOON};

/// Metadata with a token endpoint at this host.
macro_rules! token_endpoint_at {
    ($host:literal) => {
        Fault::Edited(|members| {
            members["token_endpoint"] = Value::from(concat!("https://", $host, "/token"));
        })
    };
}

#[test]
fn s45_a_discovered_token_endpoint_at_a_link_local_or_metadata_address_gets_nothing() {
    for (fault, shown, what) in [
        (token_endpoint_at!("169.254.169.254"), "169.254.169.254", "link-local"),
        (token_endpoint_at!("0xa9fea9fe"), "169.254.169.254", "link-local"),
        (token_endpoint_at!("[fe80::1]"), "[fe80::1]", "link-local"),
        (token_endpoint_at!("[::ffff:169.254.169.254]"), "[::ffff:a9fe:a9fe]", "link-local"),
        (token_endpoint_at!("[fd00:ec2::254]"), "[fd00:ec2::254]", "the metadata service of a cloud"),
        (token_endpoint_at!("168.63.129.16"), "168.63.129.16", "the metadata service of a cloud"),
    ] {
        let server = AuthServer::start();
        server.register(Client::secret_post("app", SECRET));
        server.set_metadata_fault(fault);
        let watch = Stopwatch::start();
        let host = Host::with_issuer(&configuration::issuer("as", &server));
        let message = format!("no request is sent to {shown}: it is {what}");
        host.failed_with("network", &message);
        assert!(watch.elapsed() < SOON, "nor is it waited for");
        host.refused(
            5,
            &[
                &format!("error: {message}; next try "),
                "\nhint: if that is where it has to go, set allow_link_local = true for [issuers.as]\n",
            ],
        );
    }
}

#[test]
fn s45_a_configured_address_is_refused_before_anything_starts() {
    let install = Install::new();
    install.config("[issuers.as]\ntoken_endpoint = \"https://169.254.169.254/token\"\n");
    let run = install.tokenbrokerd(["--check-config"]).run();
    assert_ne!(run.code, 0);
    assert!(
        run.stderr.contains(
            "config.toml:2:1: `issuers.as.token_endpoint`: no request is sent to this address: it is link-local\n\
             hint: if that is where it has to go, set allow_link_local = true\n"
        ),
        "{}",
        run.stderr
    );
    install.config(
        "[issuers.as]\ntoken_endpoint = \"https://169.254.169.254/token\"\nallow_link_local = true\n",
    );
    assert_eq!(install.tokenbrokerd(["--check-config"]).run().code, 0);
}
