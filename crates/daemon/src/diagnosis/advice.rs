//! What a refusal most likely means, from all that is known: the server's own words, its metadata, the clocks.
//!
//! The words of a server can repeat what was sent to it, in many forms. They are shown to administrators only, and not at all
//! if a part of what is secret is found in them, or could be without being found.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokenbroker_core::config::{AssertionAudience, AuthMethod, Client};
use tokenbroker_oauth::{HttpResponse, Metadata, TokenError, TokenErrorKind};

/// The longest that is shown of a server's words.
const LONGEST: usize = 300;

/// So many characters of a secret in a row are a part of it that says something.
const TELLING: usize = 6;

/// What is known when a token request was refused.
pub(super) struct Refusal<'a> {
    pub(super) client: &'a Client,
    pub(super) response: &'a HttpResponse,
    pub(super) error: &'a TokenError,
    pub(super) metadata: Option<&'a Metadata>,
    /// By how many seconds the server's clock is ahead.
    pub(super) ahead: Option<i64>,
    /// What must not be shown.
    pub(super) secrets: &'a [&'a str],
}

impl Refusal<'_> {
    /// What the server says about it, if it says something that can be shown.
    pub(super) fn words(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Body {
            error_description: Option<String>,
        }
        let words = serde_json::from_slice::<Body>(self.response.body.expose()).ok()?.error_description?;
        // Some more, since what is cut off could hide what the beginning is a part of.
        let words: String = words.chars().take(4 * LONGEST).collect();
        let letters = printable(&words, words.len());
        let is_secret =
            |words: &str| self.secrets.iter().any(|secret| is_told(words, &self.client.client_id, secret));
        if is_secret(&words) || is_secret(&letters) {
            return None;
        }
        let shown = printable(&words, LONGEST).trim().to_owned();
        (!shown.is_empty()).then_some(shown)
    }

    /// What to change, if more can be said than follows from the error alone.
    pub(super) fn advice(&self) -> Option<String> {
        let of_gateway = self.something_in_between();
        of_gateway.or_else(|| self.by_metadata()).or_else(|| self.by_words())
    }

    /// A page for people is not what an authorization server answers programs with.
    fn something_in_between(&self) -> Option<String> {
        let is_page = self.response.content_type.as_deref().is_some_and(|kind| kind.starts_with("text/html"));
        if !is_page || matches!(self.error.kind, TokenErrorKind::OAuth(_)) {
            return None;
        }
        Some(format!(
            "a web page came back (HTTP {}): a proxy or a gateway in between answered, or token_endpoint of [issuers.{}] is \
             that of something else; ask who runs it, and check the endpoint",
            self.response.status, self.client.issuer.name
        ))
    }

    fn by_metadata(&self) -> Option<String> {
        let metadata = self.metadata?;
        let method = self.client.auth.name();
        let name = &self.client.name;
        if let Some(methods) =
            metadata.auth_methods.as_ref().filter(|methods| !methods.iter().any(|one| one == method))
        {
            return Some(format!(
                "the server takes {} and not {method}: change auth of [clients.{name}]",
                printable(&methods.join(", "), LONGEST)
            ));
        }
        let algorithm = match self.client.auth {
            AuthMethod::PrivateKeyJwt { algorithm } => algorithm.name(),
            AuthMethod::ClientSecretJwt { algorithm } => algorithm.name(),
            _ => return None,
        };
        let taken = metadata.assertion_algorithms.as_ref()?;
        (!taken.iter().any(|one| one == algorithm)).then(|| {
            format!(
                "the server takes assertions signed with {} and not with {algorithm}: change assertion_alg of \
                 [clients.{name}], and make a key for it",
                printable(&taken.join(", "), LONGEST)
            )
        })
    }

    fn by_words(&self) -> Option<String> {
        let is_assertion =
            matches!(self.client.auth, AuthMethod::PrivateKeyJwt { .. } | AuthMethod::ClientSecretJwt { .. });
        let words = self.words()?.to_ascii_lowercase();
        let has = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
        let (name, issuer) = (&self.client.name, &self.client.issuer);
        if !is_assertion {
            return None;
        }
        if has(&["aud"]) {
            let other = match issuer.assertion_audience {
                AssertionAudience::Issuer => "token-endpoint",
                AssertionAudience::TokenEndpoint | AssertionAudience::Other(_) => "issuer",
            };
            return Some(format!(
                "the server wants another audience in the assertion: try assertion_audience = \"{other}\" for \
                 [issuers.{}]",
                issuer.name
            ));
        }
        if has(&["expire", "iat", "nbf", "exp ", "\"exp\"", "time"]) {
            let off = self
                .ahead
                .map_or_else(String::new, |ahead| format!(" (this host's is {} s off)", ahead.abs()));
            return Some(format!(
                "the server finds the assertion too old or of the future: see the clocks{off}"
            ));
        }
        if has(&["kid", "key", "jwk", "signature"]) {
            return Some(format!(
                "the server does not know the key that signed the assertion: register what `tokenbroker key public {name}` \
                 prints, and if it has a key ID of its own, use that: `tokenbroker key import {name} --kid ...`"
            ));
        }
        None
    }
}

/// The beginning of what a server says, without what a terminal could take for commands.
pub(super) fn printable(words: &str, longest: usize) -> String {
    words.chars().filter(|letter| matches!(letter, ' '..='~')).take(longest).collect()
}

/// Whether some part of a secret may be in these words: as it is, or as it is sent for `client_secret_basic`. What may be
/// written in escapes (of URLs, HTML or JSON) can't be judged, and counts as told.
fn is_told(words: &str, client_id: &str, secret: &str) -> bool {
    if words.contains(['%', '&', '\\']) {
        return true;
    }
    // Case and white space are no disguise, nor is the plus sign that forms have for a space.
    let plain = |text: &str| -> Vec<char> {
        let letters = text.chars().filter(|letter| *letter != '+' && !letter.is_whitespace());
        letters.flat_map(char::to_lowercase).collect()
    };
    let said = plain(words);
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let sent = [
        secret.to_owned(),
        format!("{client_id}:{secret}"),
        format!("{}:{}", encoded(client_id), encoded(secret)),
    ];
    let in_base64 = sent.iter().flat_map(|text| {
        [STANDARD.encode(text), URL_SAFE.encode(text)].map(|text| text.trim_end_matches('=').to_owned())
    });
    let forms = in_base64.chain([secret.to_owned()]).map(|form| plain(&form));
    forms.filter(|form| !form.is_empty()).any(|form| {
        let length = form.len().min(TELLING);
        form.windows(length).any(|part| said.windows(length).any(|one| one == part))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokenbroker_core::config::{NoFiles, Source, parse};
    use tokenbroker_oauth::TokenResponse;
    use tokenbroker_secret::Secret;

    use super::*;

    fn client(auth: &str, issuer: &str) -> Arc<Client> {
        let text = format!(
            "[issuers.as]\nissuer = \"https://as.example\"\n{issuer}\n[clients.c]\nissuer = \"as\"\nclient_id = \"c\"\n\
             auth = \"{auth}\"\n"
        );
        let config = parse(&[Source { path: "c.toml".into(), text }], &NoFiles).unwrap();
        Arc::clone(&config.clients["c"])
    }

    fn response(status: u16, content_type: &str, body: &str) -> HttpResponse {
        HttpResponse {
            status,
            content_type: Some(content_type.into()),
            retry_after: None,
            date: None,
            body: Secret::from(body.as_bytes()),
        }
    }

    fn metadata(methods: &[&str], algorithms: &[&str]) -> Metadata {
        let endpoint =
            tokenbroker_oauth::Endpoint::parse("https://as.example/t", tokenbroker_oauth::PlainHttp::Refused);
        let owned = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
        Metadata {
            token_endpoint: endpoint.clone().unwrap(),
            mtls_token_endpoint: endpoint,
            auth_methods: owned(methods),
            assertion_algorithms: owned(algorithms),
        }
    }

    fn advice(client: &Client, response: &HttpResponse, metadata: Option<&Metadata>) -> Option<String> {
        let error = TokenResponse::parse(response, None).unwrap_err();
        Refusal { client, response, error: &error, metadata, ahead: Some(90), secrets: &[] }.advice()
    }

    fn said(words: &str) -> HttpResponse {
        let body = format!(r#"{{"error":"invalid_client","error_description":"{words}"}}"#);
        response(401, "application/json", &body)
    }

    #[test]
    fn the_words_of_a_server_say_what_to_change() {
        let by_issuer = client("private_key_jwt", "");
        for (words, expected) in [
            (
                "unexpected \\\"aud\\\" claim value",
                "assertion_audience = \"token-endpoint\" for [issuers.as]",
            ),
            ("kid not found in the client's jwks", "tokenbroker key public c"),
            ("signature verification failed", "tokenbroker key public c"),
            ("assertion is expired", "90 s off"),
        ] {
            let advice = advice(&by_issuer, &said(words), None).unwrap();
            assert!(advice.contains(expected), "{words}: {advice}");
        }
        let by_endpoint = client("private_key_jwt", "assertion_audience = \"token-endpoint\"");
        let other = advice(&by_endpoint, &said("bad audience"), None).unwrap();
        assert!(other.contains("assertion_audience = \"issuer\""), "{other}");
        assert_eq!(advice(&by_issuer, &said("no"), None), None);
        assert_eq!(advice(&client("client_secret_post", ""), &said("bad audience"), None), None);
    }

    #[test]
    fn what_the_server_publishes_comes_before_its_words() {
        let key = client("private_key_jwt", "");
        let only_secrets = metadata(&["client_secret_basic", "client_secret_post"], &[]);
        let told = advice(&key, &said("bad audience"), Some(&only_secrets)).unwrap();
        assert!(
            told.contains("takes client_secret_basic, client_secret_post and not private_key_jwt"),
            "{told}"
        );
        let only_elliptic = metadata(&["private_key_jwt"], &["ES256"]);
        let told = advice(&key, &said("no"), Some(&only_elliptic)).unwrap();
        assert!(told.contains("signed with ES256 and not with RS256"), "{told}");
    }

    #[test]
    fn a_web_page_is_something_in_between() {
        let page = response(403, "text/html; charset=utf-8", "<html>Zscaler</html>");
        let told = advice(&client("client_secret_post", ""), &page, None).unwrap();
        assert!(told.contains("a proxy or a gateway in between"), "{told}");
    }

    #[test]
    fn s57_words_with_a_secret_in_them_are_not_shown() {
        let client = client("client_secret_post", "");
        let response = said("the secret hunter2 is wrong");
        let error = TokenResponse::parse(&response, None).unwrap_err();
        let refusal = |secrets| Refusal {
            client: &client,
            response: &response,
            error: &error,
            metadata: None,
            ahead: None,
            secrets,
        };
        assert_eq!(refusal(&["hunter2"]).words(), None);
        for secrets in [&["hunter2345"], &["unter2"], &["is"], &["HUNTER2"], &["the secret"]] {
            assert_eq!(refusal(secrets).words(), None, "{secrets:?}");
        }
        let disguised = said("h\u{200b}u\u{ad}n\u{200b}t\u{200b}er2 is wrong");
        assert_eq!(Refusal { response: &disguised, ..refusal(&["hunter2"]) }.words(), None);
        assert_eq!(refusal(&["another"]).words().as_deref(), Some("the secret hunter2 is wrong"));
        let long = said(&"\u{7}x\u{e9}".repeat(1000).escape_default().to_string().replace('\\', ""));
        assert!(
            Refusal { response: &long, ..refusal(&[]) }.words().is_none_or(|words| words.len() <= LONGEST)
        );
    }

    #[test]
    fn s57_no_form_that_a_secret_was_sent_in_is_shown() {
        let (id, secret) = ("an app", "p+ss/w\"rd \u{e9}\\0815");
        for echoed in [
            "client_secret=p%2Bss%2Fw%22rd+%C3%A9%5C0815&grant_type=client_credentials",
            "client_secret=p%2bss%2fw%22rd%20%c3%a9%5c0815",
            "got p+ss/w\\\"rd \u{e9}\\\\0815",
            &format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))),
            &format!("bad credentials {}", URL_SAFE.encode("an%20app:p%2Bss%2Fw%22rd%20%C3%A9%5C0815")),
            &format!("secret {}", STANDARD.encode(secret)),
            "it begins with p+ss/w\"r",
            "got p&#43;ss&#x2F;w&quot;rd",
            "got p\\u002bss\\u002Fw\\u0022rd",
        ] {
            assert!(is_told(echoed, id, secret), "{echoed}");
        }
        for innocent in ["invalid client credentials", "HTTP Basic authentication is required for an app"] {
            assert!(!is_told(innocent, id, secret), "{innocent}");
        }
        let assertion = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJhcHAifQ.c2lnbmF0dXJl";
        assert!(is_told("the assertion eyJhbGciOiJFUzI1NiJ9.eyJpc3Mi... is bad", "app", assertion));
    }
}
