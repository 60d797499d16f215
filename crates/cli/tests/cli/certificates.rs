//! `key certificate`.

use tokenbroker_client::protocol::{CertificateForm, Command, Response};

use crate::fake::FakeDaemon;

const PEM: &str = "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n";

#[test]
fn a_request_is_printed_alone_and_beside_it_what_to_do() {
    let daemon = FakeDaemon::with(Response::Certificate(PEM.into()));
    let outcome = daemon.cli(&["key", "certificate", "signtext", "--request"]).run();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), PEM));
    assert_eq!(
        outcome.stderr,
        "hint: have the authority sign it and save the certificate to the file that `certificate` of signtext names, \
         then `tokenbroker reload`\n"
    );
    let form = CertificateForm::Request;
    let client = "signtext".to_owned();
    assert_eq!(daemon.asked(), [Command::KeyCertificate { client, kid: None, common_name: None, form }]);
}

#[test]
fn a_certificate_can_be_signed_by_its_own_key() {
    let daemon = FakeDaemon::with(Response::Certificate(PEM.trim_end().into()));
    let words = ["--self-signed", "365", "--kid", "2026-11", "--common-name", "signtext at home"];
    let outcome = daemon.cli(&[&["key", "certificate", "signtext"], &words[..]].concat()).run();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), PEM), "a line ends with a newline");
    assert_eq!(
        outcome.stderr,
        "hint: save it to the file that `certificate` of signtext names and register it with the authorization server, \
         then `tokenbroker reload`\n"
    );
    assert_eq!(
        daemon.asked(),
        [Command::KeyCertificate {
            client: "signtext".into(),
            kid: Some("2026-11".into()),
            common_name: Some("signtext at home".into()),
            form: CertificateForm::SelfSigned { days: 365 },
        }]
    );
}
