//! The identifier of an authorization server, and where it publishes its metadata.

use std::fmt;

use crate::{Endpoint, PlainHttp, UrlError};

/// An issuer identifier (RFC 8414 section 2): an [`Endpoint`] without a query.
///
/// Two are the same only if they are so byte for byte: `https://as.example` and `https://as.example/` are not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Issuer(Endpoint);

impl Issuer {
    /// Checks an identifier.
    ///
    /// # Errors
    ///
    /// [`UrlError`] if it is not one; it does not repeat the text.
    pub fn parse(text: &str, plain_http: PlainHttp) -> Result<Self, UrlError> {
        let endpoint = Endpoint::parse(text, plain_http)?;
        match endpoint.url().query() {
            Some(_) => Err(UrlError::Query),
            None => Ok(Self(endpoint)),
        }
    }

    /// The identifier as it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Where the metadata may be, the likelier place first: RFC 8414 section 3.1 puts the well-known part before
    /// the issuer's path, OpenID Connect Discovery section 4 after it. Many servers know only one of the two.
    pub fn metadata_urls(&self) -> [Endpoint; 2] {
        let path = self.0.url().path().trim_end_matches('/');
        [
            self.0.with_path(&format!("/.well-known/oauth-authorization-server{path}")),
            self.0.with_path(&format!("{path}/.well-known/openid-configuration")),
        ]
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(issuer: &str) -> [String; 2] {
        Issuer::parse(issuer, PlainHttp::LoopbackOnly).unwrap().metadata_urls().map(|url| url.to_string())
    }

    #[test]
    fn metadata_is_looked_for_in_both_places() {
        assert_eq!(
            urls("https://pp.netseidbroker.dk/op"),
            [
                "https://pp.netseidbroker.dk/.well-known/oauth-authorization-server/op",
                "https://pp.netseidbroker.dk/op/.well-known/openid-configuration"
            ]
        );
        let root = [
            "http://[::1]:9000/.well-known/oauth-authorization-server",
            "http://[::1]:9000/.well-known/openid-configuration",
        ];
        assert_eq!(urls("http://[::1]:9000"), root);
        assert_eq!(urls("http://[::1]:9000/"), root, "the final slash is not part of the place");
        assert_eq!(
            urls("https://as.example/a%2Fb/")[1],
            "https://as.example/a%2Fb/.well-known/openid-configuration",
            "an escaped path stays as it is"
        );
    }

    #[test]
    fn identifiers_are_compared_byte_for_byte() {
        let issuer = |text| Issuer::parse(text, PlainHttp::Refused).unwrap();
        assert_eq!(issuer("https://as.example"), issuer("https://as.example"));
        assert_ne!(issuer("https://as.example"), issuer("https://as.example/"));
        assert_ne!(issuer("https://as.example"), issuer("https://AS.example"));
        assert_eq!(issuer("https://AS.example").as_str(), "https://AS.example");
    }

    #[test]
    fn an_issuer_has_no_query() {
        assert_eq!(Issuer::parse("https://as.example/?a", PlainHttp::Refused), Err(UrlError::Query));
        assert_eq!(Issuer::parse("https://as.example/?", PlainHttp::Refused), Err(UrlError::Query));
    }
}
