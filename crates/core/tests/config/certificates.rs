//! Clients that show a certificate, and what the key store can be.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenbroker_core::certificate::Certificate;
use tokenbroker_core::config::{
    AuthMethod, Client, Config, ConfigErrors, ReadFiles, Source, StoreChoice, parse,
};

use super::{ISSUER, parse_text};

/// A file with one certificate, and another that can't be read.
struct Files;

impl ReadFiles for Files {
    fn check_ca_file(&self, _: &Path) -> Result<(), String> {
        Ok(())
    }

    fn certificates(&self, path: &Path) -> Result<Vec<Arc<Certificate>>, String> {
        let (chain, public_key) = (vec![vec![1]], vec![2]);
        let one = Certificate { chain, public_key, thumbprint: [0xab; 32], not_before: 0, not_after: 9 };
        if path.ends_with("client.pem") { Ok(vec![Arc::new(one)]) } else { Err("no such file".into()) }
    }
}

fn text(auth: &str, more: &str) -> String {
    format!("{ISSUER}[clients.c]\nissuer = \"as\"\nclient_id = \"c\"\nauth = \"{auth}\"\n{more}")
}

fn read(auth: &str, more: &str) -> Result<Config, ConfigErrors> {
    parse(&[Source { path: "/etc/tokenbroker/c.toml".into(), text: text(auth, more) }], &Files)
}

#[expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]
fn client(more: &str) -> Arc<Client> {
    Arc::clone(&read("tls_client_auth", more).unwrap().clients["c"])
}

#[track_caller]
#[expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]
fn assert_refused(auth: &str, more: &str, words: &[&str]) {
    let errors = read(auth, more).unwrap_err().to_string();
    words.iter().for_each(|words| assert!(errors.contains(words), "{words:?} is not in:\n{errors}"));
}

#[test]
fn the_methods_of_rfc_8705_take_a_certificate_beside_the_configuration() {
    for (name, method) in [
        ("tls_client_auth", AuthMethod::TlsClientAuth),
        ("self_signed_tls_client_auth", AuthMethod::SelfSignedTlsClientAuth),
    ] {
        let config = read(name, "certificate = \"client.pem\"\n").unwrap();
        let client = &config.clients["c"];
        assert_eq!((client.auth, client.auth.name()), (method, name));
        assert!(client.auth.takes_a_key() && client.auth.is_tls());
        let certificates = client.certificates.as_ref().unwrap();
        assert_eq!(certificates.path, PathBuf::from("/etc/tokenbroker/client.pem"));
        let certificate = certificates.for_key(&[2]).unwrap();
        assert!(certificate.fingerprint().starts_with("abab"));
        assert!(certificates.for_key(&[3]).is_none());
    }
}

#[test]
fn a_certificate_that_can_not_be_read_is_no_mistake_of_the_configuration() {
    let certificates = client("certificate = \"/run/gone.pem\"\n").certificates.clone().unwrap();
    assert_eq!(certificates.content, Err("no such file".into()));
    assert!(certificates.for_key(&[2]).is_none());
    let readable = client("certificate = \"client.pem\"\n").certificates.clone().unwrap();
    assert!(readable.include(&certificates) && !certificates.include(&readable));
}

#[test]
fn a_certificate_is_required_where_it_is_shown_and_refused_where_it_is_not() {
    assert_refused(
        "tls_client_auth",
        "",
        &["`certificate` missing in [clients.c]", "certificate = \"client.pem\""],
    );
    for auth in ["client_secret_basic", "private_key_jwt"] {
        assert_refused(
            auth,
            "certificate = \"client.pem\"\n",
            &["c.toml:7:1", "`clients.c.certificate`", "remove it, or change `auth`"],
        );
    }
    assert_refused(
        "tls_client_auth",
        "certificate = \"client.pem\"\nassertion_alg = \"RS256\"\n",
        &["assertion_alg"],
    );
}

#[test]
fn there_is_no_certificate_without_tls() {
    let text = text("tls_client_auth", "certificate = \"client.pem\"\n").replace(
        "issuer = \"https://as.example\"",
        "issuer = \"http://127.0.0.1:9\"\nallow_plain_http = true",
    );
    let errors = parse(&[Source { path: "c.toml".into(), text }], &Files).unwrap_err().to_string();
    assert!(errors.contains("`clients.c.auth`: there is no TLS to show a certificate in"), "{errors}");
}

#[test]
fn the_key_store_can_be_systemd_and_not_the_kernels_keyring() {
    let store = |name: &str| parse_text(&format!("[keystore]\nstore = \"{name}\"\n"));
    assert_eq!(store("systemd-credentials").unwrap().keystore.store, StoreChoice::SystemdCredentials);
    for name in ["keyutils", "linux-keyutils", "kernel-keyutils"] {
        assert_eq!(
            store(name).unwrap_err().to_string(),
            "c.toml:2:9: `keystore.store`: the kernel's keyring can't be the only store: a reboot empties it, and it \
             holds 20 kB of a user\nhint: set store = \"encrypted-file\", or leave it out"
        );
    }
}
