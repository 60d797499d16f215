//! Client registrations, as all authorization servers here take them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::certificates::der_in_base64;
use crate::jwk::{self, PublicJwk};

/// A client and how it authenticates.
#[derive(Clone)]
pub struct Client {
    pub(crate) id: String,
    pub(crate) authentication: Authentication,
    pub(crate) scope: Option<BTreeSet<String>>,
    pub(crate) lifetime: Option<Duration>,
}

#[derive(Clone)]
pub(crate) enum Authentication {
    SecretBasic(String),
    SecretPost(String),
    SecretJwt {
        secret: String,
        algorithm: String,
    },
    PrivateKeyJwt(Vec<PublicJwk>),
    Tls(Subject),
    /// The certificates, each as DER in base64.
    SelfSignedTls(Vec<String>),
}

/// What a certificate of an authority must say (RFC 8705 section 2.1.2).
#[derive(Clone)]
pub(crate) enum Subject {
    Dn(String),
    DnsName(String),
}

impl Client {
    /// A client that sends its secret in a Basic header.
    pub fn secret_basic(id: &str, secret: &str) -> Self {
        Self::new(id, Authentication::SecretBasic(secret.into()))
    }

    /// A client that sends its secret in the body.
    pub fn secret_post(id: &str, secret: &str) -> Self {
        Self::new(id, Authentication::SecretPost(secret.into()))
    }

    /// A client that authenticates assertions with its secret (RFC 7523), by `HS256`, `HS384` or `HS512`. Its secret must
    /// be as long as the hash, at least.
    pub fn secret_jwt(id: &str, secret: &str, algorithm: &str) -> Self {
        Self::new(id, Authentication::SecretJwt { secret: secret.into(), algorithm: algorithm.into() })
    }

    /// A client that signs assertions (RFC 7523), with its public key as a JWK, or a set of them.
    ///
    /// # Panics
    ///
    /// If that is not a public key for an algorithm of RFC 7518 or EdDSA, with a `kid`.
    pub fn private_key_jwt(id: &str, jwk: &str) -> Self {
        Self::new(id, Authentication::PrivateKeyJwt(public_keys(jwk)))
    }

    /// A client that presents a certificate by an authority (RFC 8705 section 2.1) with this subject, as RFC 4514 writes it
    /// (`CN=app`). Its tokens are bound to the certificate.
    pub fn tls(id: &str, subject_dn: &str) -> Self {
        Self::new(id, Authentication::Tls(Subject::Dn(subject_dn.into())))
    }

    /// The same for a certificate with this DNS name among its alternative names.
    pub fn tls_dns_name(id: &str, dns_name: &str) -> Self {
        Self::new(id, Authentication::Tls(Subject::DnsName(dns_name.into())))
    }

    /// A client that presents exactly this certificate, or one of these (RFC 8705 section 2.2); in PEM. Its tokens are bound
    /// to it.
    ///
    /// # Panics
    ///
    /// If there is no certificate.
    pub fn self_signed_tls(id: &str, certificates: &str) -> Self {
        let certificates: Vec<_> = der_in_base64(certificates, "CERTIFICATE").collect();
        assert!(!certificates.is_empty(), "there is no certificate to register");
        Self::new(id, Authentication::SelfSignedTls(certificates))
    }

    /// The scopes it may ask for, separated by spaces; by default any.
    pub fn scope(mut self, scope: &str) -> Self {
        self.scope = Some(scope.split_ascii_whitespace().map(String::from).collect());
        self
    }

    /// How long its tokens live; by default as long as everybody's.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    pub(crate) fn has_certificate(&self) -> bool {
        matches!(self.authentication, Authentication::Tls(_) | Authentication::SelfSignedTls(_))
    }

    pub(crate) fn set_secret(&mut self, new: &str) {
        match &mut self.authentication {
            Authentication::SecretBasic(secret)
            | Authentication::SecretPost(secret)
            | Authentication::SecretJwt { secret, .. } => *secret = new.into(),
            Authentication::PrivateKeyJwt(_) | Authentication::Tls(_) | Authentication::SelfSignedTls(_) => {
                panic!("{} has no secret but a key", self.id)
            }
        }
    }

    pub(crate) fn add_key(&mut self, jwk: &str) {
        match &mut self.authentication {
            Authentication::PrivateKeyJwt(keys) => keys.extend(public_keys(jwk)),
            _ => panic!("{} signs no assertions", self.id),
        }
    }

    /// Client metadata (RFC 7591), with this scope if the client has none of its own.
    pub(crate) fn metadata(&self, default_scope: &str) -> Value {
        let scope = self.scope.as_ref().map(|scope| scope.iter().cloned().collect::<Vec<_>>().join(" "));
        let mut metadata = json!({
            "client_id": self.id,
            "scope": scope.unwrap_or_else(|| default_scope.into()),
        });
        match &self.authentication {
            Authentication::SecretBasic(secret) => {
                metadata["token_endpoint_auth_method"] = "client_secret_basic".into();
                metadata["client_secret"] = secret.as_str().into();
            }
            Authentication::SecretPost(secret) => {
                metadata["token_endpoint_auth_method"] = "client_secret_post".into();
                metadata["client_secret"] = secret.as_str().into();
            }
            Authentication::SecretJwt { secret, algorithm } => {
                metadata["token_endpoint_auth_method"] = "client_secret_jwt".into();
                metadata["token_endpoint_auth_signing_alg"] = algorithm.as_str().into();
                metadata["client_secret"] = secret.as_str().into();
            }
            Authentication::PrivateKeyJwt(keys) => {
                metadata["token_endpoint_auth_method"] = "private_key_jwt".into();
                metadata["jwks"] = json!({ "keys": keys.iter().map(PublicJwk::json).collect::<Vec<_>>() });
            }
            Authentication::Tls(subject) => {
                metadata["token_endpoint_auth_method"] = "tls_client_auth".into();
                metadata["tls_client_certificate_bound_access_tokens"] = true.into();
                let (parameter, value) = match subject {
                    Subject::Dn(dn) => ("tls_client_auth_subject_dn", dn),
                    Subject::DnsName(name) => ("tls_client_auth_san_dns", name),
                };
                metadata[parameter] = value.as_str().into();
            }
            Authentication::SelfSignedTls(certificates) => {
                metadata["token_endpoint_auth_method"] = "self_signed_tls_client_auth".into();
                metadata["tls_client_certificate_bound_access_tokens"] = true.into();
                // The other members of each key are left to the server, which reads certificates.
                let keys: Vec<_> = certificates.iter().map(|der| json!({ "x5c": [der] })).collect();
                metadata["jwks"] = json!({ "keys": keys });
            }
        }
        metadata
    }

    fn new(id: &str, authentication: Authentication) -> Self {
        Self { id: id.into(), authentication, scope: None, lifetime: None }
    }
}

fn public_keys(jwk: &str) -> Vec<PublicJwk> {
    jwk::parse(jwk).unwrap_or_else(|why| panic!("the key can't be registered: {why}"))
}
