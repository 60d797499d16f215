//! Certificates of clients in PEM files.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokenbroker_core::certificate::Certificate;
use x509_parser::parse_x509_certificate;

use crate::http::read_small_file;

/// The certificates in a file: each that is no authority's is a client's, and what follows leads from it to an authority.
///
/// # Errors
///
/// What is wrong with the file, in words.
pub(crate) fn read(path: &Path) -> Result<Vec<Arc<Certificate>>, String> {
    let pem = read_small_file(path).map_err(|error| error.to_string())?;
    parse(&pem)
}

fn parse(pem: &[u8]) -> Result<Vec<Arc<Certificate>>, String> {
    let mut certificates: Vec<Certificate> = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem) {
        let der = der.map_err(|_| "it is not a PEM file".to_owned())?.to_vec();
        let (_, parsed) =
            parse_x509_certificate(&der).map_err(|_| "a certificate in it can't be read".to_owned())?;
        match certificates.last_mut() {
            Some(client) if parsed.is_ca() => client.chain.push(der),
            _ => {
                let certificate = Certificate {
                    public_key: parsed.public_key().raw.to_vec(),
                    thumbprint: sha256(&der),
                    not_before: parsed.validity().not_before.timestamp(),
                    not_after: parsed.validity().not_after.timestamp(),
                    chain: vec![der],
                };
                certificates.push(certificate);
            }
        }
    }
    match certificates.is_empty() {
        true => Err("there is no certificate in it".into()),
        false => Ok(certificates.into_iter().map(Arc::new).collect()),
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData, date_time_ymd,
    };

    use super::*;

    fn params(is_authority: bool) -> CertificateParams {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2027, 1, 1));
        if is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params
    }

    #[test]
    fn clients_are_told_from_the_authorities_behind_them() {
        let root = CertifiedIssuer::self_signed(params(true), KeyPair::generate().unwrap()).unwrap();
        let between = CertifiedIssuer::signed_by(params(true), KeyPair::generate().unwrap(), &root).unwrap();
        let keys = [KeyPair::generate().unwrap(), KeyPair::generate().unwrap()];
        let first = params(false).signed_by(&keys[0], &between).unwrap();
        let second = params(false).self_signed(&keys[1]).unwrap();
        let pem = format!("a comment\n{}{}{}{}", first.pem(), between.pem(), root.pem(), second.pem());
        let [one, two] = parse(pem.as_bytes()).unwrap().try_into().unwrap();
        assert_eq!(one.chain, [first.der().to_vec(), between.der().to_vec(), root.der().to_vec()]);
        assert_eq!(two.chain, [second.der().to_vec()]);
        assert_eq!(one.public_key, keys[0].subject_public_key_info());
        assert_eq!((one.not_before, one.not_after), (1_767_225_600, 1_798_761_600));
        assert_ne!(one.thumbprint, two.thumbprint);
    }

    #[test]
    fn what_is_no_certificate_is_said_to_be_none() {
        for (text, words) in [
            ("", "there is no certificate in it"),
            ("hello", "there is no certificate in it"),
            (
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                "there is no certificate in it",
            ),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "a certificate in it can't be read",
            ),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "it is not a PEM file"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err(), words, "{text}");
        }
    }
}
