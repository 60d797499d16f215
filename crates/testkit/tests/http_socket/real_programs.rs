//! Programs that people have: curl, and Python and Node with the libraries that people use there.

use serde_json::{Value, json};
use tokenbroker_testkit::{HttpCaller, programs, require_or_skip};

use crate::Site;

const SCOPE: &str = "scope = \"api:read api:write\"";

impl Site {
    /// What a program of Python or Node got.
    #[track_caller]
    pub(crate) fn http_caller(&self, caller: &HttpCaller, arguments: &[&str]) -> Value {
        let [program, script] = caller.install();
        let run = self.install.program(program).args([script, self.install.http_socket()]).args(arguments);
        serde_json::from_str(&run.run().success()).unwrap()
    }
}

/// A site with a client `app` that may have two scopes, if the host has what the test needs.
fn site(suite: &str, available: Result<(), String>) -> Option<Site> {
    require_or_skip(suite, available).then(|| Site::new(&[("app", SCOPE)]))
}

fn with(caller: &HttpCaller, suite: &str) -> Option<Site> {
    site(suite, caller.available())
}

/// What a caller got for a token and for a client that is not there.
#[track_caller]
fn assert_both(replies: &Value, token: &str) {
    assert_eq!((&replies[0][0], &replies[0][1]["access_token"]), (&json!(200), &json!(token)));
    assert_eq!((&replies[1][0], &replies[1][1]["error"]), (&json!(401), &json!("invalid_client")));
}

#[test]
fn curl_gets_a_token_from_both_interfaces() {
    let Some(site) = site("curl", programs(&["curl"])) else { return };
    let token = site.token("app");
    let printed = |arguments: &[&str]| site.curl(arguments).run().success();
    let ours = printed(&["http://tokenbroker/v1/tokens/app?min_ttl=60s"]);
    assert!(ours.contains(&format!("\"access_token\":\"{token}\"")) && ours.ends_with("\n200"), "{ours}");

    let endpoint = "http://tokenbroker/oauth2/token";
    for credentials in [&["--user", "app:"][..], &["--data", "client_id=app"]] {
        let grant = ["--data", "grant_type=client_credentials", endpoint];
        let reply = printed(&[credentials, &grant].concat());
        assert!(
            reply.contains(&format!("\"access_token\":\"{token}\"")) && reply.ends_with("\n200"),
            "{reply}"
        );
    }
    let part =
        ["--user", "app:", "--data", "grant_type=client_credentials", "--data-urlencode", "scope=api:read"];
    let reply = printed(&[&part[..], &[endpoint]].concat());
    assert!(reply.contains("\"scope\":\"api:read\"") && reply.ends_with("\n200"), "{reply}");
}

#[test]
fn python_gets_a_token_with_httpx() {
    let Some(site) = with(&HttpCaller::Python, "HTTP callers in Python") else { return };
    let replies = site.http_caller(&HttpCaller::Python, &["get", "/v1/tokens/app", "/v1/tokens/other"]);
    assert_both(&replies, &site.token("app"));
}

#[test]
fn authlib_takes_it_for_any_token_endpoint() {
    let Some(site) = with(&HttpCaller::Python, "HTTP callers in Python") else { return };
    takes_it_for_any_token_endpoint(&site, &HttpCaller::Python);
}

#[test]
fn node_gets_a_token_with_its_own_http_and_its_own_fetch() {
    let Some(site) = with(&HttpCaller::Node, "HTTP callers in Node") else { return };
    for how in ["get", "fetch"] {
        let replies = site.http_caller(&HttpCaller::Node, &[how, "/v1/tokens/app", "/v1/tokens/other"]);
        assert_both(&replies, &site.token("app"));
    }
}

#[test]
fn openid_client_takes_it_for_any_token_endpoint() {
    let Some(site) = with(&HttpCaller::Node, "HTTP callers in Node") else { return };
    takes_it_for_any_token_endpoint(&site, &HttpCaller::Node);
}

#[track_caller]
fn takes_it_for_any_token_endpoint(site: &Site, caller: &HttpCaller) {
    let token = site.token("app");
    for method in ["none", "client_secret_post", "client_secret_basic"] {
        let whole = site.http_caller(caller, &["oauth", "app", method, ""]);
        assert_eq!(
            (&whole["access_token"], &whole["scope"]),
            (&json!(token), &json!("api:read api:write")),
            "{method}: {whole}"
        );
        assert!(whole["expires_in"].as_u64().unwrap() > 0, "{whole}");
        let part = site.http_caller(caller, &["oauth", "app", method, "api:read"]);
        assert_eq!(part["scope"], "api:read", "{method}: {part}");
        assert_ne!(part["access_token"], json!(token));
    }
    let accepted = tokenbroker_testkit::data(site.server.address(), &token);
    assert_eq!(accepted.0, 200);
    for (client, scope, refused) in [("app", "admin", "invalid_scope"), ("other", "", "invalid_client")] {
        let answer = site.http_caller(caller, &["oauth", client, "none", scope]);
        assert_eq!(answer["refused"], refused, "{answer}");
    }
}
