//! Client authentication: what a request presents, and whether it fits the registration.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use url::form_urlencoded;

use super::assertion::{Assertion, Rules, Signer};
use super::state::{Settings, State};
use super::token_endpoint::{Refusal, TokenRequest};
use crate::client::{Authentication, Client};
use crate::clock;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The one credential that a request presents; not verified yet.
pub(super) enum Presented {
    Basic { client_id: String, secret: String },
    Post { client_id: String, secret: String },
    Assertion { client_id: String, compact: String },
}

impl Presented {
    pub(super) fn find(request: &TokenRequest, raw_basic: bool) -> Result<Self, Refusal> {
        let secret = request.field("client_secret");
        let assertion = request.field("client_assertion");
        let presented = match (&request.authorization, secret, assertion) {
            (Some(header), None, None) => Self::basic(header, raw_basic).ok_or_else(|| {
                Refusal::new("invalid_request", "the Authorization header is not a proper Basic one")
            })?,
            (None, Some(secret), None) => Self::post(request.field("client_id"), secret)?,
            (None, None, Some(compact)) => Self::assertion(request.field("client_assertion_type"), compact)?,
            (None, None, None) => return Err(Refusal::new("invalid_client", "there is no credential")),
            _ => return Err(Refusal::new("invalid_request", "there is more than one credential")),
        };
        match request.field("client_id") {
            Some(client_id) if client_id != presented.client_id() => {
                Err(Refusal::new("invalid_request", "client_id is not the client that authenticates"))
            }
            _ => Ok(presented),
        }
    }

    pub(super) fn client_id(&self) -> &str {
        match self {
            Self::Basic { client_id, .. }
            | Self::Post { client_id, .. }
            | Self::Assertion { client_id, .. } => client_id,
        }
    }

    /// The client, if this is its credential, presented the way it is registered for.
    pub(super) fn authenticate(&self, settings: &Settings, state: &mut State) -> Result<Client, Refusal> {
        let client = state.client(self.client_id()).cloned();
        let client = client.ok_or(Refusal::new("invalid_client", "there is no such client"))?;
        let fits = match (self, &client.authentication) {
            (Self::Basic { secret, .. }, Authentication::SecretBasic(registered)) => secret == registered,
            (Self::Post { secret, .. }, Authentication::SecretPost(registered)) => secret == registered,
            (Self::Assertion { compact, .. }, registered) => {
                let signer = match registered {
                    Authentication::PrivateKeyJwt(keys) => Signer::Keys(keys),
                    Authentication::SecretJwt { secret, algorithm } => Signer::Secret { secret, algorithm },
                    _ => return Err(another_method()),
                };
                let audience = settings.audience();
                let typ = &settings.assertion_typ;
                let rules = Rules { audience: &audience, typ, signer, now: clock::unix_seconds() };
                use_assertion(compact, &rules, &client, state)?;
                true
            }
            _ => return Err(another_method()),
        };
        fits.then_some(client).ok_or(Refusal::new("invalid_client", "the secret is wrong"))
    }

    /// RFC 6749 section 2.3.1: ID and secret are form-encoded before they are joined.
    fn basic(header: &str, raw: bool) -> Option<Self> {
        let decoded = BASE64_STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
        let decoded = String::from_utf8(decoded).ok()?;
        let (client_id, secret) = decoded.split_once(':')?;
        let decode = |text: &str| if raw { Some(text.into()) } else { form_decoded(text) };
        Some(Self::Basic { client_id: decode(client_id)?, secret: decode(secret)? })
    }

    fn post(client_id: Option<&str>, secret: &str) -> Result<Self, Refusal> {
        let client_id = client_id.ok_or(Refusal::new("invalid_request", "client_id is missing"))?;
        Ok(Self::Post { client_id: client_id.into(), secret: secret.into() })
    }

    fn assertion(assertion_type: Option<&str>, compact: &str) -> Result<Self, Refusal> {
        if assertion_type != Some(ASSERTION_TYPE) {
            return Err(Refusal::new("invalid_request", "client_assertion_type is not the one for JWTs"));
        }
        let assertion = Assertion::parse(compact);
        let assertion =
            assertion.ok_or(Refusal::new("invalid_client", "the assertion is not a signed JWT"))?;
        Ok(Self::Assertion { client_id: assertion.subject().into(), compact: compact.into() })
    }
}

fn another_method() -> Refusal {
    Refusal::new("invalid_client", "the client is registered for another method")
}

fn use_assertion(
    compact: &str,
    rules: &Rules<'_>,
    client: &Client,
    state: &mut State,
) -> Result<(), Refusal> {
    let refused = |description| Refusal::new("invalid_client", description);
    let assertion = Assertion::parse(compact).ok_or(refused("the assertion is not a signed JWT"))?;
    let jti = assertion.verify(rules).map_err(refused)?;
    let first_use = state.used_assertions.insert((client.id.clone(), jti.to_owned()));
    first_use.then_some(()).ok_or(refused("jti was used before"))
}

/// One form-encoded value; `None` if it holds what should have been encoded.
fn form_decoded(text: &str) -> Option<String> {
    if text.contains(['&', '=']) {
        return None;
    }
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    Some(pairs.next().map(|(value, _)| value.into_owned()).unwrap_or_default())
}
