//! Secrets with characters that are special in a form: form-encoded in a Basic header or raw, and in the body.

use tokenbroker_testkit::{AssertionAudience, Client};

use crate::{Address, Site, authlib, oauth2_server, oidc_provider};

/// Its form encoding is another text, and so is what is left of it when a server form-decodes it.
const SECRET: &str = "p%40ss:w0rd+ /?";

const BASIC: &str = "auth = \"client_secret_basic\"";
const POST: &str = "auth = \"client_secret_post\"";

/// Of two clients that differ in the encoding alone, one gets a token.
async fn assert_takes_only(right: &str, wrong: &str, server: impl Into<Address>) {
    let raw = "basic_encoding = \"raw\"";
    let issuers = [("form", ""), ("raw", raw)];
    let site = Site::start(server, &issuers, &[("by-form", "form", BASIC), ("by-raw", "raw", BASIC)]);
    site.set_secret("by-form", SECRET);
    site.set_secret("by-raw", SECRET);
    site.assert_token_is_accepted(right).await;
    site.assert_refused(wrong, "basic_encoding");
}

#[tokio::test]
async fn oidc_provider_takes_a_basic_header_form_encoded_and_not_raw() {
    let Some(server) = oidc_provider() else { return };
    for id in ["by-form", "by-raw"] {
        server.register(&Client::secret_basic(id, SECRET));
    }
    assert_takes_only("by-form", "by-raw", &server).await;
    assert_eq!((server.counts("by-form").rejected, server.counts("by-raw").accepted), (0, 0));
}

#[tokio::test]
async fn oauth2_server_takes_a_basic_header_raw_and_not_form_encoded() {
    let Some(server) = oauth2_server() else { return };
    for id in ["by-form", "by-raw"] {
        server.register(&Client::secret_basic(id, SECRET));
    }
    assert_takes_only("by-raw", "by-form", &server).await;
    assert_eq!((server.counts("by-raw").rejected, server.counts("by-form").accepted), (0, 0));
}

#[tokio::test]
async fn authlib_takes_a_basic_header_form_encoded_and_not_raw() {
    let Some(server) = authlib(AssertionAudience::Issuer) else { return };
    for id in ["by-form", "by-raw"] {
        server.register(&Client::secret_basic(id, SECRET));
    }
    assert_takes_only("by-form", "by-raw", &server).await;
    assert_eq!((server.counts("by-form").rejected, server.counts("by-raw").accepted), (0, 0));
}

#[tokio::test]
async fn letters_beyond_ascii_are_form_encoded_as_utf_8() {
    let Some(server) = authlib(AssertionAudience::Issuer) else { return };
    let secret = "p%40ss:wörd+ /?€";
    let site = Site::start(&server, &[("form", "")], &[("basic", "form", BASIC), ("post", "form", POST)]);
    server.register(&Client::secret_basic("basic", secret));
    server.register(&Client::secret_post("post", secret));
    for client in ["basic", "post"] {
        site.set_secret(client, secret);
        site.assert_token_is_accepted(client).await;
        assert_eq!(server.counts(client).rejected, 0, "{client}");
    }
}

#[tokio::test]
async fn in_the_body_a_secret_needs_no_choice() {
    let Some(server) = oauth2_server() else { return };
    server.register(&Client::secret_post("app", SECRET));
    let site = Site::start(&server, &[("server", "")], &[("app", "server", POST)]);
    site.set_secret("app", SECRET);
    site.assert_token_is_accepted("app").await;
    assert_eq!(server.counts("app").rejected, 0);
}
