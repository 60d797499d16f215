//! What a reload can't change.

use tokenbroker_testkit::AuthServer;

use crate::{start, tables};

#[test]
fn a_change_that_takes_a_restart_is_refused_by_name_and_nothing_else_of_it_is_taken() {
    let server = AuthServer::start();
    let (install, daemon) = start(&server);
    let socket = install.path().join("run").join("other.sock");
    let state = install.path().join("other-state");
    for (daemon_keys, keystore, changed) in [
        (format!("socket = {socket:?}\nstate_dir = {:?}\n", install.state_dir()), "", "daemon.socket"),
        (format!("socket = {:?}\nstate_dir = {state:?}\n", install.socket()), "", "daemon.state_dir"),
        (
            format!("socket = {:?}\nstate_dir = {:?}\n", install.socket(), install.state_dir()),
            "key_file = \"/elsewhere/keystore.key\"\n",
            "keystore.key_file",
        ),
    ] {
        install.raw_config(&format!(
            "{}[daemon]\n{daemon_keys}[keystore]\nstore = \"encrypted-file\"\n{keystore}",
            tables(&server, &["app", "new"])
        ));
        install.cli(["reload"]).run().refused(
            1,
            &[
                &format!("error: changing {changed} takes a restart\n"),
                "hint: nothing was changed; restart tokenbrokerd to take the new configuration\n",
            ],
        );
        install.cli(["get", "new"]).run().refused(4, &["there is no client \"new\""]);
        install.cli(["get", "app"]).run().success();
    }
    assert!(daemon.log().contains("changing daemon.socket takes a restart"), "{}", daemon.log());
    assert!(!socket.exists() && !state.exists());
}
