//! What is done with credentials in use, so that keys need not leave the store.

use tokenbroker_secret::Secret;

use super::KeyStore;
use crate::envelope::Content;
use crate::key::{PrivateKey, certificate, tls};
use crate::systemd::{self, PassedContent};
use crate::{
    Algorithm, CertificateForm, Error, Live, MacAlgorithm, PublicKey, Standing, TlsKey, TlsScheme, Usable,
};

impl KeyStore {
    /// Signs in the form of a JWS signature (RFC 7515): for ECDSA that is r then s, of 32, 48 or 66 bytes each.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if that credential is gone, [`Error::Refused`] if it is no key for the algorithm.
    pub fn sign(
        &self,
        client: &str,
        version: &str,
        algorithm: Algorithm,
        input: &[u8],
    ) -> Result<Vec<u8>, Error> {
        if let Some(passed) = self.passed_as(client, version)? {
            return systemd::sign(&passed, algorithm, input);
        }
        match self.content(client, version, "key")? {
            Content::Key { algorithm: its, pkcs8, .. } if its == algorithm => {
                PrivateKey::from_pkcs8(algorithm, &pkcs8)?.sign(input)
            }
            Content::Key { algorithm: its, .. } => Err(Error::refused(format!(
                "the key of {client} is for {its}, and {algorithm} is asked for"
            ))
            .with_hint(format!(
                "set assertion_alg = \"{its}\", or make another key: tokenbroker key generate {client} --alg \
                         {algorithm}"
            ))),
            Content::Secret(_) => Err(wants_a_key(client)),
        }
    }

    /// Authenticates `input` with a client's secret (RFC 7518 section 3.2).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if that credential is gone, [`Error::Refused`] if it is no secret.
    pub fn authenticate(
        &self,
        client: &str,
        version: &str,
        algorithm: MacAlgorithm,
        input: &[u8],
    ) -> Result<Vec<u8>, Error> {
        if let Some(passed) = self.passed_as(client, version)? {
            return match &passed.content {
                PassedContent::Secret(secret) => Ok(algorithm.tag(secret.expose(), input)),
                PassedContent::Key { .. } => Err(wants_a_secret(client)),
            };
        }
        match self.content(client, version, "secret")? {
            Content::Secret(secret) => Ok(algorithm.tag(secret.expose().as_ref(), input)),
            Content::Key { .. } => Err(wants_a_secret(client)),
        }
    }

    /// The keys that TLS handshakes can be signed with: that in use, and then the next one; what is no key is left out.
    pub fn tls_keys(&self, client: &str) -> Result<Vec<TlsKey>, Error> {
        let Some(Live { current, next }) = self.live(client)? else { return Ok(Vec::new()) };
        let mut keys = Vec::new();
        for Usable { stored, .. } in [Some(current), next].into_iter().flatten() {
            match self.key_pair(client, &stored.version) {
                Ok((key, _)) => {
                    let (public_key, schemes) =
                        (key.public()?.spki().to_vec(), tls::schemes(key.algorithm()));
                    keys.push(TlsKey { version: stored.version, public_key, schemes });
                }
                // Of two credentials one may be of use though the other is not.
                Err(Error::Refused { .. } | Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(keys)
    }

    /// Signs a TLS handshake (RFC 8446 section 4.4.3, RFC 5246 section 7.4.8).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if that credential is gone, [`Error::Refused`] if it is no key.
    pub fn sign_tls(
        &self,
        client: &str,
        version: &str,
        scheme: TlsScheme,
        input: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let (key, pkcs8) = self.key_pair(client, version)?;
        tls::sign(&key, &pkcs8, scheme, input)
    }

    /// A certificate for a key of a client, or a request for one, in PEM. Without a key ID it is for the next key, or for that
    /// in use where there is no next one.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such key, [`Error::Refused`] for what can't be in a certificate.
    pub fn certificate(
        &self,
        client: &str,
        kid: Option<&str>,
        common_name: &str,
        form: CertificateForm,
        now_unix: u64,
    ) -> Result<String, Error> {
        let keys = self.public_keys(client)?;
        let is_meant = |key: &&PublicKey| match kid {
            Some(kid) => key.kid == kid,
            None => key.standing != Standing::Previous,
        };
        // The newest comes first.
        let key = keys.iter().find(is_meant).ok_or_else(|| {
            Error::not_found(format!(
                "{client} has no key{}",
                if kid.is_some() { " with that key ID" } else { "" }
            ))
            .with_hint(format!("see which it has: tokenbroker key list {client}"))
        })?;
        let (key, pkcs8) = self.key_pair(client, &key.version)?;
        certificate::make(&key, &pkcs8, common_name, form, now_unix)
    }

    fn key_pair(&self, client: &str, version: &str) -> Result<(PrivateKey, Secret), Error> {
        if let Some(passed) = self.passed_as(client, version)? {
            return match passed.content {
                PassedContent::Key { key, .. } => key.to_pkcs8().map(|pkcs8| (*key, pkcs8)),
                PassedContent::Secret(_) => Err(wants_a_key(client)),
            };
        }
        match self.content(client, version, "key")? {
            Content::Key { algorithm, pkcs8, .. } => {
                PrivateKey::from_pkcs8(algorithm, &pkcs8).map(|key| (key, pkcs8))
            }
            Content::Secret(_) => Err(wants_a_key(client)),
        }
    }

    /// What a credential holds that is in use, and called like this.
    fn content(&self, client: &str, version: &str, called: &str) -> Result<Content, Error> {
        let gone = || Error::not_found(format!("the {called} of {client} is no longer in the key store"));
        let vault = self.placement.for_reading()?.ok_or_else(gone)?;
        Ok(vault.get(client, version)?.ok_or_else(gone)?.content)
    }
}

fn wants_a_key(client: &str) -> Error {
    Error::refused(format!("{client} has a secret, and a key is asked for"))
        .with_hint(format!("make one: tokenbroker key generate {client}"))
}

fn wants_a_secret(client: &str) -> Error {
    Error::refused(format!("{client} has a key, and a secret is asked for"))
        .with_hint(format!("set one: tokenbroker secret set {client}"))
}
