//! `policy explain`: who may have what, and why.

use std::fs;

use serde_json::Value;

use crate::{ANN, BEN, Host, SIGNERS};

fn explain(host: &Host, arguments: &[&str]) -> Value {
    let arguments = [&["policy", "explain", "--json"], arguments].concat();
    serde_json::from_str(&host.install.cli(arguments).run().success()).unwrap()
}

#[test]
fn every_rule_is_explained_for_a_user() {
    let rules = format!(
        "{{ user = {ANN} }}, {{ user = \"not-in-ldap-yet\" }}, {{ group = {SIGNERS} }}, \
         {{ user = {BEN}, unit = \"signer.service\" }}"
    );
    let host = Host::new("", &[("signtext", &rules), ("other", "")]);
    let (ann, ben) = (ANN.to_string(), BEN.to_string());
    let hers = explain(&host, &["signtext", "--user", &ann]);
    assert_eq!((&hers["permitted"], &hers["rules"][0]["holds"]), (&"all".into(), &"yes".into()));
    let why = |rule: usize| hers["rules"][rule]["conditions"][0]["why"].as_str().unwrap();
    assert_eq!(why(1), "user \"not-in-ldap-yet\" is not known on this host");
    assert_eq!(why(2), format!("it is not in group {SIGNERS}"));
    assert_eq!(explain(&host, &["signtext", "--user", &ben])["permitted"], "depends");
    assert_eq!(explain(&host, &["signtext", "--user", "root"])["permitted"], "nothing");
    assert_eq!(explain(&host, &["other", "--user", "0"])["permitted"], "all");

    let words = host.install.cli(["policy", "explain", "signtext", "--user", &ann]).run().success();
    assert!(
        words.starts_with(&format!("signtext: uid {ANN} may have the token\nyes      {{ user = {ANN} }}\n")),
        "{words}"
    );
}

#[test]
fn a_process_is_explained_as_the_kernel_shows_it() {
    let host = Host::new("", &[("signtext", "{ user = 0 }, { unit = \"signer.service\" }")]);
    let this = std::process::id();
    let explained = explain(&host, &["signtext", "--pid", &this.to_string()]);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    let uid: u64 = uid.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert_eq!((&explained["pid"], &explained["uid"]), (&this.into(), &uid.into()));
    assert_eq!(explained["permitted"], if uid == 0 { "all" } else { "nothing" });
    assert_eq!(explained["rules"][1]["holds"], "no");
}

#[test]
fn who_is_not_there_and_what_is_not_asked_right_is_refused() {
    let host = Host::new("", &[("signtext", "")]);
    let explain = |arguments: &[&str]| host.install.cli([&["policy", "explain"], arguments].concat()).run();
    // The largest number that a process can have is less.
    explain(&["signtext", "--pid", "4194305"])
        .refused(1, &["error: there is no process 4194305\n", "hint: "]);
    explain(&["signtext", "--user", "no-such-user"])
        .refused(1, &["user \"no-such-user\" is not known on this host"]);
    explain(&["sigtext", "--user", "root"])
        .refused(4, &["there is no client \"sigtext\"", "did you mean signtext?"]);
    explain(&["signtext"]).refused(2, &["--pid"]);
    explain(&["signtext", "--pid", "1", "--user", "root"]).refused(2, &["cannot be used with"]);
}

#[test]
fn only_administrators_ask_even_about_themselves() {
    let rule = format!("{{ user = {ANN} }}");
    let Some(host) = Host::for_other_users(&[("signtext", &rule)]) else { return };
    let words = "error: only an administrator of the broker may do this\n";
    for client in ["signtext", "sigtext"] {
        host.by(ANN, &["policy", "explain", client, "--user", &ANN.to_string()]).run().refused(4, &[words]);
    }
}
