//! Failures: which class they are of, and what is said about them.

use proptest::prelude::*;
use tokenbroker_oauth::{Class, HttpResponse, Scope, TokenErrorKind, TokenResponse};

use crate::generate::{body, odd_reply, style};
use crate::model::{self, CODES};
use crate::{CANARY, assert_presentable, response};

/// Every status that HTTP has room for, with everything that a body may say.
#[test]
fn s28_every_status_with_every_body_has_the_class_of_the_rules() {
    let mut bodies = vec![
        String::new(),
        "<html>canary</html>".to_owned(),
        "{}".to_owned(),
        r#"{"error":null}"#.to_owned(),
        r#"{"error":""}"#.to_owned(),
        r#"{"error":"canary"}"#.to_owned(),
        r#"{"error":{"code":"canary"}}"#.to_owned(),
        r#"{"error":"invalid_client","error":"server_error"}"#.to_owned(),
        r#"{"access_token":"canary","token_type":"Bearer"}"#.to_owned(),
    ];
    bodies.extend(CODES.map(|(name, _, _)| format!(r#"{{"error":"{name}","error_description":"canary"}}"#)));
    for status in (0..200).chain(300..=999).chain([u16::MAX]) {
        for body in &bodies {
            let error = TokenResponse::parse(&response(status, body), None).unwrap_err();
            assert_eq!(error.class(), model::failure(status, body.as_bytes()), "HTTP {status} {body}");
            assert_presentable(&error);
        }
    }
}

/// With a status of success, only a token is a success.
#[test]
fn s28_a_status_of_success_does_not_make_a_token_of_an_error() {
    for status in 200..300 {
        for (name, code, class) in CODES {
            let body = format!(r#"{{"access_token":"t","token_type":"Bearer","error":"{name}"}}"#);
            let error = TokenResponse::parse(&response(status, body), None).unwrap_err();
            assert_eq!((error.kind, error.class(), error.code()), (TokenErrorKind::OAuth(code), class, name));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn s28_any_response_is_a_token_or_a_failure_of_one_class(
        status in any::<u16>(),
        body in body(),
        (retry_after, date, content_type) in any::<(Option<String>, Option<String>, Option<String>)>(),
    ) {
        let response = HttpResponse { content_type, retry_after, date, ..response(status, &body) };
        match TokenResponse::parse(&response, None) {
            Ok(token) => {
                prop_assert!((200..300).contains(&status));
                prop_assert_eq!(Ok(token.into()), model::success(&body, &Default::default()));
            }
            Err(error) => {
                assert_presentable(&error);
                if !(200..300).contains(&status) {
                    prop_assert_eq!(error.class(), model::failure(status, &body));
                }
            }
        }
    }

    #[test]
    fn s28_s57_nothing_that_a_server_wrote_is_in_what_is_said(
        status in prop_oneof![Just(200_u16), 200_u16..600],
        body in odd_reply(),
        mut style in style(),
        page: bool,
    ) {
        let sent = |what: &str| Some(format!("{what}{CANARY}"));
        let content_type = if page { sent("text/html;") } else { sent("application/json;") };
        let (retry_after, date) = (sent("1"), sent("Sun, 06 Nov 1994 08:49:37 GMT"));
        let response = HttpResponse { content_type, retry_after, date, ..response(status, body.write(&mut style)) };
        match TokenResponse::parse(&response, Scope::parse("read").ok().as_ref()) {
            // A granted scope is within the one that was asked for, and the token does not print.
            Ok(token) => prop_assert!(!format!("{token:?}").contains(CANARY), "{:?}", token),
            Err(error) => {
                assert_presentable(&error);
                prop_assert!(!error.code().contains(CANARY));
                prop_assert_eq!(error.retry_after, None, "headers with a canary make no sense");
            }
        }
    }

    #[test]
    fn s28_an_error_code_that_differs_in_anything_is_unknown(
        code in proptest::sample::select(CODES.map(|(name, _, _)| name).to_vec()),
        at: proptest::sample::Index,
        letter in "[ -!#-\\[\\]-~]",
    ) {
        let mut other = code.to_owned();
        let at = at.index(code.len());
        other.replace_range(at..=at, &letter);
        prop_assume!(CODES.iter().all(|(name, _, _)| *name != other));
        let error = TokenResponse::parse(&response(400, format!(r#"{{"error":"{other}"}}"#)), None).unwrap_err();
        prop_assert_eq!((error.class(), error.code()), (Class::Request, "http"));
    }
}
