//! Where tokens are asked for: secrets go there, so not anywhere.

use crate::refused_at;

fn issuer(url: &str, more: &str) -> String {
    format!("[issuers.as]\nissuer = {url:?}\n{more}")
}

#[test]
fn what_is_no_absolute_https_url_is_refused() {
    for (url, words) in [
        ("as.example", "not an absolute URL such as https://host/path"),
        ("ftp://as.example", "the URL must begin with https://"),
        ("https://ann:hunter2@as.example", "the URL must not hold a user name or password"),
        ("https://as.example/#top", "the URL must not have a fragment (#...)"),
    ] {
        let said = refused_at("2:10", &issuer(url, ""), &["`issuers.as.issuer`: ", words]);
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn plain_http_to_another_host_is_refused_allowed_or_not() {
    for more in ["", "allow_plain_http = true\n"] {
        refused_at(
            "2:10",
            &issuer("http://as.example", more),
            &["plain http is allowed only to a loopback host", "\nhint: use the server's https:// URL\n"],
        );
    }
}

#[test]
fn plain_http_to_this_host_is_refused_unless_it_is_allowed() {
    for more in ["", "allow_plain_http = false\n"] {
        refused_at(
            "2:10",
            &issuer("http://127.0.0.1:8080", more),
            &["plain http is refused", "\nhint: for tests on this host there is allow_plain_http = true\n"],
        );
    }
}
