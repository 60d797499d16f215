//! OAuth 2.0 as values: token requests come out, token responses go in.
//!
//! A [`TokenRequest`] and an [`Authentication`] make an [`HttpRequest`], which somebody else executes; the
//! [`HttpResponse`] becomes a [`TokenResponse`] or a [`TokenError`], whose [`Class`] says what to do about it.
//! An [`Assertion`] says what is to be signed and takes the signature back. [`Metadata`] is how an [`Issuer`] is
//! asked for its token endpoint.
//!
//! This crate does no I/O, reads no clock, draws no randomness, holds no keys and knows no async. Nothing a
//! server sends becomes part of an error, but for the error codes of the RFCs.
//!
//! ```
//! use tokenbroker_oauth::{Authentication, Endpoint, HttpResponse, PlainHttp, Scope, TokenRequest, TokenResponse};
//!
//! let scope = Scope::parse("signtext_api")?;
//! let request = TokenRequest {
//!     endpoint: &Endpoint::parse("https://as.example/connect/token", PlainHttp::Refused)?,
//!     client_id: "9f1c",
//!     scope: Some(&scope),
//!     resource: &[],
//!     audience: None,
//!     params: &Default::default(),
//! };
//! let to_send = request.authenticate(Authentication::SecretPost { secret: &"correct horse".into() });
//! assert_eq!(to_send.url.as_str(), "https://as.example/connect/token");
//!
//! let received = HttpResponse {
//!     status: 200,
//!     content_type: Some("application/json".to_owned()),
//!     retry_after: None,
//!     date: None,
//!     body: br#"{"access_token":"2YotnFZF","token_type":"Bearer","expires_in":3600}"#[..].into(),
//! };
//! let token = TokenResponse::parse(&received, Some(&scope))?;
//! assert_eq!(token.access_token.expose(), "2YotnFZF");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access_token;
mod algorithm;
mod assertion;
mod endpoint;
mod error_code;
mod form;
mod http;
mod issuer;
mod json;
mod metadata;
mod retry_after;
mod scope;
mod token_error;
mod token_request;
mod token_response;

pub use access_token::AccessToken;
pub use algorithm::{Algorithm, MacAlgorithm, UnknownAlgorithm};
pub use assertion::{Assertion, AssertionParts};
pub use endpoint::{Endpoint, PlainHttp, UrlError};
pub use error_code::ErrorCode;
pub use http::{HttpRequest, HttpResponse, Method, parse_http_date};
pub use issuer::Issuer;
pub use json::Unreadable;
pub use metadata::{Metadata, MetadataError};
pub use retry_after::RetryAfter;
pub use scope::{Scope, ScopeError};
pub use token_error::{Class, Malformed, TokenError, TokenErrorKind};
pub use token_request::{Authentication, BasicEncoding, RESERVED_PARAMETERS, TokenRequest};
pub use token_response::TokenResponse;
