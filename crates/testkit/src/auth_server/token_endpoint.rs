//! The token endpoint: one grant, client credentials (RFC 6749 section 4.4).

use std::collections::{BTreeSet, HashSet};

use http_body_util::{BodyExt, Limited};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use hyper::http::request::Parts;
use serde_json::json;
use url::form_urlencoded;

use super::authentication::Presented;
use super::reply::Reply;
use super::state::{Asked, Server, State};
use crate::Client;

const LONGEST_BODY: usize = 256 * 1024;

/// The answer to a token request; `None` closes the connection.
pub(super) async fn answer(request: Request<Incoming>, server: &Server) -> Option<Reply> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LONGEST_BODY).collect().await else { return Some(Reply::empty(413)) };
    let request = TokenRequest::read(&head, &body.to_bytes());
    let presented = Presented::find(&request, server.settings.raw_basic);
    let client_id = match &presented {
        Ok(presented) => presented.client_id().to_owned(),
        Err(_) => request.field("client_id").unwrap_or_default().to_owned(),
    };
    let fault = {
        let mut state = server.state();
        state.counts_of(&client_id).requests += 1;
        state.asked.entry(client_id.clone()).or_default().push(request.asked());
        state.token_fault(&client_id)
    };

    let mut issued = false;
    let honest = || match presented.and_then(|presented| issue(&request, &presented, server)) {
        Ok(reply) => {
            issued = true;
            reply
        }
        Err(refusal) => refusal.reply(&request),
    };
    let reply = fault.answer(honest).await?;

    let mut state = server.state();
    let counts = state.counts_of(&client_id);
    if issued {
        counts.accepted += 1
    } else {
        counts.rejected += 1
    }
    Some(reply)
}

/// What a token request says, before it is judged.
pub(super) struct TokenRequest {
    content_type: Option<String>,
    pub(super) authorization: Option<String>,
    form: Vec<(String, String)>,
}

impl TokenRequest {
    fn read(head: &Parts, body: &[u8]) -> Self {
        let header = |name: HeaderName| head.headers.get(name)?.to_str().ok().map(String::from);
        Self {
            content_type: header(CONTENT_TYPE),
            authorization: header(AUTHORIZATION),
            form: form_urlencoded::parse(body).into_owned().collect(),
        }
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    fn asked(&self) -> Asked {
        let resource = self.form.iter().filter(|(field, _)| field == "resource");
        Asked {
            scope: self.field("scope").map(str::to_owned),
            resource: resource.map(|(_, value)| value.clone()).collect(),
            audience: self.field("audience").map(str::to_owned),
        }
    }

    fn check_form(&self) -> Result<(), Refusal> {
        let media_type = self.content_type.as_deref().and_then(|value| value.split(';').next());
        if !media_type
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
        {
            return Err(Refusal::new("invalid_request", "the content type is not a form's"));
        }
        // RFC 8707 lets `resource` be repeated, and nothing else.
        let mut seen = HashSet::new();
        if self.form.iter().any(|(name, _)| name != "resource" && !seen.insert(name)) {
            return Err(Refusal::new("invalid_request", "a parameter is repeated"));
        }
        Ok(())
    }
}

fn issue(request: &TokenRequest, presented: &Presented, server: &Server) -> Result<Reply, Refusal> {
    request.check_form()?;
    let mut state = server.state();
    let client = presented.authenticate(&server.settings, &mut state)?;
    match request.field("grant_type") {
        Some("client_credentials") => {}
        Some(_) => return Err(Refusal::new("unsupported_grant_type", "only client_credentials is known")),
        None => return Err(Refusal::new("invalid_request", "grant_type is missing")),
    }
    let scope = request.field("scope");
    check_scope(scope, &client)?;
    Ok(token(&mut state, &client, scope))
}

fn check_scope(asked: Option<&str>, client: &Client) -> Result<(), Refusal> {
    let asked: BTreeSet<_> = asked.unwrap_or_default().split_ascii_whitespace().map(String::from).collect();
    match &client.scope {
        Some(allowed) if !asked.is_subset(allowed) => {
            Err(Refusal::new("invalid_scope", "the client may not have this scope"))
        }
        _ => Ok(()),
    }
}

fn token(state: &mut State, client: &Client, scope: Option<&str>) -> Reply {
    let (token, lifetime) = state.issue(client.lifetime);
    let mut response =
        json!({ "access_token": token, "token_type": "Bearer", "expires_in": lifetime.as_secs() });
    if let Some(scope) = scope {
        response["scope"] = scope.into();
    }
    Reply::json(200, &response)
}

/// An OAuth error (RFC 6749 section 5.2).
pub(super) struct Refusal {
    code: &'static str,
    description: &'static str,
}

impl Refusal {
    pub(super) fn new(code: &'static str, description: &'static str) -> Self {
        Self { code, description }
    }

    fn reply(&self, request: &TokenRequest) -> Reply {
        let body = json!({ "error": self.code, "error_description": self.description });
        match self.code {
            "invalid_client" if request.authorization.is_some() => {
                Reply::json(401, &body).header("www-authenticate", r#"Basic realm="tokens""#)
            }
            "invalid_client" => Reply::json(401, &body),
            _ => Reply::json(400, &body),
        }
    }
}
