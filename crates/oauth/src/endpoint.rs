//! Where requests may go: absolute https URLs, checked more strictly than a browser would.

use std::fmt;

use url::{Host, Url};

/// Whether a URL may say `http`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlainHttp {
    /// Never.
    #[default]
    Refused,
    /// To 127.0.0.0/8, ::1 and `localhost`, where there is no network to listen on.
    LoopbackOnly,
}

/// The URL of an endpoint (RFC 6749 section 3): absolute, without user information or fragment.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    text: String,
    url: Url,
}

impl Endpoint {
    /// Checks a URL.
    ///
    /// # Errors
    ///
    /// [`UrlError`] if credentials should not be sent to it; it does not repeat the URL.
    pub fn parse(text: &str, plain_http: PlainHttp) -> Result<Self, UrlError> {
        let url = Url::parse(text).map_err(|_| UrlError::NotAbsolute)?;
        check_text(text)?;
        check_scheme(&url, plain_http)?;
        if url.fragment().is_some() {
            return Err(UrlError::Fragment);
        }
        Ok(Self { text: text.to_owned(), url })
    }

    /// The text as it was written: servers compare the audience of an assertion byte for byte.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL to send to.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The same scheme, host and port with another path, and no query.
    pub(crate) fn with_path(&self, path: &str) -> Self {
        let mut url = self.url.clone();
        url.set_path(path);
        url.set_query(None);
        Self { text: url.as_str().to_owned(), url }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.text).finish()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Refuses what URL parsers repair silently, because a server would compare the unrepaired text.
fn check_text(text: &str) -> Result<(), UrlError> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Err(UrlError::Characters);
    }
    let (_scheme, rest) = text.split_once("://").ok_or(UrlError::NotAbsolute)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority {
        "" => Err(UrlError::NotAbsolute),
        _ if authority.contains('@') => Err(UrlError::UserInformation),
        _ => Ok(()),
    }
}

fn check_scheme(url: &Url, plain_http: PlainHttp) -> Result<(), UrlError> {
    match (url.scheme(), plain_http) {
        ("https", _) => Ok(()),
        ("http", PlainHttp::LoopbackOnly) if is_loopback(url) => Ok(()),
        ("http", PlainHttp::LoopbackOnly) => Err(UrlError::PlainHttpBeyondLoopback),
        ("http", PlainHttp::Refused) => Err(UrlError::PlainHttp),
        _ => Err(UrlError::Scheme),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Why a URL is refused. It never repeats the URL, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// There is no scheme and host.
    #[error("not an absolute URL such as https://host/path")]
    NotAbsolute,
    /// A character that a URL can't have, such as a space, a backslash or an umlaut.
    #[error("a URL has only visible ASCII characters, and no backslash")]
    Characters,
    /// Neither https nor http.
    #[error("the URL must begin with https://")]
    Scheme,
    /// Plain http, which is not allowed.
    #[error("plain http is refused: the URL must begin with https://")]
    PlainHttp,
    /// Plain http to a host that is not this one.
    #[error("plain http is allowed only to a loopback host (127.0.0.1, [::1], localhost)")]
    PlainHttpBeyondLoopback,
    /// A user name or password before the host.
    #[error("the URL must not hold a user name or password")]
    UserInformation,
    /// Something after `#`.
    #[error("the URL must not have a fragment (#...)")]
    Fragment,
    /// Something after `?`, in an issuer identifier.
    #[error("an issuer identifier must not have a query (?...)")]
    Query,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s39_plain_http_goes_to_loopback_only_and_only_when_allowed() {
        for loopback in
            ["http://127.0.0.1:8080/token", "http://127.9.9.9/", "http://[::1]:1/t", "http://localhost/t"]
        {
            assert_eq!(Endpoint::parse(loopback, PlainHttp::Refused), Err(UrlError::PlainHttp), "{loopback}");
            assert!(Endpoint::parse(loopback, PlainHttp::LoopbackOnly).is_ok(), "{loopback}");
        }
        for elsewhere in [
            "http://as.example/token",
            "http://128.0.0.1/token",
            "http://localhost.example/token",
            "http://[::2]/token",
            "http://0.0.0.0/token",
        ] {
            let refused = Endpoint::parse(elsewhere, PlainHttp::LoopbackOnly);
            assert_eq!(refused, Err(UrlError::PlainHttpBeyondLoopback), "{elsewhere}");
        }
    }

    #[test]
    fn what_a_url_parser_would_repair_is_refused() {
        for (text, why) in [
            ("", UrlError::NotAbsolute),
            ("as.example/token", UrlError::NotAbsolute),
            ("https:as.example/token", UrlError::NotAbsolute),
            ("https:/as.example/token", UrlError::NotAbsolute),
            ("https:///as.example/token", UrlError::NotAbsolute),
            (" https://as.example/token", UrlError::Characters),
            ("https://as.example/to\nken", UrlError::Characters),
            ("https://as.example\\token", UrlError::Characters),
            ("https://bücher.example/token", UrlError::Characters),
            ("ftp://as.example/token", UrlError::Scheme),
            ("https://user:hunter2@as.example/token", UrlError::UserInformation),
            ("https://@as.example/token", UrlError::UserInformation),
            ("https://as.example/token#part", UrlError::Fragment),
            ("https://as.example/token#", UrlError::Fragment),
        ] {
            assert_eq!(Endpoint::parse(text, PlainHttp::LoopbackOnly), Err(why), "{text:?}");
        }
    }

    #[test]
    fn the_text_is_kept_as_written() {
        let endpoint = Endpoint::parse("https://AS.example:443?tenant=a@b", PlainHttp::Refused).unwrap();
        assert_eq!(endpoint.as_str(), "https://AS.example:443?tenant=a@b");
        assert_eq!(endpoint.url().as_str(), "https://as.example/?tenant=a@b");
    }
}
