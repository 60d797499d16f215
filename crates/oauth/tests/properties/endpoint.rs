//! URLs, as metadata names them.

use proptest::prelude::*;
use tokenbroker_oauth::{Endpoint, Issuer, PlainHttp, UrlError};

use crate::assert_presentable;
use crate::generate::damage;

const BOTH: [PlainHttp; 2] = [PlainHttp::Refused, PlainHttp::LoopbackOnly];

/// Endpoints as servers name them.
fn good() -> impl Strategy<Value = String> {
    "https://[a-z]([a-z0-9-]{0,8}[a-z0-9])?\\.example(:[1-9][0-9]{0,3})?(/[A-Za-z0-9._~!$&'()*+,;=:@%2F-]{0,8}){0,3}(\\?[a-z]=[a-z0-9%20]{0,4})?"
}

/// Texts that come close to a URL.
fn any_text() -> impl Strategy<Value = String> {
    let odd = "(https?|HTTPS|ftp|file|data)?(:|:/|://|:///|:\\\\\\\\)([a-z@:#?%\\[\\]\\\\/ .0-9é\t\n-]|canary|127\\.0\\.0\\.1|localhost|\\[::1\\]|0x7f\\.1){0,8}";
    let damaged = (good(), prop::collection::vec(damage(), 1..4)).prop_map(|(url, damages)| {
        let damaged = damages.iter().fold(url.into_bytes(), |url, damage| damage.to(url));
        String::from_utf8_lossy(&damaged).into_owned()
    });
    prop_oneof![any::<String>(), odd, damaged, good()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn s39_only_what_credentials_may_be_sent_to_is_taken(text in any_text()) {
        for plain_http in BOTH {
            match Endpoint::parse(&text, plain_http) {
                Ok(endpoint) => {
                    let url = endpoint.url();
                    prop_assert_eq!(endpoint.as_str(), &text, "the text is kept");
                    prop_assert!(text.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'\\'));
                    prop_assert!(url.host_str().is_some_and(|host| !host.is_empty()));
                    prop_assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None));
                    let loopback = matches!(url.host_str(), Some("localhost" | "[::1]"))
                        || url.host_str().is_some_and(|host| host.starts_with("127."));
                    let plain = plain_http == PlainHttp::LoopbackOnly && url.scheme() == "http" && loopback;
                    prop_assert!(url.scheme() == "https" || plain, "{}", text);
                    let again = Endpoint::parse(url.as_str(), plain_http);
                    prop_assert_eq!(again.as_ref().map(Endpoint::url), Ok(url), "what is sent to is as good");
                }
                Err(error) => assert_presentable(&error),
            }
        }
    }
}

proptest! {
    #[test]
    fn s39_an_endpoint_is_taken_with_https_and_with_nothing_else(url in good(), scheme in "[a-z]{1,8}") {
        prop_assert!(Endpoint::parse(&url, PlainHttp::Refused).is_ok(), "{}", url);
        prop_assume!(scheme != "https");
        let other = url.replacen("https", &scheme, 1);
        for plain_http in BOTH {
            prop_assert!(Endpoint::parse(&other, plain_http).is_err(), "{}", other);
        }
    }

    #[test]
    fn s39_user_information_and_fragments_are_refused_wherever_they_stand(url in good(), user in "[a-z:%]{0,6}", part in "[ -~]{0,4}") {
        let with_user = url.replacen("://", &format!("://{user}@"), 1);
        prop_assert!(Endpoint::parse(&with_user, PlainHttp::Refused).is_err(), "{}", with_user);
        let with_fragment = format!("{url}#{part}");
        prop_assert!(Endpoint::parse(&with_fragment, PlainHttp::Refused).is_err(), "{}", with_fragment);
    }

    /// RFC 8414 section 3.1, then OpenID Connect Discovery section 4.
    #[test]
    fn metadata_is_at_the_issuers_own_host_in_two_places(host in "[a-z]{1,8}\\.example(:[1-9][0-9]{3})?", path in "(/[a-zA-Z0-9_~-]{1,6}){0,3}", slash in "/?") {
        let issuer = Issuer::parse(&format!("https://{host}{path}{slash}"), PlainHttp::Refused).unwrap();
        let urls = issuer.metadata_urls().map(|url| url.to_string());
        prop_assert_eq!(urls, [
            format!("https://{host}/.well-known/oauth-authorization-server{path}"),
            format!("https://{host}{path}/.well-known/openid-configuration"),
        ]);
    }

    #[test]
    fn whatever_is_an_issuer_keeps_its_metadata_at_its_own_origin(text in any_text()) {
        match Issuer::parse(&text, PlainHttp::LoopbackOnly) {
            Ok(issuer) => {
                let endpoint = Endpoint::parse(issuer.as_str(), PlainHttp::LoopbackOnly).unwrap();
                for url in issuer.metadata_urls() {
                    prop_assert_eq!(url.url().origin(), endpoint.url().origin());
                    prop_assert!(url.url().path().contains("/.well-known/") && url.url().query().is_none());
                    prop_assert!(Endpoint::parse(url.as_str(), PlainHttp::LoopbackOnly).is_ok(), "{}", url);
                }
            }
            Err(UrlError::Query) => prop_assert!(text.contains('?')),
            Err(error) => prop_assert_eq!(Endpoint::parse(&text, PlainHttp::LoopbackOnly), Err(error)),
        }
    }
}
