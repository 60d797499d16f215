//! Callers that would fill the log: they have a budget, and what is beyond it is summed up.

use tokenbroker_protocol::{CONNECTION, Response};
use tokenbroker_testkit::{Wire, require_or_skip, root, wait_until};

use crate::{ANN, Host, SOON, get, of, token};

/// How many denials a user may cause at once, and a bit for those that a slow test has time for.
const AT_ONCE: usize = 100;

#[test]
fn s10_beyond_its_budget_a_caller_is_summed_up_and_what_others_do_is_not() {
    let host = Host::new();
    let mut wire = host.greeted();
    let asked = 1000;
    for number in 0..asked {
        wire.ask(1, get(&format!("client-{number}")));
        assert!(matches!(wire.reply().unwrap().response, Response::Failed(_)));
    }
    token(&mut wire);
    if require_or_skip("callers of other users", root()) {
        host.install.open_to_other_users();
        host.install.cli(["get", "app"]).as_user(ANN, ANN).run().expect(4);
        wait_until(SOON, || of(host.records(), "denied").iter().any(|record| record["uid"] == ANN));
    }
    let own = rustix::process::geteuid().as_raw();
    let denied = || of(host.records(), "denied").iter().filter(|record| record["uid"] == own).count();
    let more = || {
        let more = of(host.records(), "more");
        assert!(more.iter().all(|record| record["uid"] == own && record["of"] == "denied"), "{more:?}");
        more.iter().map(|record| usize::try_from(record["count"].as_u64().unwrap()).unwrap()).sum::<usize>()
    };
    wait_until(SOON, || denied() + more() == asked);
    assert!((AT_ONCE..AT_ONCE * 3).contains(&denied()), "{}", denied());
    host.wait_for("token", 1);
}

#[test]
fn s10_connections_beyond_the_quota_are_written_down_within_a_budget() {
    let host = Host::with("max_connections_per_uid = 2");
    let held = [host.greeted(), host.greeted()];
    for _ in 0..300 {
        let mut refused = Wire::connect(&host.install.socket());
        refused.daemon_hello();
        assert_eq!(refused.reply().unwrap().id, CONNECTION);
    }
    drop(held);
    wait_until(SOON, || !of(host.records(), "more").is_empty());
    let refused = of(host.records(), "connection_refused");
    assert!((AT_ONCE..AT_ONCE * 3).contains(&refused.len()), "{}", refused.len());
    assert_eq!(refused[0]["reason"], "too_many_connections");
}

#[test]
fn s61_what_very_many_connections_ask_for_is_not_held() {
    const CONNECTIONS: usize = 200;
    const NAMES: usize = 70;

    let host = Host::new();
    let mut wires: Vec<_> = (0..CONNECTIONS).map(|_| host.greeted()).collect();
    let ask = |wires: &mut [Wire], names: std::ops::Range<usize>| {
        for (connection, wire) in wires.iter_mut().enumerate() {
            for name in names.clone() {
                wire.ask(1, get(&format!("{connection}-{name}-{}", "x".repeat(4000))));
                assert!(matches!(wire.reply().unwrap().response, Response::Failed(_)));
            }
        }
    };
    // What connections take for themselves is taken by then.
    ask(&mut wires, 0..1);
    let before = resident(host.daemon.pid());
    ask(&mut wires, 1..NAMES);
    let grown = resident(host.daemon.pid()).saturating_sub(before);
    assert!(grown < MOST_HELD, "{grown} KiB for {CONNECTIONS} connections that asked for {NAMES} names each");
}

/// In KiB: 64 marks for each connection, and what all share. The names alone are 56 MB.
const MOST_HELD: u64 = 3 * 1024;

/// What of a process is in memory, in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
