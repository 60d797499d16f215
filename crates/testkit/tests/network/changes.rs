//! A server that moves and gets a certificate of another authority.

use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tokenbroker_testkit::{Install, wait_until};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection};

use crate::{Host, SOON, tls_server};

#[test]
fn s43_a_changed_ca_counts_without_a_reload_and_nothing_is_trusted_meanwhile() {
    let (old, new) = (tls_server(), tls_server());
    let switch = Switch::start(old.address());
    let directory = Install::new();
    let ca_file = directory.path().join("ca.pem");
    fs::write(&ca_file, old.ca_pem().unwrap()).unwrap();
    let host = Host::with_issuer(&format!(
        "[issuers.as]\ntoken_endpoint = \"https://{}/token\"\nca_file = {ca_file:?}\n",
        switch.address
    ));
    let token = host.get();

    switch.to(new.address());
    let _ = host.install.cli(["renew", "app"]).run();
    host.failed_with("tls", "its certificate is not from a CA that is trusted here");
    assert_eq!(new.all_token_requests(), 0, "no secret was sent");
    assert_eq!(host.get(), token, "which is good for long");

    fs::remove_file(&ca_file).unwrap();
    let complaint = || host.daemon.log().matches("what was trusted before is trusted further").count();
    wait_until(SOON, || complaint() == 1);
    assert_eq!(new.all_token_requests(), 0, "no secret was sent");

    fs::write(&ca_file, new.ca_pem().unwrap()).unwrap();
    wait_until(SOON, || host.install.status("app")["last_error"].is_null());
    assert!(new.all_token_requests() >= 1);
    assert_ne!(host.get(), token);
    assert_eq!(complaint(), 1, "it is said once");
}

#[test]
fn a_self_signed_certificate_of_a_ca_is_named_as_what_it_is() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".into()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let config = Arc::new(config);
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let _ = connection.complete_io(&mut stream);
        }
    });
    let directory = Install::new();
    let ca_file = directory.path().join("ca.pem");
    fs::write(&ca_file, certificate.pem()).unwrap();
    let host = Host::with_issuer(&format!(
        "[issuers.as]\ntoken_endpoint = \"https://{address}/token\"\nca_file = {ca_file:?}\n"
    ));
    host.failed_with(
        "tls",
        "TLS with 127.0.0.1 failed: its certificate is that of a CA, as self-signed ones often are",
    );
}

/// A place on loopback behind which a server is, and later another one.
struct Switch {
    address: SocketAddr,
    behind: Arc<Mutex<Behind>>,
}

struct Behind {
    server: SocketAddr,
    connections: Vec<TcpStream>,
}

impl Switch {
    fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let behind = Arc::new(Mutex::new(Behind { server, connections: Vec::new() }));
        let switch = Self { address: listener.local_addr().unwrap(), behind: Arc::clone(&behind) };
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let mut behind = behind.lock().unwrap();
                let far = TcpStream::connect(behind.server).unwrap();
                behind.connections.extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)]
                {
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        switch
    }

    /// Cuts every connection; those to come are this server's.
    fn to(&self, server: SocketAddr) {
        let mut behind = self.behind.lock().unwrap();
        behind.server = server;
        for connection in behind.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}
