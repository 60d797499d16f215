//! Why a token request got no token, and what kind of patience that calls for.

use crate::{ErrorCode, HttpResponse, RetryAfter, Unreadable};

/// Why there is no token. Its text is for an operator and holds nothing that the server wrote, but for the error
/// codes of the RFCs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct TokenError {
    /// What happened.
    pub kind: TokenErrorKind,
    /// When the server wants to be asked again.
    pub retry_after: Option<RetryAfter>,
}

impl TokenError {
    /// Classifies a response whose status says that it holds no token.
    pub(crate) fn of_status(response: &HttpResponse) -> Self {
        let code = ErrorCode::of_body(response.body.expose());
        let kind = match (response.status, code) {
            // A gateway writes what it likes into the body of a 503; the status is what counts.
            (status, Some(code)) if is_transient(status) && code.class() == Class::Transient => code.into(),
            (status, _) if is_transient(status) => TokenErrorKind::Http { status },
            (status @ (401 | 403), None | Some(ErrorCode::Unknown)) => TokenErrorKind::Refused { status },
            (_, Some(code)) => code.into(),
            (status, None) => TokenErrorKind::Http { status },
        };
        Self::new(kind, response)
    }

    pub(crate) fn new(kind: impl Into<TokenErrorKind>, response: &HttpResponse) -> Self {
        Self { kind: kind.into(), retry_after: RetryAfter::of(response) }
    }

    /// What to do about it.
    pub fn class(&self) -> Class {
        match self.kind {
            TokenErrorKind::OAuth(code) => code.class(),
            TokenErrorKind::Refused { .. } => Class::Credential,
            TokenErrorKind::Http { status } if is_transient(status) => Class::Transient,
            TokenErrorKind::Http { .. } => Class::Request,
            TokenErrorKind::Malformed(_) => Class::Transient,
        }
    }

    /// One word for a program: the RFC's error code, `http` or `malformed`.
    pub fn code(&self) -> &'static str {
        match self.kind {
            TokenErrorKind::OAuth(code) => code.name().unwrap_or("http"),
            TokenErrorKind::Refused { .. } | TokenErrorKind::Http { .. } => "http",
            TokenErrorKind::Malformed(_) => "malformed",
        }
    }
}

/// Request timeout, too early, too many requests, and whatever the server blames itself for.
pub(crate) fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

/// What kind of failure it is; the life of a token turns on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Nobody's fault: try again soon, with back-off.
    Transient,
    /// The credential is refused: try seldom, until it changes.
    Credential,
    /// The request is refused: try seldom, until the configuration changes.
    Request,
    /// The server asks for something more in the next request. Whoever can't give it treats this as [`Self::Request`].
    Demand,
}

/// What happened to a token request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenErrorKind {
    /// The server answered with an OAuth error.
    #[error("the authorization server {}", .0.words())]
    OAuth(ErrorCode),
    /// 401 or 403 without an OAuth error, as gateways answer, and some servers when the secret is wrong.
    #[error(
        "the token request was refused without an OAuth error (HTTP {status}): the client ID or its credential may be \
         wrong, or a gateway in front of the authorization server lets no request of this host through"
    )]
    Refused {
        /// The status code.
        status: u16,
    },
    /// Any other status that is no success.
    #[error("{}", http_words(*.status))]
    Http {
        /// The status code.
        status: u16,
    },
    /// A success that holds no usable token.
    #[error("the authorization server answered without a usable token: {0}")]
    Malformed(Malformed),
}

impl From<ErrorCode> for TokenErrorKind {
    fn from(code: ErrorCode) -> Self {
        Self::OAuth(code)
    }
}

impl From<Malformed> for TokenErrorKind {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

fn http_words(status: u16) -> String {
    match status {
        300..=399 => format!(
            "the token endpoint answered with a redirect (HTTP {status}), and redirects are not followed"
        ),
        404 | 405 => format!("there seems to be no token endpoint at this URL (HTTP {status})"),
        429 => format!("the authorization server wants fewer requests (HTTP {status})"),
        500..=599 => format!("the authorization server has a problem of its own (HTTP {status})"),
        _ => format!("the token endpoint answered HTTP {status} without an OAuth error"),
    }
}

/// Why a success holds no usable token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The body can't be read.
    #[error("{0}")]
    Body(Unreadable),
    /// There is no `access_token`, or an empty one.
    #[error("it has no access_token")]
    NoAccessToken,
    /// The token is longer than [`AccessToken::MAX_LENGTH`](crate::AccessToken::MAX_LENGTH).
    #[error("the access token is longer than 32 KiB")]
    TokenLength,
    /// The token can't be put into a header.
    #[error("the access token has characters that a header can't carry")]
    TokenCharacters,
    /// There is no `token_type`.
    #[error("it has no token_type")]
    NoTokenType,
    /// The token is not a bearer token.
    #[error("the token_type is not Bearer")]
    TokenType,
    /// `expires_in` is not a positive number of seconds.
    #[error("expires_in is not a positive number of seconds")]
    Lifetime,
    /// The scope is not one.
    #[error("the scope is malformed")]
    Scope,
    /// The scope is wider than what was asked for.
    #[error("the scope is wider than what was asked for")]
    WiderScope,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, body: &str) -> TokenError {
        TokenError::of_status(&HttpResponse::plain(status, body))
    }

    #[test]
    fn each_error_code_has_its_class() {
        for (code, class) in [
            ("invalid_client", Class::Credential),
            ("invalid_scope", Class::Request),
            ("invalid_target", Class::Request),
            ("invalid_request", Class::Request),
            ("invalid_grant", Class::Request),
            ("unauthorized_client", Class::Request),
            ("unsupported_grant_type", Class::Request),
            ("access_denied", Class::Request),
            ("server_error", Class::Transient),
            ("temporarily_unavailable", Class::Transient),
            ("use_dpop_nonce", Class::Demand),
        ] {
            for status in [400, 401, 403] {
                let error = error(status, &format!(r#"{{"error":"{code}"}}"#));
                assert_eq!((error.class(), error.code()), (class, code), "HTTP {status}");
                assert!(error.to_string().contains(code), "{error}");
            }
        }
    }

    #[test]
    fn s28_an_unknown_code_is_a_refused_request_and_is_not_repeated() {
        let error = error(400, r#"{"error":"hunter2","error_description":"hunter2"}"#);
        assert_eq!(error.kind, TokenErrorKind::OAuth(ErrorCode::Unknown));
        assert_eq!((error.class(), error.code()), (Class::Request, "http"));
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn s28_a_web_page_with_a_400_is_a_refused_request() {
        let error = error(400, "<html>hunter2</html>");
        assert_eq!(error.kind, TokenErrorKind::Http { status: 400 });
        assert_eq!((error.class(), error.code()), (Class::Request, "http"));
        assert_eq!(error.to_string(), "the token endpoint answered HTTP 400 without an OAuth error");
    }

    #[test]
    fn s28_an_empty_401_or_403_is_a_refused_credential() {
        for status in [401, 403] {
            for body in ["", "<html>", r#"{"error":"Unauthorized","status":401}"#] {
                let error = error(status, body);
                assert_eq!(error.kind, TokenErrorKind::Refused { status }, "{body}");
                assert_eq!((error.class(), error.code()), (Class::Credential, "http"));
                let words = error.to_string();
                assert!(words.contains("gateway") && words.contains("credential"), "{words}");
                assert!(words.contains(&format!("without an OAuth error (HTTP {status})")), "{words}");
            }
            let oauth = error(status, r#"{"error":"invalid_client"}"#).to_string();
            assert!(!oauth.contains("gateway"), "the authorization server itself answered: {oauth}");
        }
    }

    #[test]
    fn s25_a_server_in_trouble_is_transient_whatever_its_body_says() {
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            for body in ["", "<html>", r#"{"error":"Service Unavailable"}"#, r#"{"error":"invalid_client"}"#]
            {
                let error = error(status, body);
                assert_eq!(error.kind, TokenErrorKind::Http { status }, "{body}");
                assert_eq!(error.class(), Class::Transient);
            }
        }
        assert_eq!(error(503, r#"{"error":"temporarily_unavailable"}"#).code(), "temporarily_unavailable");
    }

    #[test]
    fn s29_a_redirect_is_a_refused_request_and_says_that_it_is_not_followed() {
        for status in [301, 302, 303, 307, 308] {
            let error = error(status, "");
            assert_eq!(error.class(), Class::Request);
            assert!(error.to_string().ends_with("redirects are not followed"), "{error}");
        }
    }

    #[test]
    fn s24_retry_after_is_handed_on() {
        let retry_after = |header: &str| {
            let response =
                HttpResponse { retry_after: Some(header.to_owned()), ..HttpResponse::plain(429, "") };
            TokenError::of_status(&response).retry_after
        };
        assert_eq!(retry_after("30"), Some(RetryAfter::Seconds(30)));
        assert_eq!(retry_after("Fri, 31 Dec 1999 23:59:59 GMT"), Some(RetryAfter::At(946_684_799)));
        assert_eq!(retry_after("soon"), None);
        assert_eq!(error(429, "").retry_after, None);
    }
}
