//! `allow`: by user, by group, and by names that the host does not know.

use std::fs;

use tokenbroker_testkit::{Fault, programs, require_or_skip, wait_until};

use crate::{ANN, BEN, Host, SIGNERS, SOON};

/// The user of that name is on every Linux (LSB), and its group too; their number is not our business.
const KNOWN: &str = "daemon";

#[test]
fn a_user_is_let_in_by_number_and_by_name_and_nobody_else_is() {
    let by_number = format!("{{ user = {ANN} }}");
    let by_name = format!("{{ user = {KNOWN:?} }}");
    let Some(host) = Host::for_other_users(&[("number", &by_number), ("name", &by_name)]) else { return };
    host.by(ANN, &["get", "number"]).run().success();
    host.by(BEN, &["get", "number"]).run().refused(4, &["is not for this caller"]);
    host.by(ANN, &["get", "name"]).run().refused(4, &["is not for this caller"]);
    let known = id_of(KNOWN);
    host.by(known, &["get", "name"]).run().success();
}

#[test]
fn a_group_counts_when_it_is_the_callers_own_and_when_it_is_a_supplementary_one() {
    let rule = format!("{{ group = {SIGNERS} }}");
    let Some(host) = Host::for_other_users(&[("signtext", &rule)]) else { return };
    if !require_or_skip("callers in supplementary groups", programs(&["setpriv"])) {
        return;
    }
    let get = || host.install.cli(["get", "signtext"]);
    get().as_user(ANN, SIGNERS).run().success();
    get().as_member(ANN, ANN, SIGNERS).run().success();
    get().as_member(ANN, ANN, SIGNERS + 1).run().refused(4, &["is not for this caller"]);
    get().as_user(SIGNERS, ANN).run().refused(4, &["is not for this caller"]);
}

#[test]
fn every_condition_of_a_rule_must_hold_and_one_rule_is_enough() {
    let rules = format!("{{ user = {ANN}, group = {SIGNERS} }}, {{ user = {BEN} }}");
    let Some(host) = Host::for_other_users(&[("signtext", &rules)]) else { return };
    let get = || host.install.cli(["get", "signtext"]);
    get().as_user(ANN, SIGNERS).run().success();
    get().as_user(BEN, BEN).run().success();
    get().as_user(ANN, ANN).run().refused(4, &["is not for this caller"]);
    get().as_user(ANN + 100, SIGNERS).run().refused(4, &["is not for this caller"]);
}

#[test]
fn s76_a_rule_with_an_unknown_name_is_warned_of_and_everything_else_works() {
    let rules = format!("{{ user = \"not-in-ldap-yet\" }}, {{ group = \"nor-this\" }}, {{ user = {ANN} }}");
    let Some(host) = Host::for_other_users(&[("signtext", &rules), ("other", "")]) else { return };
    let log = host.daemon.log();
    assert!(log.contains("WARN") && log.contains("not known on this host: "), "{log}");
    assert!(log.contains("not-in-ldap-yet") && log.contains("nor-this"), "{log}");

    host.by(ANN, &["get", "signtext"]).run().success();
    host.by(BEN, &["get", "signtext"]).run().refused(4, &["is not for this caller"]);
    host.install.cli(["get", "other"]).run().success();
}

#[test]
fn s76_unknown_names_are_looked_up_again_and_only_those_of_the_configuration_in_force() {
    let host = Host::logging("debug", &[("signtext", "{ user = \"not-in-ldap-yet\" }, { user = 0 }")]);
    let said = |words: &str| host.daemon.log().matches(words).count();
    let warnings = || said(" not known on this host: user not-in-ldap-yet;");
    let again = || said("still not known on this host: user not-in-ldap-yet");
    let reload_three_times = || (0..3).for_each(|_| drop(host.install.cli(["reload"]).run().success()));
    assert_eq!(warnings(), 1);
    reload_three_times();
    assert_eq!((warnings(), again()), (4, 0));
    wait_until(SOON, || again() > 0);
    // Gives the look-ups of the replaced configurations the time to show, if there were any.
    reload_three_times();
    assert_eq!((warnings(), again()), (7, 1));
}

#[test]
fn rules_that_change_at_a_reload_count_at_once() {
    let rule = |user: u32| format!("{{ user = {user} }}");
    let Some(host) = Host::for_other_users(&[("signtext", &rule(ANN))]) else { return };
    host.by(ANN, &["get", "signtext"]).run().success();
    host.install.config(&Host::configuration(&host.server, "", &[("signtext", &rule(BEN))]));
    host.install.cli(["reload"]).run().success();
    host.by(BEN, &["get", "signtext"]).run().success();
    host.by(ANN, &["get", "signtext"]).run().refused(4, &["is not for this caller"]);
}

#[test]
fn without_rules_no_other_user_is_let_in() {
    let Some(host) = Host::for_other_users(&[("signtext", "")]) else { return };
    host.install.cli(["get", "signtext"]).run().success();
    for user in [ANN, id_of(KNOWN), id_of("nobody")] {
        host.by(user, &["get", "signtext"]).run().refused(4, &["is not for this caller"]);
    }
}

fn id_of(user: &str) -> u32 {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let entry = passwd.lines().find(|line| line.split(':').next() == Some(user));
    entry
        .and_then(|entry| entry.split(':').nth(2)?.parse().ok())
        .unwrap_or_else(|| panic!("there is no user {user}"))
}

#[test]
fn s67_whoever_waits_when_a_reload_takes_the_right_away_gets_no_token() {
    let rule = format!("{{ user = {ANN} }}");
    let Some(host) = Host::for_other_users(&[("signtext", &rule)]) else { return };
    host.server.set_fault(Fault::Status(503));
    host.install.cli(["secret", "remove", "signtext"]).run().success();
    host.install.cli(["secret", "set", "signtext"]).stdin("secret").run().success();
    wait_until(SOON, || host.install.status("signtext")["state"] == "unavailable");
    let before = host.install.status("signtext")["gets"].clone();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| host.by(ANN, &["get", "signtext", "--wait", "60s"]).run());
        // It can't be seen waiting; but asked before the reload or after, it must not get the token.
        let other = format!("{{ user = {BEN} }}");
        host.install.config(&Host::configuration(&host.server, "", &[("signtext", &other)]));
        host.install.cli(["reload"]).run().success();
        host.server.set_fault(Fault::None);
        host.install.cli(["renew", "signtext"]).run().success();
        waiting.join().unwrap().refused(4, &["is not for this caller"]);
    });
    assert_eq!(host.install.status("signtext")["gets"], before);
}

#[test]
fn s01_a_caller_learns_nothing_of_other_clients_from_the_key_store() {
    let rule = format!("{{ user = {ANN} }}");
    let Some(host) = Host::for_other_users(&[("mine", &rule), ("theirs", "")]) else { return };
    let notes = "credentials rest in ";
    assert!(host.install.cli(["status"]).run().success().contains(notes));
    let seen = host.by(ANN, &["status"]).run().success();
    assert!(seen.contains("mine") && !seen.contains("theirs") && !seen.contains(notes), "{seen}");

    host.server.revoke_tokens();
    fs::write(host.install.path().join("state").join("keystore"), "damaged").unwrap();
    host.install.cli(["renew", "mine"]).run().refused(5, &["error: ", "keystore"]);
    let seen = host.by(ANN, &["status", "mine"]).run().success();
    assert!(seen.contains("key_store") && !seen.contains("keystore") && !seen.contains("theirs"), "{seen}");
}
