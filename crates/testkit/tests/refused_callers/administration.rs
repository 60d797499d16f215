//! What only administrators may do.

use crate::{ANN, BEN, Host};

const WORDS: [&str; 2] = [
    "error: only an administrator of the broker may do this\n",
    "hint: run it as root or as the daemon's user",
];

/// Everything that changes something, and what lists credentials.
const COMMANDS: [&[&str]; 9] = [
    &["renew", "signtext"],
    &["reload"],
    &["secret", "set", "signtext"],
    &["secret", "list"],
    &["secret", "remove", "signtext"],
    &["key", "generate", "signtext"],
    &["key", "import", "signtext"],
    &["key", "public", "signtext"],
    &["key", "retire", "signtext", "--kid", "k1"],
];

#[test]
fn who_may_have_a_token_may_not_administer() {
    let rule = format!("{{ user = {ANN} }}");
    let Some(host) = Host::for_other_users(&[("signtext", &rule)]) else { return };
    let before = host.install.cli(["secret", "list", "--json"]).run().success();
    let requests = host.server.all_token_requests();
    for command in COMMANDS {
        host.by(ANN, command).stdin("another").run().refused(4, &WORDS);
    }
    assert_eq!(host.install.cli(["secret", "list", "--json"]).run().success(), before);
    assert_eq!(host.server.all_token_requests(), requests);
    host.by(ANN, &["get", "signtext"]).run().success();
}

#[test]
fn who_may_not_administer_can_not_tell_which_clients_there_are() {
    let Some(host) = Host::for_other_users(&[("signtext", "")]) else { return };
    for command in COMMANDS {
        let of_unknown: Vec<&str> =
            command.iter().map(|word| if *word == "signtext" { "sigtext" } else { word }).collect();
        let known = host.by(ANN, command).stdin("another").run();
        let unknown = host.by(ANN, &of_unknown).stdin("another").run();
        assert_eq!(known.refused(4, &WORDS), unknown.refused(4, &WORDS));
    }
}

#[test]
fn an_administrator_by_rule_administers_and_sees_everything_but_has_no_token() {
    let Some(_) = Host::for_other_users(&[]) else { return };
    let host = Host::new(&format!("admin = [{{ user = {BEN} }}]\n"), &[("signtext", "")]);
    host.install.open_to_other_users();
    host.by(BEN, &["renew", "signtext"]).run().success();
    host.by(BEN, &["reload"]).run().success();
    host.by(BEN, &["secret", "set", "signtext"]).stdin("secret").run().success();
    assert!(host.by(BEN, &["status"]).run().success().contains("signtext"));
    host.by(BEN, &["get", "signtext"]).run().refused(
        4,
        &[
            "error: no rule of client signtext permits this caller, administrator or not\n",
            &format!("hint: add a rule for uid {BEN} to `allow` of [clients.signtext]\n"),
        ],
    );
    host.by(BEN, &["get", "sigtext"]).run().refused(4, &["there is no client \"sigtext\""]);
    host.by(ANN, &["reload"]).run().refused(4, &WORDS);
}
