//! Callers in namespaces of their own, as those in containers are.

use tokenbroker_testkit::{AuthServer, Install, programs, require_or_skip, root};

use crate::{ANN, BEN, Host};

/// A daemon in new namespaces, seen from outside of which callers have other numbers, or none.
fn host_in(namespaces: &[&str], rules: &str) -> Option<Host> {
    let available = root().and_then(|()| programs(&["unshare"]));
    if !require_or_skip("namespaces", available) {
        return None;
    }
    let (server, install) = (AuthServer::start(), Install::new());
    let clients = [("signtext", rules)];
    install.config(&Host::configuration(&server, "", &clients));
    let wrapper = [&["unshare"], namespaces, &["--"]].concat();
    let host = Host { daemon: install.start_under(&wrapper), server, install };
    host.install.open_to_other_users();
    host.set_secrets(&clients);
    Some(host)
}

#[test]
fn s78_a_caller_in_another_pid_namespace_counts_by_user_and_group_and_not_by_unit() {
    let rules = format!("{{ user = {ANN} }}, {{ user = {BEN}, unit = \"init.scope\" }}, {{ user = 0 }}");
    let Some(host) = host_in(&["--pid", "--fork", "--kill-child", "--mount-proc"], &rules) else { return };
    host.by(ANN, &["get", "signtext"]).run().success();
    host.by(BEN, &["get", "signtext"]).run().refused(4, &["is not for this caller, or does not exist"]);
}

#[test]
fn s78_a_caller_without_an_id_here_is_denied_whatever_the_rules() {
    // Root's number is the only one in there; ann has 65534, with a main group that a rule names.
    let Some(host) = host_in(&["--user", "--map-root-user"], "{ group = 0 }, { user = 0 }") else { return };
    host.install.cli(["get", "signtext"]).run().success();
    host.install
        .cli(["get", "signtext"])
        .as_user(ANN, 0)
        .run()
        .refused(4, &["is not for this caller, or does not exist"]);
}
