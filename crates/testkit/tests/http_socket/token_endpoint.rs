//! `POST /oauth2/token`, as a caller sees it that knows RFC 6749 and nothing of the broker.

use crate::Site;
use crate::caller::request;

const FORM: &str = "grant_type=client_credentials&client_id=app";

/// `app:whatever` and `wrong:whatever`.
const BASIC_APP: &str = "Authorization: Basic YXBwOndoYXRldmVy";
const BASIC_WRONG: &str = "Authorization: Basic d3Jvbmc6d2hhdGV2ZXI=";

#[test]
fn a_token_is_told_as_the_rfc_has_it_and_not_to_be_kept() {
    let site = Site::new(&[("app", "scope = \"api:read api:write\"")]);
    let reply = site.post(FORM);
    assert_eq!(reply.status, 200);
    assert_eq!((&*reply.headers["cache-control"], &*reply.headers["pragma"]), ("no-store", "no-cache"));
    let json = reply.json();
    assert_eq!(json["access_token"], site.token("app"));
    assert_eq!((&json["token_type"], &json["scope"]), (&"Bearer".into(), &"api:read api:write".into()));
    assert!(json["expires_in"].as_u64().unwrap() > 0);
    assert_eq!(json.as_object().unwrap().len(), 4, "{json}");

    let part =
        site.post(&format!("{FORM}&scope=api:read&resource=&client_secret=anything&colour=blue")).json();
    assert_eq!(part["scope"], "api:read");
    assert_ne!(part["access_token"], json["access_token"]);
}

#[test]
fn without_a_scope_nothing_is_said_of_it() {
    let site = Site::new(&[("app", "")]);
    let json = site.post(FORM).json();
    assert!(json.get("scope").is_none(), "{json}");
}

#[test]
fn the_client_can_be_in_a_basic_header_with_any_password() {
    let site = Site::new(&[("app", "")]);
    let token = site.token("app");
    let grant = "grant_type=client_credentials";
    assert_eq!(site.dial().post(&[BASIC_APP], grant).json()["access_token"], token);
    assert_eq!(site.dial().post(&[BASIC_APP], FORM).json()["access_token"], token);
    let wrong = site.dial().post(&[BASIC_WRONG], grant);
    wrong.refused(401, "invalid_client");
    assert_eq!(wrong.headers["www-authenticate"], "Basic realm=\"tokenbroker\"");
    site.dial().post(&[BASIC_WRONG], FORM).refused(400, "invalid_request");
    site.dial().post(&["Authorization: Basic !"], grant).refused(400, "invalid_request");
}

#[test]
fn mistakes_are_told_by_the_codes_of_the_rfc() {
    let site = Site::new(&[("app", "scope = \"api:read\"\nresource = \"urn:a\"")]);
    for (form, status, error) in [
        ("", 400, "invalid_request"),
        ("grant_type=client_credentials", 400, "invalid_request"),
        ("client_id=app", 400, "invalid_request"),
        ("grant_type=&client_id=app", 400, "invalid_request"),
        ("grant_type=client_credentials&client_id=app&client_id=app", 400, "invalid_request"),
        ("grant_type=authorization_code&client_id=app", 400, "unsupported_grant_type"),
        ("grant_type=client_credentials&client_id=app&scope=admin", 400, "invalid_scope"),
        ("grant_type=client_credentials&client_id=app&resource=urn:b", 400, "invalid_target"),
        ("grant_type=client_credentials&client_id=app&audience=x", 400, "invalid_target"),
        ("grant_type=client_credentials&client_id=other", 401, "invalid_client"),
        ("grant_type=client_credentials&client_id=%FF%00", 401, "invalid_client"),
    ] {
        let reply = site.post(form);
        reply.refused(status, error);
        assert_eq!(reply.headers["cache-control"], "no-store", "{form}");
        assert!(!reply.headers.contains_key("www-authenticate"), "{form}: nobody tried to authenticate");
    }
}

#[test]
fn a_form_is_a_form_and_comes_in_the_body() {
    let site = Site::new(&[("app", "")]);
    let ask = |headers: &[&str], path: &str, body: &str| {
        let length = format!("Content-Length: {}", body.len());
        let mut caller = site.dial();
        caller.send(request("POST", path, &[headers, &[&length]].concat()) + body);
        caller.reply()
    };
    ask(&["Content-Type: application/json"], "/oauth2/token", "{}").refused(400, "invalid_request");
    ask(&[], "/oauth2/token", FORM).refused(400, "invalid_request");
    let form = "Content-Type: application/x-www-form-urlencoded; charset=UTF-8";
    ask(&[form], &format!("/oauth2/token?{FORM}"), "").refused(400, "invalid_request");
    assert_eq!(ask(&[form], "/oauth2/token", FORM).status, 200);
}

#[test]
fn a_body_in_chunks_and_one_that_is_announced_are_taken() {
    let site = Site::new(&[("app", "")]);
    let form = "Content-Type: application/x-www-form-urlencoded";
    let mut chunked = site.dial();
    chunked.send(request("POST", "/oauth2/token", &[form, "Transfer-Encoding: chunked"]));
    for part in FORM.as_bytes().chunks(7) {
        chunked.send(format!("{:x}\r\n{}\r\n", part.len(), String::from_utf8_lossy(part)));
    }
    chunked.send("0\r\n\r\n");
    assert_eq!(chunked.reply().status, 200);

    let mut announced = site.dial();
    let length = format!("Content-Length: {}", FORM.len());
    announced.send(request("POST", "/oauth2/token", &[form, &length, "Expect: 100-continue"]));
    // The head of an interim reply has no length.
    announced.expect_continue();
    announced.send(FORM);
    assert_eq!(announced.reply().status, 200);
}
