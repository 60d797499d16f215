//! What RFC 6749 and our rules make of a response, said once more.

use std::collections::BTreeSet;
use std::time::Duration;

use tokenbroker_oauth::{Class, ErrorCode, Malformed, TokenErrorKind, TokenResponse, Unreadable};

use crate::json::Json;

/// Lifetimes are told apart up to this: the daemon clamps them anyway.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) const CODES: [(&str, ErrorCode, Class); 11] = [
    ("server_error", ErrorCode::ServerError, Class::Transient),
    ("temporarily_unavailable", ErrorCode::TemporarilyUnavailable, Class::Transient),
    ("invalid_client", ErrorCode::InvalidClient, Class::Credential),
    ("invalid_scope", ErrorCode::InvalidScope, Class::Request),
    ("invalid_target", ErrorCode::InvalidTarget, Class::Request),
    ("invalid_request", ErrorCode::InvalidRequest, Class::Request),
    ("invalid_grant", ErrorCode::InvalidGrant, Class::Request),
    ("unauthorized_client", ErrorCode::UnauthorizedClient, Class::Request),
    ("unsupported_grant_type", ErrorCode::UnsupportedGrantType, Class::Request),
    ("access_denied", ErrorCode::AccessDenied, Class::Request),
    ("use_dpop_nonce", ErrorCode::UseDpopNonce, Class::Demand),
];

/// A token as callers see it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Granted {
    pub(crate) token: String,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) scope: BTreeSet<String>,
    pub(crate) narrowed: bool,
}

impl From<TokenResponse> for Granted {
    fn from(reply: TokenResponse) -> Self {
        Self {
            token: reply.access_token.expose().to_owned(),
            lifetime: reply.lifetime.map(|lifetime| lifetime.min(DAY)),
            scope: reply.scope.iter().flat_map(|scope| scope.iter()).map(str::to_owned).collect(),
            narrowed: reply.narrowed,
        }
    }
}

/// What a success says. `asked` is the scope that was asked for, empty if none was.
pub(crate) fn success(body: &[u8], asked: &BTreeSet<String>) -> Result<Granted, TokenErrorKind> {
    let reply = Members::read(body).map_err(Malformed::Body)?;
    let wrong_type = TokenErrorKind::Malformed(Malformed::Body(Unreadable::WrongType));
    let token = reply.text("access_token").ok_or(wrong_type)?;
    let token_type = reply.text("token_type").ok_or(wrong_type)?;
    if let Some(code) = reply.error() {
        return Err(TokenErrorKind::OAuth(code));
    }
    let token = token.filter(|token| !token.is_empty()).ok_or(Malformed::NoAccessToken)?;
    if token.len() > 32_768 {
        return Err(Malformed::TokenLength.into());
    }
    if !token.chars().all(|character| TOKEN_ALPHABET.contains(character)) {
        return Err(Malformed::TokenCharacters.into());
    }
    if token_type.ok_or(Malformed::NoTokenType)?.to_lowercase() != "bearer" {
        return Err(Malformed::TokenType.into());
    }
    let lifetime = reply.lifetime()?;
    let granted = reply.scope(asked)?;
    if !asked.is_empty() && !granted.iter().all(|word| asked.contains(word)) {
        return Err(Malformed::WiderScope.into());
    }
    let narrowed = !asked.is_empty() && granted.len() < asked.len();
    Ok(Granted { token, lifetime, scope: granted, narrowed })
}

/// Letters, digits and all signs but those that delimit or quote in headers.
pub(crate) const TOKEN_ALPHABET: &str =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'()*+-./:<=>?@[]^_`{|}~";

/// What any other status says.
pub(crate) fn failure(status: u16, body: &[u8]) -> Class {
    let code = Members::read(body).ok().and_then(|body| body.error());
    let known = code.and_then(|code| CODES.iter().find(|(_, known, _)| *known == code));
    match (status, known) {
        (408 | 425 | 429 | 500..=599, _) => Class::Transient,
        (_, Some((_, _, class))) => *class,
        (401 | 403, None) => Class::Credential,
        (_, None) => Class::Request,
    }
}

/// The members of an object.
struct Members(Vec<(String, Json)>);

impl Members {
    fn read(body: &[u8]) -> Result<Self, Unreadable> {
        match Json::read(body) {
            Some(Json::Object(members)) => match Json::Object(members.clone()).has_duplicates() {
                true => Err(Unreadable::DuplicateKey),
                false => Ok(Self(members)),
            },
            _ => Err(Unreadable::NotAnObject),
        }
    }

    /// `null` is as good as nothing.
    fn get(&self, name: &str) -> Option<&Json> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
            .filter(|value| **value != Json::Null)
    }

    /// `None` if it is something else than a text.
    fn text(&self, name: &str) -> Option<Option<String>> {
        match self.get(name) {
            None => Some(None),
            Some(Json::Text(text)) => Some(Some(text.clone())),
            Some(_) => None,
        }
    }

    fn error(&self) -> Option<ErrorCode> {
        match self.get("error")? {
            Json::Text(text) if text.is_empty() => None,
            Json::Text(text) => {
                let known = CODES.iter().find(|(name, _, _)| name == text);
                Some(known.map_or(ErrorCode::Unknown, |(_, code, _)| *code))
            }
            _ => Some(ErrorCode::Unknown),
        }
    }

    fn lifetime(&self) -> Result<Option<Duration>, Malformed> {
        let seconds: f64 = match self.get("expires_in") {
            None => return Ok(None),
            Some(Json::Number(number)) => number.parse().unwrap_or(0.0),
            Some(Json::Text(text)) => {
                let mut parts = text.split('.');
                let are_digits = parts.clone().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
                if !are_digits || parts.clone().count() > 2 {
                    return Err(Malformed::Lifetime);
                }
                parts.next().and_then(|whole| whole.parse().ok()).unwrap_or(0.0)
            }
            Some(_) => return Err(Malformed::Lifetime),
        };
        if seconds < 1.0 {
            return Err(Malformed::Lifetime);
        }
        Ok(Some(Duration::from_secs(seconds.min(DAY.as_secs_f64()) as u64)))
    }

    fn scope(&self, asked: &BTreeSet<String>) -> Result<BTreeSet<String>, Malformed> {
        let texts =
            match self.get("scope") {
                None => return Ok(asked.clone()),
                Some(Json::Text(text)) => vec![text.as_str()],
                Some(Json::Array(elements)) => elements
                    .iter()
                    .map(|element| {
                        if let Json::Text(text) = element { Ok(text.as_str()) } else { Err(Malformed::Scope) }
                    })
                    .collect::<Result<_, _>>()?,
                Some(_) => return Err(Malformed::Scope),
            };
        let words = texts.iter().flat_map(|text| text.split(' ')).filter(|word| !word.is_empty());
        let is_word = |word: &str| {
            word.chars().all(|character| matches!(character, '\x21' | '\x23'..='\x5B' | '\x5D'..='\x7E'))
        };
        words.map(|word| if is_word(word) { Ok(word.to_owned()) } else { Err(Malformed::Scope) }).collect()
    }
}
