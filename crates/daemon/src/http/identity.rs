//! What a client shows in TLS (RFC 8705). The key stays in the key store, which signs each handshake.

use std::fmt;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{ClientConfig, RootCertStore, SignatureAlgorithm, SignatureScheme};
use tokenbroker_core::config::ClientName;
use tokenbroker_core::engine::{TlsIdentity, TransportFailure};
use tokenbroker_keystore::{TlsKey, TlsScheme};

use super::failure;
use crate::key_store::{KeyStoreThread, QUICK};

/// A client's certificate, and who signs for it.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) shown: TlsIdentity,
    key_store: KeyStoreThread,
}

impl Identity {
    pub(super) fn new(shown: TlsIdentity, key_store: KeyStoreThread) -> Self {
        Self { shown, key_store }
    }

    /// TLS with this certificate, that trusts these authorities or those of the host. Blocks while the key store is asked.
    pub(super) fn tls(
        &self,
        trusted: Option<&[CertificateDer<'static>]>,
    ) -> Result<ClientConfig, TransportFailure> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let unusable = |error: rustls::Error| failure::tls(format!("TLS can't be set up: {error}"));
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
        let builder = match trusted {
            Some(certificates) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(certificates.iter().cloned());
                builder.with_root_certificates(roots)
            }
            None => builder
                .dangerous()
                .with_custom_certificate_verifier(host_verifier(provider).map_err(unusable)?),
        };
        let mut config = builder.with_client_cert_resolver(Arc::new(self.certified_key()?));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    fn certified_key(&self) -> Result<ShowsOne, TransportFailure> {
        let TlsIdentity { client, version, certificate } = &self.shown;
        let name = client.clone();
        let keys = self.key_store.call_blocking(QUICK, move |store| store.tls_keys(name.as_str()));
        let keys =
            keys.map_err(|error| failure::tls(format!("the key of {client} can't be used: {error}")))?;
        let TlsKey { public_key, schemes, .. } = keys
            .into_iter()
            .find(|key| *key.version == **version)
            .ok_or_else(|| failure::tls(format!("the key of {client} is no longer in the key store")))?;
        let key = StoredKey {
            key_store: self.key_store.clone(),
            client: client.clone(),
            version: Arc::clone(version),
            public_key,
            schemes,
        };
        let chain = certificate.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        Ok(ShowsOne(Arc::new(CertifiedKey::new(chain, Arc::new(key)))))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt(f)
    }
}

fn host_verifier(
    provider: Arc<CryptoProvider>,
) -> Result<Arc<rustls_platform_verifier::Verifier>, rustls::Error> {
    rustls_platform_verifier::Verifier::new(provider).map(Arc::new)
}

/// One certificate, whatever authorities the server names: it may not know of those that it trusts for this client.
#[derive(Debug)]
struct ShowsOne(Arc<CertifiedKey>);

impl ResolvesClientCert for ShowsOne {
    fn resolve(&self, _: &[&[u8]], offered: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.key.choose_scheme(offered).map(|_| Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A key in the key store.
#[derive(Debug, Clone)]
struct StoredKey {
    key_store: KeyStoreThread,
    client: ClientName,
    version: Arc<str>,
    public_key: Vec<u8>,
    schemes: &'static [TlsScheme],
}

impl SigningKey for StoredKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = self.schemes.iter().find(|scheme| offered.contains(&named(**scheme)))?;
        Some(Box::new(StoredSigner { key: self.clone(), scheme: *scheme }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.public_key.as_slice().into())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.schemes.first() {
            Some(TlsScheme::Ed25519) => SignatureAlgorithm::ED25519,
            Some(TlsScheme::EcdsaP256Sha256 | TlsScheme::EcdsaP384Sha384 | TlsScheme::EcdsaP521Sha512) => {
                SignatureAlgorithm::ECDSA
            }
            _ => SignatureAlgorithm::RSA,
        }
    }
}

#[derive(Debug)]
struct StoredSigner {
    key: StoredKey,
    scheme: TlsScheme,
}

impl Signer for StoredSigner {
    /// Waits for the key store: rustls knows no signing that takes its time. A handshake is made once in minutes, and the
    /// thread does nothing else than show certificates.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let Self { key: StoredKey { key_store, client, version, .. }, scheme } = self;
        let (name, version, scheme, message) = (client.clone(), version.clone(), *scheme, message.to_vec());
        let signed = key_store
            .call_blocking(QUICK, move |store| store.sign_tls(name.as_str(), &version, scheme, &message));
        signed.map_err(|error| rustls::Error::General(format!("the key of {client} can't be used: {error}")))
    }

    fn scheme(&self) -> SignatureScheme {
        named(self.scheme)
    }
}

fn named(scheme: TlsScheme) -> SignatureScheme {
    match scheme {
        TlsScheme::RsaPkcs1Sha256 => SignatureScheme::RSA_PKCS1_SHA256,
        TlsScheme::RsaPkcs1Sha384 => SignatureScheme::RSA_PKCS1_SHA384,
        TlsScheme::RsaPkcs1Sha512 => SignatureScheme::RSA_PKCS1_SHA512,
        TlsScheme::RsaPssSha256 => SignatureScheme::RSA_PSS_SHA256,
        TlsScheme::RsaPssSha384 => SignatureScheme::RSA_PSS_SHA384,
        TlsScheme::RsaPssSha512 => SignatureScheme::RSA_PSS_SHA512,
        TlsScheme::EcdsaP256Sha256 => SignatureScheme::ECDSA_NISTP256_SHA256,
        TlsScheme::EcdsaP384Sha384 => SignatureScheme::ECDSA_NISTP384_SHA384,
        TlsScheme::EcdsaP521Sha512 => SignatureScheme::ECDSA_NISTP521_SHA512,
        TlsScheme::Ed25519 => SignatureScheme::ED25519,
    }
}
