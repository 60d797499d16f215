//! Who was denied what.

use tokenbroker_protocol::{Command, Response};
use tokenbroker_testkit::{require_or_skip, root};

use crate::{ANN, Host, get};

#[test]
fn s01_a_denial_is_written_down_and_tells_nothing_that_its_caller_could_see() {
    if !require_or_skip("callers of other users", root()) {
        return;
    }
    let host = Host::new();
    host.install.open_to_other_users();
    for client in ["app", "other"] {
        host.install.cli(["get", client]).as_user(ANN, ANN).run().refused(4, &["is not for this caller"]);
        host.install.cli(["status", client]).as_user(ANN, ANN).run().refused(4, &["is not for this caller"]);
    }
    let records = host.wait_for("denied", 4);
    for (record, (client, action)) in
        records.iter().zip([("app", "get"), ("app", "status"), ("other", "get"), ("other", "status")])
    {
        assert_eq!((&record["client"], &record["action"]), (&client.into(), &action.into()), "{record}");
        assert_eq!((&record["uid"], &record["gid"]), (&ANN.into(), &ANN.into()));
        assert_eq!(record["decision"], "denied");
    }
}

#[test]
fn s01_who_may_not_administer_is_written_down_with_what_was_tried() {
    if !require_or_skip("callers of other users", root()) {
        return;
    }
    let host = Host::new();
    host.install.open_to_other_users();
    host.install.cli(["secret", "set", "app"]).stdin("x").as_user(ANN, ANN).run().expect(4);
    let record = host.wait_for("denied", 1).remove(0);
    assert_eq!((&record["action"], &record["client"]), (&"secret set".into(), &"app".into()));
}

#[test]
fn what_a_caller_made_up_stands_escaped_and_cut() {
    let host = Host::new();
    let mut wire = host.greeted();
    for name in ["a\n\u{1b}[2J\u{202e}{\"event\":\"token\"}", &"x".repeat(60_000)] {
        wire.ask(1, get(name));
        assert!(matches!(wire.reply().unwrap().response, Response::Failed(_)));
    }
    let records = host.wait_for("denied", 2);
    assert_eq!(records[0]["client"], "a\\u{a}\\u{1b}[2J\\u{202e}{\"event\":\"token\"}");
    assert_eq!(records[1]["client"], format!("{}...", "x".repeat(64)));
    let text = std::fs::read_to_string(host.install.audit_log()).unwrap();
    assert!(text.chars().all(|character| matches!(character, ' '..='~' | '\n')), "{text:?}");
}

#[test]
fn a_denial_is_written_down_once_and_again_under_another_configuration() {
    let host = Host::new();
    let mut wire = host.greeted();
    let mut deny = |times| {
        for _ in 0..times {
            wire.ask(1, get("other"));
            assert!(matches!(wire.reply().unwrap().response, Response::Failed(_)));
        }
    };
    deny(100);
    host.install.cli(["reload"]).run().success();
    deny(100);
    host.wait_for("denied", 2);
}

#[test]
fn a_handle_that_is_not_for_the_caller_is_denied_like_one_that_there_is_not() {
    let host = Host::new();
    let mut wire = host.greeted();
    let rejected = tokenbroker_protocol::Rejected { handle: 77, generation: 1, wait_ms: Some(0) };
    wire.ask(1, Command::Rejected(rejected));
    assert!(matches!(wire.reply().unwrap().response, Response::Failed(_)));
    let record = host.wait_for("denied", 1).remove(0);
    assert_eq!(record["action"], "rejected");
}
