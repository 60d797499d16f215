//! The reply to a token request (RFC 6749 section 5).

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use tokenbroker_secret::SecretString;

use crate::error_code::ErrorMember;
use crate::{AccessToken, HttpResponse, Malformed, Scope, ScopeError, TokenError, TokenErrorKind};

/// A token, and what the server said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenResponse {
    /// The token.
    pub access_token: AccessToken,
    /// How long it lives, in whole seconds and at least one, from when the request was sent; as the server says, so
    /// it may be absurdly long. `None` if the server does not say.
    pub lifetime: Option<Duration>,
    /// What the token is good for; `None` if neither the request nor the reply named a scope, or nothing was granted.
    pub scope: Option<Scope>,
    /// Whether that is less than what was asked for.
    pub narrowed: bool,
}

impl TokenResponse {
    /// Reads the response to a request for the scope `asked`.
    ///
    /// # Errors
    ///
    /// [`TokenError`] if it holds no token, or one that should not be used.
    pub fn parse(response: &HttpResponse, asked: Option<&Scope>) -> Result<Self, TokenError> {
        if !response.is_success() {
            return Err(TokenError::of_status(response));
        }
        Self::of_success(response, asked).map_err(|kind| TokenError::new(kind, response))
    }

    fn of_success(response: &HttpResponse, asked: Option<&Scope>) -> Result<Self, TokenErrorKind> {
        let reply: Reply = response.json().map_err(Malformed::Body)?;
        reply.into_token(asked)
    }
}

/// The members that matter, in every form that servers give them.
#[derive(Deserialize)]
struct Reply {
    error: Option<ErrorMember>,
    #[serde(default, deserialize_with = "secret")]
    access_token: Option<SecretString>,
    token_type: Option<String>,
    expires_in: Option<ExpiresIn>,
    scope: Option<GrantedScope>,
}

impl Reply {
    fn into_token(self, asked: Option<&Scope>) -> Result<TokenResponse, TokenErrorKind> {
        if let Some(code) = self.error.and_then(|error| error.code()) {
            return Err(code.into()); // some servers answer 200 whatever happens
        }
        let access_token = AccessToken::parse(self.access_token.unwrap_or_default())?;
        match self.token_type {
            None => return Err(Malformed::NoTokenType.into()),
            Some(token_type) if token_type.eq_ignore_ascii_case("Bearer") => {}
            Some(_) => return Err(Malformed::TokenType.into()),
        }
        let lifetime = self.expires_in.map(ExpiresIn::lifetime).transpose()?;
        let scope = match self.scope {
            Some(granted) => granted.scope()?,
            None => asked.cloned(), // RFC 6749 section 5.1: as asked
        };
        let narrowed = match (asked, &scope) {
            (Some(asked), Some(granted)) if !granted.is_within(asked) => {
                return Err(Malformed::WiderScope.into());
            }
            (Some(asked), granted) => granted.as_ref() != Some(asked),
            (None, _) => false,
        };
        Ok(TokenResponse { access_token, lifetime, scope, narrowed })
    }
}

/// A token goes from the body into its wrapper, and the copy between is wiped.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::new))
}

/// Seconds. RFC 6749 wants a number; some servers send it as text or with a fraction.
#[derive(Deserialize)]
#[serde(untagged)]
enum ExpiresIn {
    Number(f64),
    Text(String),
    Other(IgnoredAny),
}

impl ExpiresIn {
    fn lifetime(self) -> Result<Duration, Malformed> {
        let seconds = match self {
            Self::Number(seconds) => seconds,
            // The parser for floats also takes "inf", "NaN", "1e9" and "+1".
            Self::Text(text) if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
                text.parse().map_err(|_| Malformed::Lifetime)?
            }
            Self::Text(_) | Self::Other(_) => return Err(Malformed::Lifetime),
        };
        match seconds as u64 {
            0 => Err(Malformed::Lifetime),               // negative numbers end up here too
            seconds => Ok(Duration::from_secs(seconds)), // and larger ones than fit at u64::MAX
        }
    }
}

/// The RFC wants words separated by spaces; some servers send an array of words.
#[derive(Deserialize)]
#[serde(untagged)]
enum GrantedScope {
    Text(String),
    Tokens(Vec<String>),
    Other(IgnoredAny),
}

impl GrantedScope {
    /// `None` if nothing was granted.
    fn scope(self) -> Result<Option<Scope>, Malformed> {
        let text = match self {
            Self::Text(text) => text,
            Self::Tokens(tokens) => tokens.join(" "),
            Self::Other(_) => return Err(Malformed::Scope),
        };
        match Scope::parse(&text) {
            Ok(scope) => Ok(Some(scope)),
            Err(ScopeError::Empty) => Ok(None),
            Err(ScopeError::Characters) => Err(Malformed::Scope),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Class, ErrorCode, Unreadable};

    fn parse(body: impl AsRef<[u8]>) -> Result<TokenResponse, TokenErrorKind> {
        TokenResponse::parse(&HttpResponse::plain(200, body), None).map_err(|error| error.kind)
    }

    /// A good reply, with further members.
    fn parse_with(members: &str, asked: Option<&str>) -> Result<TokenResponse, TokenErrorKind> {
        let body = format!(r#"{{"access_token":"abc","token_type":"Bearer"{members}}}"#);
        let asked = asked.map(|asked| Scope::parse(asked).unwrap());
        TokenResponse::parse(&HttpResponse::plain(200, body), asked.as_ref()).map_err(|error| error.kind)
    }

    fn lifetime(expires_in: &str) -> Result<Option<Duration>, TokenErrorKind> {
        parse_with(&format!(r#","expires_in":{expires_in}"#), None).map(|token| token.lifetime)
    }

    fn scope(granted: &str, asked: Option<&str>) -> Result<(Option<String>, bool), TokenErrorKind> {
        let token = parse_with(&format!(r#","scope":{granted}"#), asked)?;
        Ok((token.scope.map(|scope| scope.to_string()), token.narrowed))
    }

    fn malformed<T>(why: Malformed) -> Result<T, TokenErrorKind> {
        Err(TokenErrorKind::Malformed(why))
    }

    #[test]
    fn the_example_of_rfc_6749_section_5_1_is_read() {
        let body = r#"{
            "access_token":"2YotnFZFEjr1zCsicMWpAA",
            "token_type":"example",
            "expires_in":3600,
            "refresh_token":"tGzv3JOkF0XG5Qx2TlKWIA",
            "example_parameter":"example_value"
        }"#;
        assert_eq!(parse(body), malformed(Malformed::TokenType), "its token type is made up");
        let token = parse(body.replace("\"example\"", "\"Bearer\"")).unwrap();
        assert_eq!(token.access_token.expose(), "2YotnFZFEjr1zCsicMWpAA");
        assert_eq!(token.lifetime, Some(Duration::from_secs(3600)));
        assert_eq!((token.scope, token.narrowed), (None, false));
    }

    #[test]
    fn a_token_counts_only_with_a_success() {
        let body = r#"{"access_token":"abc","token_type":"Bearer"}"#;
        let outcome =
            |status| TokenResponse::parse(&HttpResponse::plain(status, body), None).map_err(|e| e.kind);
        assert!(outcome(200).is_ok() && outcome(201).is_ok());
        for status in [199, 300, 301, 302, 400, 500] {
            assert_eq!(outcome(status), Err(TokenErrorKind::Http { status }));
        }
    }

    #[test]
    fn s28_a_success_that_holds_an_error_is_that_error() {
        assert_eq!(parse(r#"{"error":"invalid_client"}"#), Err(ErrorCode::InvalidClient.into()));
        assert_eq!(
            parse_with(r#","error":"hunter2""#, None),
            Err(ErrorCode::Unknown.into()),
            "a token beside an error is not to be trusted"
        );
        assert!(parse_with(r#","error":null"#, None).is_ok());
        assert!(parse_with(r#","error":"""#, None).is_ok());
    }

    #[test]
    fn s28_a_web_page_instead_of_a_token_is_named() {
        let content_type = Some("text/html; charset=utf-8".to_owned());
        let page = HttpResponse { content_type, ..HttpResponse::plain(200, "<html>hunter2") };
        let error = TokenResponse::parse(&page, None).unwrap_err();
        assert_eq!(error.kind, Malformed::Body(Unreadable::WebPage).into());
        assert_eq!((error.class(), error.code()), (Class::Transient, "malformed"));
        assert!(error.to_string().ends_with("without a usable token: it is a web page"), "{error}");
    }

    #[test]
    fn s31_a_missing_lifetime_is_told_apart() {
        assert_eq!(parse_with("", None).map(|token| token.lifetime), Ok(None));
        assert_eq!(lifetime("null"), Ok(None));
    }

    #[test]
    fn s32_a_lifetime_that_is_none_is_refused() {
        for nonsense in [
            "0", "-1", "0.9", "-0.0", "-1e300", r#""0""#, r#""-5""#, r#""+5""#, r#""1e9""#, r#""""#,
            r#"" 5""#,
        ] {
            assert_eq!(lifetime(nonsense), malformed(Malformed::Lifetime), "{nonsense}");
        }
        for nonsense in [r#""NaN""#, r#""inf""#, r#""soon""#, r#""1.2.3""#, r#"".""#, "true", "[3600]", "{}"]
        {
            assert_eq!(lifetime(nonsense), malformed(Malformed::Lifetime), "{nonsense}");
        }
        for not_json in ["NaN", "soon", "1e999"] {
            assert_eq!(lifetime(not_json), malformed(Malformed::Body(Unreadable::NotAnObject)), "{not_json}");
        }
    }

    #[test]
    fn s33_a_lifetime_as_text_or_float_is_taken_and_rounded_down() {
        for hour in ["3600", "3600.0", "3600.999", r#""3600""#, r#""3600.5""#, "3.6e3"] {
            assert_eq!(lifetime(hour), Ok(Some(Duration::from_secs(3600))), "{hour}");
        }
        for huge in ["1e300", "99999999999999999999999", r#""99999999999999999999999""#] {
            assert_eq!(lifetime(huge), Ok(Some(Duration::from_secs(u64::MAX))), "{huge}");
        }
    }

    #[test]
    fn s35_only_bearer_tokens_are_taken_in_any_letter_case() {
        let with_type =
            |token_type: &str| parse(format!(r#"{{"access_token":"abc"{token_type}}}"#)).map(drop);
        for bearer in ["Bearer", "bearer", "BEARER"] {
            assert_eq!(with_type(&format!(r#","token_type":"{bearer}""#)), Ok(()));
        }
        for other in ["DPoP", "mac", "", "Bearer ", "N_A"] {
            let refused = with_type(&format!(r#","token_type":"{other}""#));
            assert_eq!(refused, malformed(Malformed::TokenType), "{other}");
        }
        assert_eq!(with_type(""), malformed(Malformed::NoTokenType));
        assert_eq!(with_type(r#","token_type":null"#), malformed(Malformed::NoTokenType));
        assert_eq!(with_type(r#","token_type":7"#), malformed(Malformed::Body(Unreadable::WrongType)));
    }

    #[test]
    fn s36_a_token_that_a_header_can_not_carry_is_refused() {
        let with_token = |token: &str| {
            let token = parse(format!(r#"{{"access_token":{token},"token_type":"Bearer"}}"#))?;
            Ok(token.access_token.expose().to_owned())
        };
        for refused in [r#""a\r\nX: y""#, r#""a\u0000""#, r#""a b""#, r#""a\"b""#, r#""\u00e9""#, r#""a\n""#]
        {
            assert_eq!(with_token(refused), malformed(Malformed::TokenCharacters), "{refused}");
        }
        assert_eq!(with_token(r#""a\/b+c""#), Ok("a/b+c".to_owned()), "an escape as PHP writes it");
        assert_eq!(with_token(r#""""#), malformed(Malformed::NoAccessToken));
        assert_eq!(with_token("null"), malformed(Malformed::NoAccessToken));
        assert_eq!(with_token("17"), malformed(Malformed::Body(Unreadable::WrongType)));
        assert_eq!(parse(r#"{"token_type":"Bearer"}"#), malformed(Malformed::NoAccessToken));
        let long = format!(r#""{}""#, "x".repeat(AccessToken::MAX_LENGTH + 1));
        assert_eq!(with_token(&long), malformed(Malformed::TokenLength));
    }

    #[test]
    fn s37_json_that_could_be_read_in_two_ways_is_refused() {
        let body = |unreadable| malformed::<TokenResponse>(Malformed::Body(unreadable));
        assert_eq!(parse_with(r#","access_token":"other""#, None), body(Unreadable::DuplicateKey));
        assert_eq!(parse_with(r#","x":1,"x":1"#, None), body(Unreadable::DuplicateKey));
        let nested = format!(r#","x":{}{}"#, "[".repeat(500), "]".repeat(500));
        assert_eq!(parse_with(&nested, None), body(Unreadable::NotAnObject));
        let bad_utf_8 = b"{\"access_token\":\"abc\",\"token_type\":\"Bearer\",\"x\":\"\xc0\x80\"}";
        assert_eq!(parse(bad_utf_8), body(Unreadable::NotAnObject));
        assert_eq!(parse(r#"[null,"abc","Bearer",null,null]"#), body(Unreadable::NotAnObject));
    }

    #[test]
    fn s38_a_narrower_scope_is_taken_and_reported() {
        let read = || Some("read".to_owned());
        assert_eq!(scope(r#""read""#, Some("read write")), Ok((read(), true)));
        assert_eq!(scope(r#""read""#, Some("read")), Ok((read(), false)));
        assert_eq!(scope(r#""write read""#, Some("read write")), Ok((Some("read write".to_owned()), false)));
        assert_eq!(scope("null", Some("read")), Ok((read(), false)), "not named is as asked");
        assert_eq!(scope(r#""read""#, None), Ok((read(), false)), "the server's own choice");
        assert_eq!(scope(r#""""#, Some("read")), Ok((None, true)), "nothing was granted");
    }

    #[test]
    fn s38_a_wider_scope_is_refused() {
        for wider in
            [r#""read admin""#, r#""admin""#, r#"["read","admin"]"#, r#"["read admin"]"#, r#""read,admin""#]
        {
            assert_eq!(scope(wider, Some("read")), malformed(Malformed::WiderScope), "{wider}");
        }
    }

    #[test]
    fn a_scope_may_be_an_array_of_words() {
        assert_eq!(
            scope(r#"["write","read"]"#, Some("read write")),
            Ok((Some("read write".to_owned()), false))
        );
        assert_eq!(scope("[]", Some("read")), Ok((None, true)));
        for nonsense in ["7", "{}", "[7]", r#""a\"b""#, r#""a\tb""#, r#""ü""#] {
            assert_eq!(scope(nonsense, None), malformed(Malformed::Scope), "{nonsense}");
        }
    }

    #[test]
    fn a_token_response_prints_without_its_token() {
        let printed = format!("{:?}", parse(r#"{"access_token":"hunter2","token_type":"Bearer"}"#).unwrap());
        assert!(printed.contains("[redacted]") && !printed.contains("hunter2"), "{printed}");
    }

    /// Bodies that come close to a reply: known and unknown members, good and bad values, most with a canary.
    fn almost_a_reply() -> impl Strategy<Value = String> {
        let names =
            vec!["access_token", "token_type", "expires_in", "scope", "error", "error_description", "canary"];
        let values = vec![
            "\"canary\"",
            "\"canary \\n\"",
            "\"Bearer\"",
            "\"invalid_client\"",
            "3600",
            "\"3600\"",
            "-1.5",
            "null",
            "[\"canary\"]",
            "[[1]]",
            "{\"canary\":\"canary\"}",
            "canary",
        ];
        let member = (prop::sample::select(names), prop::sample::select(values));
        prop::collection::vec(member, 0..7).prop_map(|members| {
            let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            format!("{{{}}}", members.join(","))
        })
    }

    proptest! {
        #[test]
        fn s28_no_error_repeats_what_the_server_wrote(status in 200_u16..600, body in almost_a_reply(), page: bool) {
            let asked = Scope::parse("read").unwrap();
            let content_type = page.then(|| "text/html; canary".to_owned());
            let retry_after = Some("canary".to_owned());
            let response = HttpResponse { content_type, retry_after, ..HttpResponse::plain(status, body) };
            let printed = match TokenResponse::parse(&response, Some(&asked)) {
                Ok(token) => format!("{token:?}"),
                Err(error) => format!("{error} {error:?} {}", error.code()),
            };
            prop_assert!(!printed.contains("canary"), "{}", printed);
        }

        #[test]
        fn s36_arbitrary_bytes_give_an_error_or_a_token_for_a_header(
            status in any::<u16>(),
            body in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            if let Ok(token) = TokenResponse::parse(&HttpResponse::plain(status, body), None) {
                prop_assert!(token.access_token.expose().bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }

        #[test]
        fn s36_any_text_as_token_is_refused_or_fit_for_a_header(text: String) {
            let body = serde_json::json!({ "access_token": text, "token_type": "Bearer" }).to_string();
            match parse(body) {
                Ok(token) => {
                    prop_assert_eq!(token.access_token.expose(), &text);
                    prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
                }
                Err(kind) => prop_assert!(matches!(
                    kind,
                    TokenErrorKind::Malformed(Malformed::TokenCharacters | Malformed::NoAccessToken)
                )),
            }
        }

        #[test]
        fn s33_every_whole_number_of_seconds_is_read(seconds in 1_u32..) {
            let expected = Ok(Some(Duration::from_secs(seconds.into())));
            prop_assert_eq!(lifetime(&seconds.to_string()), expected);
            prop_assert_eq!(lifetime(&format!("\"{seconds}\"")), expected);
        }
    }
}
