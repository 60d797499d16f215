//! Keys: `key generate --next`, what is published meanwhile, and `key retire`.

use std::time::Duration;

use serde_json::Value;

use crate::Site;

const HOUR: Duration = Duration::from_secs(3600);

fn kids(site: &Site) -> Vec<String> {
    let jwks: Value = serde_json::from_str(&site.cli(&["key", "public", "key", "--format", "jwks"])).unwrap();
    let kid = |jwk: &Value| jwk["kid"].as_str().unwrap().to_owned();
    jwks["keys"].as_array().unwrap().iter().map(kid).collect()
}

#[test]
fn s54_both_keys_are_published_while_the_next_one_waits_and_the_old_one_until_it_is_retired() {
    let site = Site::with_key(HOUR);
    let [old] = kids(&site).try_into().unwrap();
    site.cli(&["key", "generate", "key", "--next"]);
    let [new, still] = kids(&site).try_into().unwrap();
    assert_eq!(still, old);

    // It is not registered yet: the old one is used once more.
    site.cli(&["renew", "key"]);
    let status = site.status("key");
    assert_eq!(
        (&status["state"], &status["next_credential"]["refused"]["code"]),
        (&"warm".into(), &"invalid_client".into())
    );
    assert_eq!(site.standings("key"), ["next", "current"]);

    site.register_keys();
    let rejected = site.server.counts("key").rejected;
    site.cli(&["renew", "key"]);
    assert_eq!(site.status("key")["next_credential"], Value::Null);
    assert_eq!(site.standings("key"), ["current", "previous"]);
    assert_eq!(kids(&site), [new.clone(), old.clone()]);

    site.cli(&["key", "retire", "key", "--kid", &old]);
    assert_eq!(kids(&site), [new]);
    site.register_keys();
    site.cli(&["renew", "key"]);
    assert_eq!(site.server.counts("key").rejected, rejected);
}

#[test]
fn an_imported_key_can_be_the_next_one_and_be_retired_before_its_turn() {
    let site = Site::with_key(HOUR);
    let [current] = kids(&site).try_into().unwrap();
    let pem = std::process::Command::new("openssl")
        .args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])
        .output()
        .unwrap();
    let imported = site.install.cli(["key", "import", "key", "--next", "--kid", "mine"]);
    imported.stdin(String::from_utf8(pem.stdout).unwrap()).run().success();
    assert_eq!(kids(&site), ["mine", &current]);
    site.cli(&["key", "retire", "key", "--kid", "mine"]);
    assert_eq!((kids(&site), site.status("key")["next_credential"].clone()), (vec![current], Value::Null));
}
