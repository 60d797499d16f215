//! The error codes that a token endpoint answers with, and what each one means.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::{Class, json};

/// The error codes of RFC 6749 section 5.2 and of those that extend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// Unknown client, or its authentication failed.
    InvalidClient,
    /// The scope is unknown, malformed or beyond the client.
    InvalidScope,
    /// The resource is unknown or not for this client (RFC 8707).
    InvalidTarget,
    /// A parameter is missing, repeated or malformed.
    InvalidRequest,
    /// The grant is invalid.
    InvalidGrant,
    /// The client may not use this grant.
    UnauthorizedClient,
    /// The server does not know this grant.
    UnsupportedGrantType,
    /// The request was denied.
    AccessDenied,
    /// The server failed.
    ServerError,
    /// The server is overloaded or in maintenance.
    TemporarilyUnavailable,
    /// The server wants a DPoP proof with its nonce (RFC 9449).
    UseDpopNonce,
    /// Any other. What it was is not kept: it is the server's text.
    Unknown,
}

impl ErrorCode {
    const KNOWN: [Self; 11] = [
        Self::InvalidClient,
        Self::InvalidScope,
        Self::InvalidTarget,
        Self::InvalidRequest,
        Self::InvalidGrant,
        Self::UnauthorizedClient,
        Self::UnsupportedGrantType,
        Self::AccessDenied,
        Self::ServerError,
        Self::TemporarilyUnavailable,
        Self::UseDpopNonce,
    ];

    /// The code in an error body, if it is one at all.
    pub(crate) fn of_body(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct ErrorBody {
            error: Option<ErrorMember>,
        }
        json::object::<ErrorBody>(body).ok()?.error?.code()
    }

    /// The code as the RFCs spell it; `None` for [`Self::Unknown`].
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::InvalidClient => Some("invalid_client"),
            Self::InvalidScope => Some("invalid_scope"),
            Self::InvalidTarget => Some("invalid_target"),
            Self::InvalidRequest => Some("invalid_request"),
            Self::InvalidGrant => Some("invalid_grant"),
            Self::UnauthorizedClient => Some("unauthorized_client"),
            Self::UnsupportedGrantType => Some("unsupported_grant_type"),
            Self::AccessDenied => Some("access_denied"),
            Self::ServerError => Some("server_error"),
            Self::TemporarilyUnavailable => Some("temporarily_unavailable"),
            Self::UseDpopNonce => Some("use_dpop_nonce"),
            Self::Unknown => None,
        }
    }

    /// What to do about it.
    pub const fn class(self) -> Class {
        match self {
            Self::InvalidClient => Class::Credential,
            Self::ServerError | Self::TemporarilyUnavailable => Class::Transient,
            Self::UseDpopNonce => Class::Demand,
            Self::InvalidScope
            | Self::InvalidTarget
            | Self::InvalidRequest
            | Self::InvalidGrant
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType
            | Self::AccessDenied
            | Self::Unknown => Class::Request,
        }
    }

    /// What the server did, to be read after "the authorization server".
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::InvalidClient => "refused the client ID or its credential (invalid_client)",
            Self::InvalidScope => "refused the scope (invalid_scope)",
            Self::InvalidTarget => "refused the resource or audience (invalid_target)",
            Self::InvalidRequest => "found the token request malformed (invalid_request)",
            Self::InvalidGrant => "refused the grant (invalid_grant)",
            Self::UnauthorizedClient => {
                "does not let this client ask for service tokens (unauthorized_client)"
            }
            Self::UnsupportedGrantType => {
                "does not know the client credentials grant (unsupported_grant_type)"
            }
            Self::AccessDenied => "denied the request (access_denied)",
            Self::ServerError => "failed (server_error)",
            Self::TemporarilyUnavailable => "is overloaded or in maintenance (temporarily_unavailable)",
            Self::UseDpopNonce => "wants a DPoP proof (use_dpop_nonce)",
            Self::Unknown => "answered with an error code that no RFC knows",
        }
    }
}

/// The `error` of a reply. Some servers put an object there, which is an error too.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum ErrorMember {
    Code(String),
    Other(IgnoredAny),
}

impl ErrorMember {
    /// `None` for an empty code: some servers send one along with a token.
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Code(code) if code.is_empty() => None,
            Self::Code(code) => {
                let known = ErrorCode::KNOWN.into_iter().find(|known| known.name() == Some(code));
                Some(known.unwrap_or(ErrorCode::Unknown))
            }
            Self::Other(_) => Some(ErrorCode::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_as_it_is_written() {
        for known in ErrorCode::KNOWN {
            let name = known.name().unwrap();
            let body = format!(r#"{{"error":"{name}","error_description":"hunter2"}}"#);
            assert_eq!(ErrorCode::of_body(body.as_bytes()), Some(known));
            assert!(known.words().contains(name), "the words for {name} name it");
        }
    }

    #[test]
    fn what_no_rfc_knows_is_unknown_and_forgotten() {
        for body in
            [r#"{"error":"Invalid_Client"}"#, r#"{"error":"too_many_requests"}"#, r#"{"error":{"code":7}}"#]
        {
            assert_eq!(ErrorCode::of_body(body.as_bytes()), Some(ErrorCode::Unknown), "{body}");
        }
        assert_eq!(ErrorCode::Unknown.name(), None);
    }

    #[test]
    fn a_body_without_a_code_has_none() {
        for body in ["", "{}", r#"{"error":null}"#, r#"{"error":""}"#, "<html>", "[]", r#""invalid_client""#]
        {
            assert_eq!(ErrorCode::of_body(body.as_bytes()), None, "{body}");
        }
    }
}
