//! Client registrations, as both authorization servers take them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

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
    SecretJwt { secret: String, algorithm: String },
    PrivateKeyJwt(Vec<PublicJwk>),
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

    pub(crate) fn set_secret(&mut self, new: &str) {
        match &mut self.authentication {
            Authentication::SecretBasic(secret)
            | Authentication::SecretPost(secret)
            | Authentication::SecretJwt { secret, .. } => *secret = new.into(),
            Authentication::PrivateKeyJwt(_) => panic!("{} has no secret but a key", self.id),
        }
    }

    pub(crate) fn add_key(&mut self, jwk: &str) {
        match &mut self.authentication {
            Authentication::PrivateKeyJwt(keys) => keys.extend(public_keys(jwk)),
            _ => panic!("{} has no key but a secret", self.id),
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
