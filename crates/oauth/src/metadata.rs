//! What an authorization server says about itself (RFC 8414, OpenID Connect Discovery).

use serde::Deserialize;

use crate::token_error::is_transient;
use crate::{Class, Endpoint, HttpResponse, Issuer, PlainHttp, RetryAfter, Unreadable, UrlError};

/// The metadata that token requests need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Where tokens are asked for.
    pub token_endpoint: Endpoint,
    /// Where they are asked for over connections that show a client certificate: `token_endpoint` of
    /// `mtls_endpoint_aliases` (RFC 8705 section 5), or the same as above. If the alias can't be used, that is of concern to
    /// those clients only.
    pub mtls_token_endpoint: Result<Endpoint, UrlError>,
    /// `token_endpoint_auth_methods_supported`; absent means `client_secret_basic`.
    pub auth_methods: Option<Vec<String>>,
    /// `token_endpoint_auth_signing_alg_values_supported`.
    pub assertion_algorithms: Option<Vec<String>>,
}

impl Metadata {
    /// Reads the response to a request for one of the issuer's [`metadata_urls`](Issuer::metadata_urls).
    ///
    /// # Errors
    ///
    /// [`MetadataError`] if it is not this issuer's metadata, or the endpoint it names can't be used.
    pub fn parse(
        response: &HttpResponse,
        expected: &Issuer,
        plain_http: PlainHttp,
    ) -> Result<Self, MetadataError> {
        match response.status {
            200..=299 => {}
            status if is_transient(status) => return Err(MetadataError::http(response)),
            status => return Err(MetadataError::NotFound { status }),
        }
        let document: Document = response.json().map_err(MetadataError::Malformed)?;
        check_issuer(document.issuer.as_deref(), expected)?;
        let named = document.token_endpoint.ok_or(MetadataError::NoTokenEndpoint)?;
        let token_endpoint = Endpoint::parse(&named, plain_http).map_err(MetadataError::Endpoint)?;
        let alias = document.mtls_endpoint_aliases.and_then(|aliases| aliases.token_endpoint);
        Ok(Self {
            mtls_token_endpoint: match alias {
                Some(alias) => Endpoint::parse(&alias, plain_http),
                None => Ok(token_endpoint.clone()),
            },
            token_endpoint,
            auth_methods: document.token_endpoint_auth_methods_supported,
            assertion_algorithms: document.token_endpoint_auth_signing_alg_values_supported,
        })
    }
}

#[derive(Deserialize)]
struct Document {
    issuer: Option<String>,
    token_endpoint: Option<String>,
    mtls_endpoint_aliases: Option<Aliases>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Aliases {
    token_endpoint: Option<String>,
}

/// RFC 8414 section 3.3: identical, or else one server could pass for another.
fn check_issuer(named: Option<&str>, expected: &Issuer) -> Result<(), MetadataError> {
    match named {
        None => Err(MetadataError::NoIssuer),
        Some(named) if named == expected.as_str() => Ok(()),
        Some(named) if named.trim_end_matches('/') == expected.as_str().trim_end_matches('/') => {
            Err(MetadataError::IssuerSlash)
        }
        Some(_) => Err(MetadataError::OtherIssuer),
    }
}

/// Why there is no metadata. Like [`TokenError`](crate::TokenError), it repeats nothing that the server wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// There is nothing at this URL.
    #[error("{}", not_found(*status))]
    NotFound {
        /// The status code.
        status: u16,
    },
    /// The server can't answer now.
    #[error("the issuer's metadata can't be had now (HTTP {status})")]
    Http {
        /// The status code.
        status: u16,
        /// When the server wants to be asked again.
        retry_after: Option<RetryAfter>,
    },
    /// The body can't be read.
    #[error("the issuer's metadata can't be read: {0}")]
    Malformed(Unreadable),
    /// It names no issuer.
    #[error("the metadata does not say which issuer it is of")]
    NoIssuer,
    /// It is the metadata of another issuer.
    #[error("the metadata is of another issuer than the configured one")]
    OtherIssuer,
    /// The two identifiers differ in a slash at the end.
    #[error("the issuer's identifier differs from the configured one by a slash at the end")]
    IssuerSlash,
    /// It names no token endpoint.
    #[error("the metadata names no token endpoint")]
    NoTokenEndpoint,
    /// The token endpoint it names is not one to send credentials to.
    #[error("the metadata names a token endpoint that can't be used: {0}")]
    Endpoint(UrlError),
}

fn not_found(status: u16) -> String {
    match status {
        300..=399 => format!("there is a redirect (HTTP {status}), and redirects are not followed"),
        _ => format!("the issuer publishes no metadata there (HTTP {status})"),
    }
}

impl MetadataError {
    fn http(response: &HttpResponse) -> Self {
        Self::Http { status: response.status, retry_after: RetryAfter::of(response) }
    }

    /// Whether the other of the issuer's [`metadata_urls`](Issuer::metadata_urls) may hold what this one does not.
    /// Some servers answer a URL they don't know with a web page.
    pub fn is_elsewhere(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::Malformed(_))
    }

    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Http { .. } | Self::Malformed(_) => Class::Transient,
            Self::NotFound { .. }
            | Self::NoIssuer
            | Self::OtherIssuer
            | Self::IssuerSlash
            | Self::NoTokenEndpoint
            | Self::Endpoint(_) => Class::Request,
        }
    }

    /// One word for a program: `http` or `malformed`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } | Self::Http { .. } => "http",
            _ => "malformed",
        }
    }

    /// When the server wants to be asked again.
    pub fn retry_after(&self) -> Option<RetryAfter> {
        match self {
            Self::Http { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ISSUER: &str = "https://as.example/op";

    fn parse(response: &HttpResponse) -> Result<Metadata, MetadataError> {
        Metadata::parse(response, &Issuer::parse(ISSUER, PlainHttp::Refused).unwrap(), PlainHttp::Refused)
    }

    fn parse_body(body: &str) -> Result<Metadata, MetadataError> {
        parse(&HttpResponse::plain(200, body))
    }

    fn document(issuer: &str, token_endpoint: &str) -> String {
        format!(r#"{{"issuer":"{issuer}","token_endpoint":"{token_endpoint}"}}"#)
    }

    #[test]
    fn what_token_requests_need_is_read() {
        let metadata = parse_body(
            r#"{
                "issuer": "https://as.example/op",
                "authorization_endpoint": "https://as.example/authorize",
                "token_endpoint": "https://tokens.example/token",
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": ["RS256"]
            }"#,
        )
        .unwrap();
        assert_eq!(metadata.token_endpoint.as_str(), "https://tokens.example/token");
        assert_eq!(metadata.auth_methods.unwrap(), ["client_secret_basic", "private_key_jwt"]);
        assert_eq!(metadata.assertion_algorithms.unwrap(), ["RS256"]);
        assert_eq!(metadata.mtls_token_endpoint, Ok(metadata.token_endpoint));
        let least = parse_body(&document(ISSUER, "https://as.example/token")).unwrap();
        assert_eq!((least.auth_methods, least.assertion_algorithms), (None, None));
    }

    #[test]
    fn the_alias_for_certificates_is_read_and_a_bad_one_spoils_nothing_else() {
        let with = |aliases: &str| {
            let body = format!(
                r#"{{"issuer":"{ISSUER}","token_endpoint":"https://as.example/token","mtls_endpoint_aliases":{aliases}}}"#
            );
            let metadata = parse_body(&body).unwrap();
            assert_eq!(metadata.token_endpoint.as_str(), "https://as.example/token");
            metadata.mtls_token_endpoint.map(|endpoint| endpoint.as_str().to_owned())
        };
        let mtls = "https://mtls.as.example/token";
        assert_eq!(with(&format!(r#"{{"token_endpoint":"{mtls}"}}"#)).as_deref(), Ok(mtls));
        for none in [r#"{"revocation_endpoint":"https://mtls.as.example/revoke"}"#, "{}", "null"] {
            assert_eq!(with(none).as_deref(), Ok("https://as.example/token"), "{none}");
        }
        assert_eq!(with(r#"{"token_endpoint":"http://as.example/token"}"#), Err(UrlError::PlainHttp));
    }

    #[test]
    fn s39_another_issuer_is_refused() {
        for other in ["https://evil.example/op", "https://AS.example/op", "https://as.example", "canary", ""]
        {
            let refused = parse_body(&document(other, "https://as.example/token"));
            assert_eq!(refused, Err(MetadataError::OtherIssuer), "{other}");
        }
        let slash = parse_body(&document("https://as.example/op/", "https://as.example/token"));
        assert_eq!(slash, Err(MetadataError::IssuerSlash));
        let nobody = parse_body(r#"{"token_endpoint":"https://as.example/token"}"#);
        assert_eq!(nobody, Err(MetadataError::NoIssuer));
    }

    #[test]
    fn s39_an_endpoint_without_https_is_refused() {
        for (endpoint, why) in [
            ("http://as.example/token", UrlError::PlainHttp),
            ("http://127.0.0.1/token", UrlError::PlainHttp),
            ("/token", UrlError::NotAbsolute),
            ("", UrlError::NotAbsolute),
        ] {
            let refused = parse_body(&document(ISSUER, endpoint));
            assert_eq!(refused, Err(MetadataError::Endpoint(why)), "{endpoint}");
        }
        let nowhere = parse_body(r#"{"issuer":"https://as.example/op"}"#);
        assert_eq!(nowhere, Err(MetadataError::NoTokenEndpoint));
    }

    #[test]
    fn s39_plain_http_to_loopback_needs_to_be_allowed() {
        let issuer = Issuer::parse("http://127.0.0.1:9000", PlainHttp::LoopbackOnly).unwrap();
        let document = document("http://127.0.0.1:9000", "http://127.0.0.1:9000/token");
        let response = HttpResponse::plain(200, document);
        assert!(Metadata::parse(&response, &issuer, PlainHttp::LoopbackOnly).is_ok());
        let refused = Metadata::parse(&response, &issuer, PlainHttp::Refused);
        assert_eq!(refused, Err(MetadataError::Endpoint(UrlError::PlainHttp)));
    }

    #[test]
    fn s37_duplicates_and_wrong_types_are_refused() {
        let twice = r#"{"issuer":"https://evil.example","issuer":"https://as.example/op"}"#;
        assert_eq!(parse_body(twice), Err(MetadataError::Malformed(Unreadable::DuplicateKey)));
        let number = r#"{"issuer":"https://as.example/op","token_endpoint":7}"#;
        assert_eq!(parse_body(number), Err(MetadataError::Malformed(Unreadable::WrongType)));
    }

    #[test]
    fn what_one_place_lacks_may_be_in_the_other() {
        for status in [302, 400, 401, 403, 404, 405, 410] {
            let error = parse(&HttpResponse::plain(status, "")).unwrap_err();
            assert_eq!(error, MetadataError::NotFound { status });
            assert_eq!((error.is_elsewhere(), error.class()), (true, Class::Request));
        }
        let content_type = Some("text/html".to_owned());
        let page = HttpResponse { content_type, ..HttpResponse::plain(200, "<html>") };
        let error = parse(&page).unwrap_err();
        assert_eq!(error, MetadataError::Malformed(Unreadable::WebPage));
        assert!(error.is_elsewhere());
        assert!(!parse_body(&document("https://evil.example", "x")).unwrap_err().is_elsewhere());
    }

    #[test]
    fn s24_a_server_in_trouble_keeps_its_place_and_its_retry_after() {
        let retry_after = Some("7".to_owned());
        let error = parse(&HttpResponse { retry_after, ..HttpResponse::plain(503, "<html>") }).unwrap_err();
        assert_eq!((error.is_elsewhere(), error.class(), error.code()), (false, Class::Transient, "http"));
        assert_eq!(error.retry_after(), Some(RetryAfter::Seconds(7)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_never_worse_than_an_error(body in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(parse(&HttpResponse::plain(200, body)).is_err());
        }

        #[test]
        fn no_error_repeats_what_the_server_wrote(
            issuer in prop::sample::select(vec![ISSUER, "https://canary.example"]),
            endpoint in "(https?://)?[/@#?: ]{0,2}canary\\PC{0,5}",
            status in 200_u16..600,
        ) {
            let body = serde_json::json!({ "issuer": issuer, "token_endpoint": endpoint }).to_string();
            if let Err(error) = parse(&HttpResponse::plain(status, body)) {
                let printed = format!("{error} {error:?}");
                prop_assert!(!printed.contains("canary"), "{}", printed);
            }
        }
    }
}
