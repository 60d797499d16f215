//! An authorization server: it knows registrations, checks who asks, and issues tokens.
//!
//! It reads what is really sent. What no fault explains and a real server would refuse is an error of the broker's.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use tokenbroker_oauth::{HttpRequest, Method as Verb};
use url::form_urlencoded;

use super::site::{ClientPlan, IssuerPlan, Method};
use super::store::{key_of, kid, signature};

/// Further off than this an assertion is not taken.
const TOLERANCE: i64 = 30;

/// One of the issuers, as it really is.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    identifier: String,
    endpoint: String,
    audience: String,
    raw: bool,
    /// By how many seconds its clock is ahead.
    pub(crate) ahead: i64,
    registrations: BTreeMap<String, Registration>,
    /// Of all assertions it ever saw.
    seen: HashSet<String>,
    issued: u64,
}

/// A client as the server knows it.
#[derive(Debug)]
struct Registration {
    method: Method,
    lifetime: u64,
    /// The secrets or keys that it takes.
    accepted: Vec<String>,
    /// The last token of each token key, and until when it lives, in seconds since 1970.
    last: BTreeMap<Rc<str>, (String, u64)>,
}

/// What a token request asks for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) client_id: String,
    /// What names the token key: client and all that was asked for.
    pub(crate) key: Rc<str>,
    pub(crate) scope: Vec<String>,
    /// The credential that was shown, if the server takes it.
    pub(crate) credential: Result<String, Refused>,
    /// What was shown, whether it is taken or not.
    pub(crate) shown: String,
    /// By how many seconds the assertion's date is off the server's clock.
    pub(crate) dated_off: Option<i64>,
}

/// Why a credential is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is not registered (any more).
    Unknown,
    /// The assertion was made too long ago, or is to be made yet.
    Dated,
}

/// What names a token key.
pub(crate) fn token_key<'a>(
    client_id: &str,
    scope: impl IntoIterator<Item = &'a str>,
    resource: impl IntoIterator<Item = &'a str>,
    audience: Option<&str>,
) -> Rc<str> {
    let sorted = |words: &mut dyn Iterator<Item = &'a str>| {
        words.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
    };
    let scope = sorted(&mut scope.into_iter());
    let resource = sorted(&mut resource.into_iter());
    format!("{client_id}|{scope}|{resource}|{}", audience.unwrap_or_default()).into()
}

impl Server {
    pub(crate) fn new(plan: &IssuerPlan) -> Self {
        Self {
            name: plan.name,
            identifier: plan.identifier(),
            endpoint: plan.endpoint(),
            audience: plan.audience(),
            raw: plan.raw,
            ahead: 0,
            registrations: BTreeMap::new(),
            seen: HashSet::new(),
            issued: 0,
        }
    }

    pub(crate) fn register(&mut self, client: &ClientPlan) {
        let ClientPlan { method, lifetime, .. } = *client;
        let registration = Registration { method, lifetime, accepted: Vec::new(), last: BTreeMap::new() };
        self.registrations.insert(client.client_id.clone(), registration);
    }

    /// Takes a credential beside those it takes already.
    pub(crate) fn accept(&mut self, client_id: &str, credential: &str) {
        if let Some(registration) = self.registrations.get_mut(client_id) {
            registration.accepted.push(credential.into());
        }
    }

    pub(crate) fn accepts(&self, client_id: &str, credential: &str) -> bool {
        let registration = self.registrations.get(client_id);
        registration.is_some_and(|registration| registration.accepted.iter().any(|taken| taken == credential))
    }

    pub(crate) fn lifetime(&self, client_id: &str) -> u64 {
        self.registrations.get(client_id).map_or(0, |registration| registration.lifetime)
    }

    /// The metadata that a URL of it has; `None` where there is none.
    pub(crate) fn metadata(&self, url: &str) -> Option<String> {
        // It knows OpenID's place only, as many do.
        let place = format!("{}/.well-known/openid-configuration", self.identifier);
        (url == place)
            .then(|| format!(r#"{{"issuer":"{}","token_endpoint":"{}"}}"#, self.identifier, self.endpoint))
    }

    /// A new token.
    pub(crate) fn issue(&mut self, asked: &Asked, unix: u64, lifetime: u64) -> String {
        self.issued += 1;
        let token = format!("{}-token-{}", self.name, self.issued);
        if let Some(registration) = self.registrations.get_mut(&asked.client_id) {
            registration.last.insert(Rc::clone(&asked.key), (token.clone(), unix + lifetime));
        }
        token
    }

    /// The token that it issued before, and how many seconds that still lives.
    pub(crate) fn issued_before(&self, asked: &Asked, unix: u64) -> Option<(String, u64)> {
        let (token, until) = self.registrations.get(&asked.client_id)?.last.get(&asked.key)?;
        let left = until.saturating_sub(unix);
        (left > 0).then(|| (token.clone(), left))
    }

    /// Reads a token request.
    ///
    /// # Errors
    ///
    /// What is wrong with it, if no server would understand it.
    pub(crate) fn read(&mut self, request: &HttpRequest, true_unix: u64) -> Result<Asked, String> {
        let unix = true_unix.saturating_add_signed(self.ahead);
        check_form(request, &self.endpoint)?;
        let body = request.body.as_ref().map(|body| body.expose()).unwrap_or_default();
        let pairs: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
        let all = |name: &str| {
            pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect::<Vec<_>>()
        };
        let one = |name: &str| match all(name)[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(format!("{name} comes twice")),
        };
        if one("grant_type")? != Some("client_credentials") {
            return Err("the grant type is not client_credentials".into());
        }
        let basic = request.headers.iter().find(|(name, _)| *name == "authorization");
        let assertion = one("client_assertion")?;
        let secret = one("client_secret")?;
        if usize::from(basic.is_some()) + usize::from(assertion.is_some()) + usize::from(secret.is_some())
            != 1
        {
            return Err("there is not exactly one way of authentication".into());
        }
        let mut dated_off = None;
        let (client_id, shown, credential) = if let Some((_, header)) = basic {
            let (client_id, secret) = self.read_basic(header.expose())?;
            let credential = self.check_secret(&client_id, &secret, Method::Basic)?;
            (client_id, secret, credential)
        } else {
            let client_id = one("client_id")?.ok_or("there is no client_id")?.to_owned();
            let (shown, credential) = match (secret, assertion) {
                (Some(secret), _) => (secret.into(), self.check_secret(&client_id, secret, Method::Post)?),
                (None, Some(assertion)) => {
                    let (credential, off) = self.check_assertion(&client_id, assertion, unix)?;
                    dated_off = Some(off);
                    (signer(assertion)?, credential)
                }
                (None, None) => return Err("there is no authentication".into()),
            };
            (client_id, shown, credential)
        };
        let scope: Vec<String> = one("scope")?
            .unwrap_or_default()
            .split(' ')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        let key = token_key(&client_id, scope.iter().map(String::as_str), all("resource"), one("audience")?);
        Ok(Asked { client_id, key, scope, credential, shown, dated_off })
    }

    fn read_basic(&self, header: &str) -> Result<(String, String), String> {
        let encoded = header.strip_prefix("Basic ").ok_or("the authorization is not Basic")?;
        let decoded = STANDARD.decode(encoded).map_err(|_| "the Basic header is not base64")?;
        let decoded = String::from_utf8(decoded).map_err(|_| "the Basic header is not UTF-8")?;
        let (client_id, secret) = decoded.split_once(':').ok_or("the Basic header has no colon")?;
        if self.raw {
            return Ok((client_id.into(), secret.into()));
        }
        let decode = |text: &str| {
            let pairs = format!("x={text}");
            form_urlencoded::parse(pairs.as_bytes()).next().map(|(_, value)| value.into_owned())
        };
        decode(client_id).zip(decode(secret)).ok_or_else(|| "the Basic header is not form-encoded".into())
    }

    fn registration(&self, client_id: &str, method: Method) -> Result<&Registration, String> {
        let registration = self.registrations.get(client_id).ok_or("nobody has this client ID")?;
        match registration.method == method {
            true => Ok(registration),
            false => Err("the client authenticates in another way than it is registered for".into()),
        }
    }

    fn check_secret(
        &self,
        client_id: &str,
        secret: &str,
        method: Method,
    ) -> Result<Result<String, Refused>, String> {
        let registration = self.registration(client_id, method)?;
        Ok(match registration.accepted.iter().any(|accepted| accepted == secret) {
            true => Ok(secret.to_owned()),
            false => Err(Refused::Unknown),
        })
    }

    /// The credential, and by how many seconds the assertion's date is off.
    fn check_assertion(
        &mut self,
        client_id: &str,
        assertion: &str,
        unix: u64,
    ) -> Result<(Result<String, Refused>, i64), String> {
        let (input, signed) = assertion.rsplit_once('.').ok_or("the assertion has no signature")?;
        let (header, claims) = input.split_once('.').ok_or("the assertion has no claims")?;
        let (header, claims) = (decode_json(header)?, decode_json(claims)?);
        let signed = URL_SAFE_NO_PAD.decode(signed).map_err(|_| "the signature is not base64url")?;
        let expected = [
            (&header["alg"], "RS256"),
            (&header["typ"], "client-authentication+jwt"),
            (&claims["iss"], client_id),
            (&claims["sub"], client_id),
            (&claims["aud"], &self.audience),
        ];
        if let Some((found, expected)) = expected.into_iter().find(|(found, expected)| *found != expected) {
            return Err(format!("the assertion says {found} where it should say {expected:?}"));
        }
        let number = |claim: &str| claims[claim].as_i64().ok_or(format!("the assertion has no {claim}"));
        let (issued_at, expires) = (number("iat")?, number("exp")?);
        if !(1..=300).contains(&(expires - issued_at)) {
            return Err("the assertion does not live for some minutes at most".into());
        }
        let jti = claims["jti"].as_str().filter(|jti| jti.len() >= 16).ok_or("the assertion has no jti")?;
        if !self.seen.insert(jti.to_owned()) {
            return Err("the assertion's jti was used before".into());
        }
        let off = issued_at - i64::try_from(unix).unwrap_or(i64::MAX);
        let registration = self.registration(client_id, Method::Assertion)?;
        let signer = registration.accepted.iter().find(|key| header["kid"] == kid(key));
        let credential = match signer {
            None => Err(Refused::Unknown),
            Some(key) if signature(key, input.as_bytes()) != signed => {
                return Err("the signature is not the key's".into());
            }
            // From the date to the end of its life, with some tolerance on both sides.
            Some(_) if off > TOLERANCE || off + (expires - issued_at) < -TOLERANCE => Err(Refused::Dated),
            Some(key) => Ok(key.clone()),
        };
        Ok((credential, off))
    }
}

/// The key pair that an assertion says it is signed with.
fn signer(assertion: &str) -> Result<String, String> {
    let header = decode_json(assertion.split('.').next().unwrap_or_default())?;
    let key = header["kid"].as_str().and_then(key_of).ok_or("the assertion names no key")?;
    Ok(key.to_owned())
}

fn check_form(request: &HttpRequest, endpoint: &str) -> Result<(), String> {
    let content_type = request.headers.iter().find(|(name, _)| *name == "content-type");
    if request.method != Verb::Post || request.url.as_str() != endpoint {
        return Err(format!("{} is not for {endpoint}", request.url));
    }
    match content_type {
        Some((_, value)) if value.expose() == "application/x-www-form-urlencoded" => Ok(()),
        _ => Err("the body is not said to be a form".into()),
    }
}

fn decode_json(part: &str) -> Result<Value, String> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| "the assertion is not base64url")?;
    serde_json::from_slice(&bytes).map_err(|_| "the assertion is not JSON".into())
}
