//! `GET /v1/status`.

use serde_json::Value;
use tokenbroker_testkit::{programs, require_or_skip, root, wait_until};

use crate::{ANN, DEADLINE, Site};

#[test]
fn the_states_are_told_in_the_words_of_the_command_line() {
    let site = Site::new(&[("one", "scope = \"api:read\""), ("two", "")]);
    site.install.cli(["secret", "remove", "two"]).run().success();
    wait_until(DEADLINE, || site.install.status("two")["state"] == "blocked");
    let reply = site.get("/v1/status");
    assert_eq!((reply.status, reply.headers["cache-control"].as_str()), (200, "no-store"));
    let (mut ours, theirs) = (reply.json(), site.install.cli(["status", "--json"]).run().success());
    let mut theirs: Value = serde_json::from_str(&theirs).unwrap();
    assert_eq!(theirs[0]["state"], "warm", "so that there is something to compare");
    assert_eq!(
        (&theirs[1]["last_error"]["code"], &theirs[0]["credential"]["kind"]),
        (&"no_credential".into(), &"secret".into())
    );
    // A second may have passed in between.
    for states in [&mut ours, &mut theirs] {
        for state in states.as_array_mut().unwrap() {
            for passing in ["/expires_in", "/renew_in", "/last_error/next_try_in"] {
                if let Some(number) = state.pointer_mut(passing).filter(|value| value.is_number()) {
                    *number = "a number".into();
                }
            }
        }
    }
    assert_eq!(ours, theirs);
}

#[test]
fn a_caller_sees_its_own_clients_only() {
    if !require_or_skip("HTTP callers of other users", root().and_then(|()| programs(&["curl"]))) {
        return;
    }
    let hers = format!("allow = [{{ user = {ANN} }}]");
    let site = Site::new(&[("hers", &hers), ("other", "")]);
    site.install.open_to_other_users();
    let seen = |user: u32, path: &str| {
        site.curl(&[&format!("http://tokenbroker{path}")]).as_user(user, user).run().success()
    };
    let states = seen(ANN, "/v1/status");
    assert!(states.contains("\"client\":\"hers\"") && !states.contains("other"), "{states}");
    assert_eq!(seen(ANN + 1, "/v1/status"), "[]\n200");
    let metrics = seen(ANN, "/metrics");
    assert!(metrics.contains("{client=\"hers\"}") && !metrics.contains("other"), "{metrics}");
    let nothing = seen(ANN + 1, "/metrics");
    assert!(nothing.contains("tokenbroker_build_info") && !nothing.contains("client=\""), "{nothing}");
    for path in ["/livez", "/readyz"] {
        assert_eq!(seen(ANN + 1, path), "ok\n\n200");
    }
    let everything = site.get("/v1/status").body;
    assert!(everything.contains("\"hers\"") && everything.contains("\"other\""), "{everything}");
}

#[test]
fn there_are_no_pages() {
    let names: Vec<_> = (0..450).map(|number| format!("client-{number:03}")).collect();
    let clients: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let site = Site::cold(&clients);
    let states = site.get("/v1/status").json();
    let told: Vec<_> =
        states.as_array().unwrap().iter().map(|state| state["client"].as_str().unwrap()).collect();
    assert_eq!(told, names);
}
