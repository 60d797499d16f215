//! HTTP requests and responses as values. Somebody else executes them.

use std::time::UNIX_EPOCH;

use serde::Deserialize;
use tokenbroker_secret::{Secret, SecretString};

use crate::{Endpoint, Unreadable, json};

/// How a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Asks for metadata.
    Get,
    /// Asks for a token.
    Post,
}

impl Method {
    /// The name in the request line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// One request. Whoever executes it verifies the server's certificate and follows no redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// How.
    pub method: Method,
    /// Where to.
    pub url: Endpoint,
    /// Names in lower case; the values may be secret.
    pub headers: Vec<(&'static str, SecretString)>,
    /// What a [`Method::Post`] carries.
    pub body: Option<Secret>,
}

impl HttpRequest {
    /// Asks for a JSON document.
    pub fn get(url: Endpoint) -> Self {
        Self { method: Method::Get, url, headers: vec![accept_json()], body: None }
    }

    /// Sends a form, to be answered with a JSON document.
    pub(crate) fn post_form(url: Endpoint, form: Secret) -> Self {
        let content_type = ("content-type", "application/x-www-form-urlencoded".into());
        Self { method: Method::Post, url, headers: vec![accept_json(), content_type], body: Some(form) }
    }
}

fn accept_json() -> (&'static str, SecretString) {
    ("accept", "application/json".into())
}

/// What came back: the parts that matter. The body may hold a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
    /// The `Retry-After` header.
    pub retry_after: Option<String>,
    /// The `Date` header.
    pub date: Option<String>,
    /// The whole body, decoded; its length was bounded while it was read.
    pub body: Secret,
}

impl HttpResponse {
    /// The server's clock, in seconds since 1970 (UTC), if it told.
    pub fn server_time(&self) -> Option<u64> {
        parse_http_date(self.date.as_deref()?)
    }

    /// The JSON object in the body.
    pub(crate) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Unreadable> {
        json::object(self.body.expose()).map_err(|unreadable| match unreadable {
            Unreadable::NotAnObject if self.is_web_page() => Unreadable::WebPage,
            _ => unreadable,
        })
    }

    fn is_web_page(&self) -> bool {
        let content_type = self.content_type.as_deref().unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case("text/html")
    }

    /// Any 2xx: some servers answer 201.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

#[cfg(test)]
impl HttpResponse {
    /// A response without headers.
    pub(crate) fn plain(status: u16, body: impl AsRef<[u8]>) -> Self {
        let body = Secret::from(body.as_ref());
        Self { status, content_type: None, retry_after: None, date: None, body }
    }
}

/// An HTTP date (RFC 9110 section 5.6.7, all three formats) in seconds since 1970 (UTC).
///
/// Years go from 1970 to 9999; two digits mean 1970 to 2069. A leap second counts as the first second of the next day.
pub fn parse_http_date(text: &str) -> Option<u64> {
    let is_leap_second = text.contains(LEAP_SECOND);
    let text = text.trim_ascii().replacen(LEAP_SECOND, " 23:59:59 ", 1);
    // The parser takes anything for the space before the time of day of the second format.
    let before_time = text.find(':')?.checked_sub(3)?;
    if text.as_bytes().get(before_time) != Some(&b' ') {
        return None;
    }
    let date = httpdate::parse_http_date(&text).ok()?;
    date.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs() + u64::from(is_leap_second))
}

/// The RFC has it; the parser doesn't. In all three formats the time of day stands between spaces.
const LEAP_SECOND: &str = " 23:59:60 ";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::PlainHttp;

    fn response(content_type: Option<&str>) -> HttpResponse {
        HttpResponse { content_type: content_type.map(str::to_owned), ..HttpResponse::plain(200, "hunter2") }
    }

    #[test]
    fn the_three_date_formats_of_the_rfc_are_read() {
        for date in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse_http_date(date), Some(784_111_777), "{date}");
        }
        for nonsense in [
            "",
            ":",
            "tomorrow",
            "784111777",
            "1994-11-06T08:49:37Z",
            "Sun, 06 Nov 1066 08:49:37 GMT",
            "Sunday, 06-Nov-94T08:49:37 GMT",
        ] {
            assert_eq!(parse_http_date(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_leap_second_is_the_first_of_the_next_day() {
        for date in
            ["Sat, 31 Dec 2016 23:59:60 GMT", "Saturday, 31-Dec-16 23:59:60 GMT", "Sat Dec 31 23:59:60 2016"]
        {
            assert_eq!(parse_http_date(date), Some(1_483_228_800), "{date}");
        }
        for no_leap_second in [
            "Sat, 31 Dec 2016 22:59:60 GMT",
            "Sat, 31 Dec 2016 23:59:61 GMT",
            "Sat, 31 Dec 2016 23:60:60 GMT",
        ] {
            assert_eq!(parse_http_date(no_leap_second), None, "{no_leap_second}");
        }
    }

    #[test]
    fn s40_a_server_may_tell_the_time() {
        let server_time = |date: &str| {
            let date = Some(date.to_owned());
            HttpResponse { date, ..response(None) }.server_time()
        };
        assert_eq!(server_time("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(server_time("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        for nonsense in ["", "now", "Sun, 06 Nov 1994 08:49:37 CET", "Mon, 06 Nov 1994 08:49:37 GMT"] {
            assert_eq!(server_time(nonsense), None, "{nonsense:?}");
        }
        assert_eq!(response(None).server_time(), None);
    }

    #[test]
    fn a_web_page_is_known_by_its_content_type() {
        assert!(response(Some("text/html")).is_web_page());
        assert!(response(Some("Text/HTML ; charset=utf-8")).is_web_page());
        assert!(!response(Some("application/json")).is_web_page());
        assert!(!response(None).is_web_page());
    }

    #[test]
    fn s37_json_under_a_wrong_content_type_is_read_and_refused_as_json() {
        let read = |body: &str| {
            let content_type = Some("text/html".to_owned());
            HttpResponse { content_type, ..HttpResponse::plain(200, body) }.json::<serde_json::Value>()
        };
        assert!(read("{}").is_ok());
        assert_eq!(read(r#"{"a":1,"a":2}"#), Err(Unreadable::DuplicateKey));
        assert_eq!(read("<html>"), Err(Unreadable::WebPage));
    }

    #[test]
    fn neither_requests_nor_responses_print_what_they_carry() {
        let endpoint = Endpoint::parse("https://as.example/token", PlainHttp::Refused).unwrap();
        let mut request = HttpRequest::post_form(endpoint, Secret::from(&b"client_secret=hunter2"[..]));
        request.headers.push(("authorization", "Basic hunter2".into()));
        assert!(!format!("{request:?}").contains("hunter2"));
        assert!(!format!("{:?}", response(None)).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn any_date_is_read_or_ignored(text in "\\PC{0,40}") {
            let _ = parse_http_date(&text);
        }
    }
}
