//! What an authorization server says about itself.

use proptest::prelude::*;
use proptest::sample::Index;
use tokenbroker_oauth::{
    Class, Endpoint, HttpResponse, Issuer, Metadata, MetadataError, PlainHttp, RetryAfter, Unreadable,
};

use crate::generate::{body, damage, style, unknown_members};
use crate::json::{Json, Style};
use crate::{assert_presentable, response};

const ISSUER: &str = "https://as.example/op";

fn read(status: u16, body: impl AsRef<[u8]>) -> Result<Metadata, MetadataError> {
    let issuer = Issuer::parse(ISSUER, PlainHttp::Refused).unwrap();
    Metadata::parse(&response(status, body), &issuer, PlainHttp::Refused).inspect_err(assert_presentable)
}

fn members(issuer: &str, token_endpoint: &str) -> Vec<(String, Json)> {
    vec![("issuer".to_owned(), Json::text(issuer)), ("token_endpoint".to_owned(), Json::text(token_endpoint))]
}

fn names() -> impl Strategy<Value = Option<Vec<String>>> {
    prop::option::of(prop::collection::vec("[a-zA-Z0-9_]{1,20}", 0..4))
}

fn array(names: &[String]) -> Json {
    Json::Array(names.iter().map(|name| Json::text(name)).collect())
}

#[test]
fn s39_the_letter_case_of_an_issuer_matters() {
    for (at, letter) in ISSUER.char_indices().filter(|(_, letter)| letter.is_ascii_lowercase()) {
        let mut other = ISSUER.to_owned();
        other.replace_range(at..=at, &letter.to_ascii_uppercase().to_string());
        let document = Json::Object(members(&other, "https://as.example/token")).write(&mut Style::default());
        assert_eq!(read(200, document), Err(MetadataError::OtherIssuer), "{other}");
    }
}

proptest! {
    #[test]
    fn what_a_good_server_publishes_is_read_in_any_order_and_spelling(
        path in "[a-z0-9/]{0,12}",
        (methods, algorithms) in (names(), names()),
        (unknown, keys) in (unknown_members(), prop::collection::vec(any::<u8>(), 12)),
        mut style in style(),
    ) {
        let endpoint = format!("https://tokens.example/{path}");
        let mut members = members(ISSUER, &endpoint);
        let lists = [
            ("token_endpoint_auth_methods_supported", &methods),
            ("token_endpoint_auth_signing_alg_values_supported", &algorithms),
        ];
        for (name, list) in lists {
            members.extend(list.iter().map(|list| (name.to_owned(), array(list))));
        }
        members.extend(unknown);
        let mut shuffled: Vec<_> = members.into_iter().zip(keys).collect();
        shuffled.sort_by_key(|(_, key)| *key);
        let document = Json::Object(shuffled.into_iter().map(|(member, _)| member).collect());
        let metadata = read(200, document.write(&mut style)).unwrap();
        prop_assert_eq!(metadata.token_endpoint.as_str(), &endpoint);
        prop_assert_eq!((metadata.auth_methods, metadata.assertion_algorithms), (methods, algorithms));
    }

    #[test]
    fn s39_an_issuer_that_differs_in_anything_is_refused(damages in prop::collection::vec(damage(), 1..3)) {
        let other = damages.iter().fold(ISSUER.as_bytes().to_vec(), |text, damage| damage.to(text));
        let other = String::from_utf8_lossy(&other).into_owned();
        prop_assume!(other != ISSUER);
        let document = Json::Object(members(&other, "https://as.example/token")).write(&mut Style::default());
        let refused = read(200, document).unwrap_err();
        prop_assert!(matches!(refused, MetadataError::OtherIssuer | MetadataError::IssuerSlash), "{:?}", refused);
        prop_assert_eq!((refused.class(), refused.is_elsewhere()), (Class::Request, false));
    }

    #[test]
    fn s39_an_endpoint_counts_only_as_a_configured_one_would(endpoint in "(https?|ftp)?(://)?[a-z@#:.\\\\ canary]{0,20}") {
        let document = Json::Object(members(ISSUER, &endpoint)).write(&mut Style::default());
        let outcome = read(200, document).map(|metadata| metadata.token_endpoint);
        prop_assert_eq!(outcome, Endpoint::parse(&endpoint, PlainHttp::Refused).map_err(MetadataError::Endpoint));
    }

    #[test]
    fn s37_a_key_that_comes_twice_at_any_depth_spoils_the_document(
        unknown in unknown_members(),
        which in any::<Index>(),
        mut style in style(),
    ) {
        let mut document = members(ISSUER, "https://as.example/token");
        document.extend(unknown);
        let mut document = Json::Object(document);
        let objects = document.objects();
        for value in [Json::Null, Json::text("canary")] {
            document.push_into(&mut which.index(objects), &("y".to_owned(), value));
        }
        let refused = read(200, document.write(&mut style));
        prop_assert_eq!(refused, Err(MetadataError::Malformed(Unreadable::DuplicateKey)));
    }

    #[test]
    fn s39_any_response_is_this_issuers_metadata_or_a_failure_of_one_class(
        status in any::<u16>(),
        body in prop_oneof![
            body(),
            (style(), prop::collection::vec(damage(), 0..3)).prop_map(|(mut style, damages)| {
                let document = Json::Object(members(ISSUER, "https://as.example/token")).write(&mut style);
                damages.iter().fold(document.into_bytes(), |body, damage| damage.to(body))
            }),
        ],
    ) {
        for status in [status, 200] {
            match read(status, &body) {
                Ok(metadata) => {
                    prop_assert!((200..300).contains(&status));
                    let Some(Json::Object(members)) = Json::read(&body) else {
                        return Err(TestCaseError::fail("no JSON object was read"));
                    };
                    let endpoint = Json::text(metadata.token_endpoint.as_str());
                    for member in [("issuer".to_owned(), Json::text(ISSUER)), ("token_endpoint".to_owned(), endpoint)] {
                        prop_assert!(members.contains(&member), "{:?}", member);
                    }
                }
                Err(error) => {
                    let in_trouble = matches!(status, 408 | 425 | 429 | 500..=599);
                    let unreadable = matches!(error, MetadataError::Malformed(_));
                    let class = if in_trouble || unreadable { Class::Transient } else { Class::Request };
                    prop_assert_eq!(error.class(), class, "HTTP {}: {:?}", status, error);
                    prop_assert!(!in_trouble || !error.is_elsewhere(), "nobody looks elsewhere in an outage");
                }
            }
        }
    }

    #[test]
    fn s24_an_outage_keeps_its_retry_after(status in 500_u16..600, seconds in 0_u64..10_000) {
        let issuer = Issuer::parse(ISSUER, PlainHttp::Refused).unwrap();
        let response = HttpResponse { retry_after: Some(seconds.to_string()), ..response(status, "") };
        let error = Metadata::parse(&response, &issuer, PlainHttp::Refused).unwrap_err();
        prop_assert_eq!(error.retry_after(), Some(RetryAfter::Seconds(seconds)));
    }
}
