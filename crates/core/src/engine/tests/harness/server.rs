//! An authorization server that does as it is told, and remembers what it was asked.

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tokenbroker_oauth::{HttpRequest, HttpResponse, Method};
use tokenbroker_secret::Secret;
use url::form_urlencoded;

use super::seconds;
use crate::config::Issuer;
use crate::engine::{TransportFailure, TransportKind};
use crate::time::{Moment, Now};

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(in crate::engine::tests) enum Reply {
    /// A token with this lifetime in seconds.
    Token(u64),
    /// A body of one's own, with status 200.
    Body(String),
    /// An OAuth error.
    Error(&'static str),
    /// A status without a body.
    Status(u16),
    /// A status with Retry-After.
    Later(u16, String),
    /// The connection is refused.
    Unreachable,
    /// Nothing comes back until the issuer's timeout.
    Hang,
}

#[derive(Debug, Clone)]
pub(in crate::engine::tests) struct TokenRequest {
    pub(in crate::engine::tests) at: Moment,
    pub(in crate::engine::tests) client_id: String,
    pub(in crate::engine::tests) secret: Option<String>,
    pub(in crate::engine::tests) assertion: Option<String>,
    pub(in crate::engine::tests) scope: Option<String>,
}

#[derive(Debug)]
pub(in crate::engine::tests) struct Server {
    pub(in crate::engine::tests) latency: Duration,
    /// What token requests get.
    pub(in crate::engine::tests) reply: Reply,
    /// What those of particular clients get instead.
    pub(in crate::engine::tests) replies: HashMap<String, Reply>,
    /// What those with particular secrets get instead.
    pub(in crate::engine::tests) secret_replies: HashMap<&'static str, Reply>,
    /// What a secret must be, if the server cares.
    pub(in crate::engine::tests) secret: Option<&'static str>,
    /// What metadata requests get, by the beginning of the URL's path; 404 elsewhere.
    pub(in crate::engine::tests) metadata: Vec<(&'static str, Reply)>,
    /// By how many seconds its clock is ahead, if it tells the time; assertions must be dated by it.
    pub(in crate::engine::tests) ahead: Option<i64>,
    /// What a gateway in front of it says of the time instead: by how many seconds that is ahead.
    pub(in crate::engine::tests) gateway_ahead: Option<i64>,
    /// Whether it has one token only, and issues that again until it expires.
    pub(in crate::engine::tests) reissues: bool,
    /// How many different tokens it issued.
    pub(super) issued: u64,
    /// The token requests it saw.
    pub(in crate::engine::tests) requests: Vec<TokenRequest>,
    /// The metadata requests it saw.
    pub(in crate::engine::tests) lookups: Vec<(Moment, String)>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(50),
            reply: Reply::Token(3600),
            replies: HashMap::new(),
            secret_replies: HashMap::new(),
            secret: None,
            ahead: None,
            gateway_ahead: None,
            reissues: false,
            issued: 0,
            metadata: vec![(
                "/.well-known/oauth-authorization-server/",
                Self::metadata("https://as.example/op"),
            )],
            requests: Vec::new(),
            lookups: Vec::new(),
        }
    }
}

impl Server {
    /// The metadata of an issuer.
    pub(in crate::engine::tests) fn metadata(issuer: &str) -> Reply {
        Reply::Body(format!(r#"{{"issuer":"{issuer}","token_endpoint":"https://as.example/op/token"}}"#))
    }

    /// What comes back, and when.
    pub(super) fn receive(
        &mut self,
        clocks: Now,
        issuer: &Issuer,
        request: &HttpRequest,
    ) -> (Duration, Result<HttpResponse, TransportFailure>) {
        let now = clocks.boot;
        let date = self
            .gateway_ahead
            .or(self.ahead)
            .map(|ahead| http_date(clocks.unix.saturating_add_signed(ahead)));
        let response = |status, body| HttpResponse { date: date.clone(), ..response(status, body) };
        let reply = match request.method {
            Method::Get => self.metadata_requested(now, request),
            Method::Post => self.token_requested(clocks, request),
        };
        let failure =
            |kind, message: &str| Err(TransportFailure { kind, message: message.into(), hint: None });
        let response = match reply {
            Reply::Token(lifetime) => {
                self.issued += u64::from(!self.reissues);
                let number = self.issued;
                let body = format!(
                    r#"{{"access_token":"token-{number}","token_type":"Bearer","expires_in":{lifetime}}}"#
                );
                response(200, body)
            }
            Reply::Body(body) => response(200, body),
            Reply::Error(code) => response(400, format!(r#"{{"error":"{code}"}}"#)),
            Reply::Status(status) => response(status, String::new()),
            Reply::Later(status, when) => {
                HttpResponse { retry_after: Some(when), ..response(status, String::new()) }
            }
            Reply::Unreachable => {
                return (self.latency, failure(TransportKind::Network, "connection refused"));
            }
            Reply::Hang => return (issuer.timeout, failure(TransportKind::Timeout, "no reply in time")),
        };
        match self.latency < issuer.timeout {
            true => (self.latency, Ok(response)),
            false => (issuer.timeout, failure(TransportKind::Timeout, "no reply in time")),
        }
    }

    fn metadata_requested(&mut self, now: Moment, request: &HttpRequest) -> Reply {
        let url = request.url.url();
        self.lookups.push((now, url.path().to_owned()));
        let found = self.metadata.iter().find(|(path, _)| url.path().starts_with(path));
        found.map_or(Reply::Status(404), |(_, reply)| reply.clone())
    }

    fn token_requested(&mut self, clocks: Now, request: &HttpRequest) -> Reply {
        let body = request.body.as_ref().map(Secret::expose).unwrap_or_default();
        let mut form: HashMap<_, _> = form_urlencoded::parse(body).into_owned().collect();
        let client_id = form.remove("client_id").expect("it is in the body");
        let secret = form.remove("client_secret");
        let of_secret = secret.as_deref().and_then(|secret| self.secret_replies.get(secret));
        let reply = match self.secret {
            _ if of_secret.is_some() => of_secret.cloned().expect("it is there"),
            Some(right) if secret.as_deref() != Some(right) => Reply::Error("invalid_client"),
            _ => self.replies.get(&client_id).unwrap_or(&self.reply).clone(),
        };
        let assertion = form.remove("client_assertion");
        let dated = assertion.as_deref().map(issued_at);
        let clock = clocks.unix.saturating_add_signed(self.ahead.unwrap_or(0));
        let scope = form.remove("scope");
        self.requests.push(TokenRequest { at: clocks.boot, client_id, secret, assertion, scope });
        match dated {
            Some(dated) if self.ahead.is_some() && dated.abs_diff(clock) > 60 => {
                Reply::Error("invalid_client")
            }
            _ => reply,
        }
    }

    /// The most requests that any second saw.
    pub(in crate::engine::tests) fn busiest_second(&self) -> usize {
        let starts: Vec<Moment> = self.requests.iter().map(|request| request.at).collect();
        let within = |index: usize| {
            let end = starts[index].after(seconds(1));
            starts[index..].iter().take_while(|at| **at < end).count()
        };
        (0..starts.len()).map(within).max().unwrap_or(0)
    }
}

/// When an assertion says it was made.
fn issued_at(assertion: &str) -> u64 {
    let claims = assertion.split('.').nth(1).expect("a JWS has three parts");
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64url");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    claims["iat"].as_u64().expect("a number")
}

fn http_date(unix: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix))
}

fn response(status: u16, body: String) -> HttpResponse {
    HttpResponse {
        status,
        content_type: Some("application/json".into()),
        retry_after: None,
        date: None,
        body: Secret::new(body.into_bytes()),
    }
}
