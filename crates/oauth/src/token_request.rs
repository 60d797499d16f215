//! The token request of the client credentials grant (RFC 6749 section 4.4).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokenbroker_secret::SecretString;

use crate::form::{self, Form};
use crate::{Endpoint, HttpRequest, Scope};

/// Names that extra parameters can't have, because this crate sends or will send them itself and RFC 6749
/// section 3.2 forbids to send one twice. They are left out of a request if they turn up all the same.
pub const RESERVED_PARAMETERS: [&str; 8] = [
    "grant_type",
    "scope",
    "resource",
    "audience",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
];

/// What is asked for, and where.
#[derive(Debug, Clone, Copy)]
pub struct TokenRequest<'a> {
    /// The token endpoint.
    pub endpoint: &'a Endpoint,
    /// Who asks.
    pub client_id: &'a str,
    /// What the token shall be good for; `None` leaves it to the server.
    pub scope: Option<&'a Scope>,
    /// Resource indicators (RFC 8707), each sent as a parameter of its own.
    pub resource: &'a [String],
    /// What some servers have instead of resource indicators.
    pub audience: Option<&'a str>,
    /// Further parameters, none of them among [`RESERVED_PARAMETERS`].
    pub params: &'a BTreeMap<String, String>,
}

/// How the client proves who it is.
#[derive(Debug, Clone, Copy)]
pub enum Authentication<'a> {
    /// `client_secret_basic`.
    SecretBasic {
        /// The shared secret.
        secret: &'a SecretString,
        /// How the header is written.
        encoding: BasicEncoding,
    },
    /// `client_secret_post`.
    SecretPost {
        /// The shared secret.
        secret: &'a SecretString,
    },
    /// `private_key_jwt` or `client_secret_jwt`: the signed [`Assertion`](crate::Assertion).
    Assertion(&'a SecretString),
    /// `tls_client_auth` and `self_signed_tls_client_auth`: the connection's certificate says it (RFC 8705).
    Certificate,
}

/// How client ID and secret are written into a Basic header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BasicEncoding {
    /// Each form-encoded first, as RFC 6749 section 2.3.1 demands.
    #[default]
    Form,
    /// As they are, as RFC 7617 has it and some servers expect. A client ID with a colon can't be told apart then.
    Raw,
}

impl TokenRequest<'_> {
    /// The request as it goes out. Each attempt needs its own: an assertion is good for one.
    pub fn authenticate(&self, authentication: Authentication<'_>) -> HttpRequest {
        let scope = self.scope.map(Scope::to_string);
        let mut form = Form::default();
        form.push("grant_type", "client_credentials");
        if let Some(scope) = &scope {
            form.push("scope", scope);
        }
        for resource in self.resource {
            form.push("resource", resource);
        }
        if let Some(audience) = self.audience {
            form.push("audience", audience);
        }
        for (name, value) in self.params {
            if !RESERVED_PARAMETERS.contains(&name.as_str()) {
                form.push(name, value);
            }
        }
        match authentication {
            // The header names the client already; RFC 6749 section 2.3 allows one method at a time.
            Authentication::SecretBasic { .. } => {}
            Authentication::SecretPost { secret } => {
                form.push("client_id", self.client_id);
                form.push("client_secret", secret.expose());
            }
            Authentication::Assertion(assertion) => {
                form.push("client_id", self.client_id);
                form.push("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
                form.push("client_assertion", assertion.expose());
            }
            // RFC 8705 section 2: the server has to find out whose certificate to expect.
            Authentication::Certificate => form.push("client_id", self.client_id),
        }
        let mut request = HttpRequest::post_form(self.endpoint.clone(), form.encode());
        if let Authentication::SecretBasic { secret, encoding } = authentication {
            request.headers.push(("authorization", basic(self.client_id, secret, encoding)));
        }
        request
    }
}

fn basic(client_id: &str, secret: &SecretString, encoding: BasicEncoding) -> SecretString {
    let credentials = match encoding {
        BasicEncoding::Form => {
            concat(&[form::encode(client_id).expose(), ":", form::encode(secret.expose()).expose()])
        }
        BasicEncoding::Raw => concat(&[client_id, ":", secret.expose()]),
    };
    let encoded = SecretString::new(STANDARD.encode(credentials.expose()));
    concat(&["Basic ", encoded.expose()])
}

/// `<[&str]>::concat` reserves the exact length first, so no piece of a secret is left behind by growing.
fn concat(pieces: &[&str]) -> SecretString {
    SecretString::new(pieces.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Method, PlainHttp};

    const NO_PARAMS: &BTreeMap<String, String> = &BTreeMap::new();

    fn endpoint() -> Endpoint {
        Endpoint::parse("https://as.example/token", PlainHttp::Refused).unwrap()
    }

    fn request<'a>(endpoint: &'a Endpoint, client_id: &'a str) -> TokenRequest<'a> {
        TokenRequest { endpoint, client_id, scope: None, resource: &[], audience: None, params: NO_PARAMS }
    }

    fn body(request: &HttpRequest) -> &str {
        std::str::from_utf8(request.body.as_ref().unwrap().expose()).unwrap()
    }

    fn header<'a>(request: &'a HttpRequest, wanted: &str) -> Option<&'a str> {
        request.headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.expose())
    }

    fn basic_header(client_id: &str, secret: &str, encoding: BasicEncoding) -> String {
        let request = request(&endpoint(), client_id)
            .authenticate(Authentication::SecretBasic { secret: &secret.into(), encoding });
        header(&request, "authorization").unwrap().to_owned()
    }

    #[test]
    fn the_basic_headers_of_rfc_6749_come_out_letter_by_letter() {
        for encoding in [BasicEncoding::Form, BasicEncoding::Raw] {
            assert_eq!(
                basic_header("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw", encoding),
                "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3",
                "section 2.3.1"
            );
            assert_eq!(
                basic_header("s6BhdRkqt3", "gX1fBat3bV", encoding),
                "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW",
                "section 4.4.2"
            );
        }
    }

    #[test]
    fn a_colon_or_a_space_in_the_client_id_is_encoded_before_it_gets_into_the_header() {
        let encoded = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(
            basic_header("a b:c", "+:%&= é", BasicEncoding::Form),
            encoded("a%20b%3Ac:%2B%3A%25%26%3D%20%C3%A9")
        );
        assert_eq!(basic_header("a b", "+:%&= é", BasicEncoding::Raw), encoded("a b:+:%&= é"));
    }

    #[test]
    fn a_secret_in_the_header_leaves_the_body_without_credentials() {
        let endpoint = endpoint();
        let secret = "hunter2".into();
        let sent = request(&endpoint, "app")
            .authenticate(Authentication::SecretBasic { secret: &secret, encoding: BasicEncoding::Form });
        assert_eq!((sent.method, &sent.url), (Method::Post, &endpoint));
        assert_eq!(body(&sent), "grant_type=client_credentials");
        assert_eq!(header(&sent, "accept"), Some("application/json"));
        assert_eq!(header(&sent, "content-type"), Some("application/x-www-form-urlencoded"));
    }

    #[test]
    fn a_secret_in_the_body_leaves_the_headers_without_credentials() {
        let secret = "+ :%&=".into();
        let sent = request(&endpoint(), "a:b c").authenticate(Authentication::SecretPost { secret: &secret });
        assert_eq!(
            body(&sent),
            "grant_type=client_credentials&client_id=a%3Ab%20c&client_secret=%2B%20%3A%25%26%3D"
        );
        assert_eq!(header(&sent, "authorization"), None);
    }

    #[test]
    fn an_assertion_says_of_what_type_it_is() {
        let assertion = "eyJh.eyJp.c2ln".into();
        let sent = request(&endpoint(), "app").authenticate(Authentication::Assertion(&assertion));
        assert_eq!(
            body(&sent),
            "grant_type=client_credentials&client_id=app\
             &client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
             &client_assertion=eyJh.eyJp.c2ln"
        );
        assert_eq!(header(&sent, "authorization"), None);
    }

    #[test]
    fn a_client_with_a_certificate_says_who_it_is_and_nothing_more() {
        let sent = request(&endpoint(), "app").authenticate(Authentication::Certificate);
        assert_eq!(body(&sent), "grant_type=client_credentials&client_id=app");
        assert_eq!(header(&sent, "authorization"), None);
    }

    #[test]
    fn everything_that_is_asked_for_is_sent_once() {
        let endpoint = endpoint();
        let scope = Scope::parse("write read").unwrap();
        let resource = ["https://a.example/".to_owned(), "https://b.example/".to_owned()];
        let params = [("tenant", "x y"), ("grant_type", "password"), ("client_secret", "stolen")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let request = TokenRequest {
            scope: Some(&scope),
            resource: &resource,
            audience: Some("api"),
            params: &params,
            ..request(&endpoint, "app")
        };
        let sent = request.authenticate(Authentication::SecretPost { secret: &"s".into() });
        assert_eq!(
            body(&sent),
            "grant_type=client_credentials&scope=read%20write\
             &resource=https%3A%2F%2Fa.example%2F&resource=https%3A%2F%2Fb.example%2F&audience=api&tenant=x%20y\
             &client_id=app&client_secret=s"
        );
    }

    #[test]
    fn no_credential_prints() {
        let secret = SecretString::from("hunter2");
        for authentication in [
            Authentication::SecretBasic { secret: &secret, encoding: BasicEncoding::Raw },
            Authentication::SecretPost { secret: &secret },
            Authentication::Assertion(&secret),
        ] {
            let sent = request(&endpoint(), "app").authenticate(authentication);
            let printed = format!("{authentication:?} {sent:?}");
            let header = STANDARD.encode("app:hunter2");
            assert!(!printed.contains("hunter2") && !printed.contains(&header), "{printed}");
        }
    }
}
