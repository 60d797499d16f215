//! What administrators did, and what came of it.

use serde_json::Value;
use tokenbroker_protocol::Command;

use crate::Host;

fn said(record: &Value) -> (&str, Option<&str>, &str) {
    let text = |field: &str| record[field].as_str();
    (text("action").unwrap(), text("client"), text("outcome").unwrap())
}

#[test]
fn everything_is_written_down_with_its_outcome() {
    let host = Host::new();
    let cli = |arguments: &[&str]| host.install.cli(arguments).stdin("secret").run();
    cli(&["secret", "list"]).success();
    cli(&["key", "generate", "app"]).expect(1);
    cli(&["renew", "app"]).success();
    cli(&["reload"]).success();
    cli(&["renew", "nobody"]).expect(4);
    cli(&["secret", "move", "--to", "os-keyring"]);
    cli(&["doctor"]);
    cli(&["test", "app"]).success();
    cli(&["secret", "remove", "app"]).success();

    let records = host.wait_for("administration", 10);
    let said: Vec<_> = records.iter().map(said).collect();
    let (app, nobody) = (Some("app"), Some("nobody"));
    assert_eq!(
        said[..6],
        [
            ("secret set", app, "done"),
            ("secret list", None, "done"),
            ("key generate", app, "failed"),
            ("renew", app, "done"),
            ("reload", None, "done"),
            ("renew", nobody, "failed"),
        ]
    );
    assert_eq!((said[6].0, said[6].1), ("secret move", None));
    assert_eq!(said[7..], [("doctor", None, "done"), ("test", app, "done"), ("secret remove", app, "done")]);
    assert_eq!((&records[2]["code"], &records[5]["code"]), (&"refused".into(), &"unknown_client".into()));
    for record in &records {
        assert_eq!(record["uid"], rustix::process::geteuid().as_raw());
        assert!(record["pid"].is_u64());
    }
}

#[test]
fn a_reload_by_signal_is_nobodys_and_a_refused_one_is_said_to_be() {
    let host = Host::new();
    host.daemon.reload();
    let record = host.wait_for("administration", 2).remove(1);
    assert_eq!(said(&record), ("reload", None, "done"));
    assert!(record["uid"].is_null());

    host.install.raw_config("nonsense");
    host.daemon.reload();
    let record = host.wait_for("administration", 3).remove(2);
    assert_eq!(said(&record), ("reload", None, "failed"));
}

#[test]
fn whoever_leaves_in_the_middle_has_asked_all_the_same() {
    let host = Host::new();
    host.server.set_fault(tokenbroker_testkit::Fault::Hang);
    let mut wire = host.greeted();
    wire.ask(1, Command::Renew { client: "app".into(), wait_ms: 60_000 });
    // Answered while the renewal is under way: it was begun.
    wire.ask(2, Command::Ping);
    assert_eq!(wire.reply().unwrap().id, 2);
    drop(wire);
    let record = host.wait_for("administration", 2).remove(1);
    assert_eq!(said(&record), ("renew", Some("app"), "abandoned"));
}
