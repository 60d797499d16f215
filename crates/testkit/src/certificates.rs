//! Certificates by authorities of one's own: for servers on 127.0.0.1 and localhost, perhaps with a flaw, and for clients.

mod client;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

pub(crate) use self::client::der_in_base64;
pub use self::client::{ClientAuthority, ClientCertificate, Validity};

const AUTHORITY: &str = "tokenbroker test authority";

/// A server's certificate and key, and the authority behind it; all in PEM.
#[derive(Clone)]
pub(crate) struct ServerCertificate {
    pub(crate) ca: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Why a certificate should not be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It is by an authority that has the same name as the known one.
    UnknownAuthority,
    /// It is for other.example.
    OtherName,
    /// It was good in 2001.
    Expired,
    /// It will be good in 2096.
    NotYetValid,
    /// It is by nobody but itself.
    SelfSigned,
}

impl ServerCertificate {
    /// By an authority that exists only for it.
    pub(crate) fn issue() -> Self {
        Self::flawed(None)
    }

    /// The same, but for this.
    pub(crate) fn flawed(flaw: Option<Flaw>) -> Self {
        Self::try_issue(flaw).expect("a certificate for loopback can be made")
    }

    fn try_issue(flaw: Option<Flaw>) -> Result<Self, rcgen::Error> {
        let authority = CertifiedIssuer::self_signed(authority(AUTHORITY), KeyPair::generate()?)?;
        let ca = match flaw {
            Some(Flaw::UnknownAuthority) => {
                CertifiedIssuer::self_signed(self::authority(AUTHORITY), KeyPair::generate()?)?.pem()
            }
            _ => authority.pem(),
        };
        let key = KeyPair::generate()?;
        let params = server(flaw)?;
        let certificate = match flaw {
            Some(Flaw::SelfSigned) => params.self_signed(&key)?,
            _ => params.signed_by(&key, &authority)?,
        };
        Ok(Self { ca, certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn server(flaw: Option<Flaw>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = match flaw {
        Some(Flaw::OtherName) => CertificateParams::new(["other.example".into()])?,
        _ => CertificateParams::new(["127.0.0.1".into(), "localhost".into()])?,
    };
    match flaw {
        Some(Flaw::Expired) => {
            (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2001, 12, 31));
        }
        Some(Flaw::NotYetValid) => {
            (params.not_before, params.not_after) = (date_time_ymd(2096, 1, 1), date_time_ymd(2096, 12, 31));
        }
        _ => {}
    }
    params.distinguished_name.push(DnType::CommonName, "tokenbroker test server");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}
