//! Callers that want everything: each user has a quota, and the others don't notice.

use std::time::Duration;

use tokenbroker_protocol::{CONNECTION, Command, FailureCode, GetToken, Response};
use tokenbroker_testkit::wire::request;
use tokenbroker_testkit::{
    Client, Crowd, Fault, Wire, configuration, programs, require_or_skip, root, wait_until,
};

use crate::Host;

const CONNECTIONS: usize = 8;

const SOON: Duration = Duration::from_secs(20);

/// Somebody other than the tests' user.
const ANN: u32 = 2001;

fn host() -> Host {
    Host::with(&format!("max_connections_per_uid = {CONNECTIONS}"))
}

/// The daemon's last word on a connection.
#[track_caller]
fn expect_too_much(mut wire: Wire) -> String {
    let reply = wire.reply().unwrap();
    assert_eq!(reply.id, CONNECTION);
    let Response::Failed(failure) = reply.response else { panic!("{:?}", reply.response) };
    assert_eq!(failure.code, FailureCode::TooMuch);
    assert!(failure.hint.unwrap().contains("max_connections_per_uid"));
    wire.expect_closed();
    failure.message
}

fn get_of(client: &str) -> Command {
    Command::GetToken(GetToken { client: client.into(), ..GetToken::default() })
}

#[test]
fn s10_connections_beyond_the_quota_are_refused_in_words_and_another_user_is_served() {
    let host = host();
    let mut held: Vec<Wire> = (0..CONNECTIONS).map(|_| host.greeted()).collect();
    for _ in 0..50 {
        let mut refused = host.dial();
        assert_eq!(refused.daemon_hello().version, Some(1));
        let words = expect_too_much(refused);
        assert!(words.contains(&format!("has {CONNECTIONS} connections")), "{words}");
    }
    // Those that are there are served on.
    for wire in &mut held {
        wire.ask(1, get_of("app"));
        assert!(matches!(wire.reply().unwrap().response, Response::Token(_)));
    }
    if require_or_skip("callers of other users", root()) {
        host.install.open_to_other_users();
        // Not one of those who may have it; but it is told so.
        host.install.cli(["get", "app"]).as_user(ANN, ANN).run().expect(4);
    }
    held.pop();
    wait_until(SOON, || host.install.cli(["get", "app"]).run().code == 0);
    drop(held);
    host.expect_well();
}

#[test]
fn s10_many_users_together_leave_room_for_others_and_for_root() {
    let needed = root().and_then(|()| programs(&["python3"]));
    if !require_or_skip("callers of other users", needed) {
        return;
    }
    let mut host = Host::with("max_connections_per_uid = 1024");
    host.restart_under(&["sh", "-c", "ulimit -n 400; exec \"$@\"", "sh"]);
    host.install.open_to_other_users();
    // Three quarters of the descriptors for whoever comes first, then sixteen for everybody else, up to seven eighths.
    let crowds = [(ANN, 320), (2002, 20), (2003, 20), (2004, 20), (2005, 20)];
    let crowds = crowds.map(|(uid, wanted)| Crowd::of(&host.install.socket(), uid, wanted));
    assert_eq!(crowds.each_ref().map(Crowd::served), [300, 16, 16, 16, 2]);
    host.install.cli(["get", "app"]).run().success();
    drop(crowds);
    wait_until(SOON, || Crowd::of(&host.install.socket(), 2003, 10).served() == 10);
    host.expect_well();
}

#[test]
fn s10_requests_under_way_have_a_quota_over_all_connections_of_a_user() {
    let host = host();
    host.server.set_fault(Fault::Hang);
    let mut wires: Vec<Wire> = (0..4).map(|_| host.greeted()).collect();
    let renewal = || Command::Renew { client: "app".into(), wait_ms: 60_000 };
    // 16 for each connection that there may be, and 64 on one connection.
    for wire in &mut wires[..2] {
        wire.send(&(1..=64).flat_map(|id| request(id, renewal())).collect::<Vec<_>>());
    }
    let beyond = || {
        let mut wire = host.greeted();
        wire.ask(7, renewal());
        wire.ask(8, Command::Ping);
        wire.reply().unwrap()
    };
    wait_until(SOON, || {
        let reply = beyond();
        matches!(&reply.response, Response::Failed(failure) if failure.code == FailureCode::TooMuch && reply.id == 7)
    });
    // What needs no waiting is answered all the same.
    wires[2].ask(1, get_of("app"));
    assert!(matches!(wires[2].reply().unwrap().response, Response::Token(_)));
    drop(wires);
    wait_until(SOON, || beyond().id == 8);
    host.expect_well();
}

#[test]
fn s61_bytes_that_are_held_for_a_user_have_a_quota() {
    let host = host();
    let mut wires: Vec<Wire> = (0..CONNECTIONS).map(|_| host.greeted()).collect();
    // Each announces a long frame and sends all but its last byte: the daemon has to hold it.
    let mut frame = request(1, Command::Renew { client: "x".repeat(60_000), wait_ms: 0 });
    frame.pop();
    wires.iter_mut().for_each(|wire| wire.send(&frame));
    let mut refused = 0;
    for mut wire in wires {
        // Those that fit are closed for being slow.
        if wire.reply().is_some_and(|reply| reply.id == CONNECTION) {
            refused += 1;
        }
    }
    // 16 KiB for each connection that there may be: room for two of 64 KiB, less what the others hold.
    assert!((CONNECTIONS - 2..CONNECTIONS).contains(&refused), "{refused} were refused");
    host.expect_well();
}

#[test]
fn further_requests_are_read_when_one_under_way_is_done() {
    let host = Host::with("max_requests_per_connection = 2");
    host.server.set_fault(Fault::Hang);
    let mut wire = host.greeted();
    for id in 1..=2 {
        wire.ask(id, Command::Renew { client: "app".into(), wait_ms: 500 });
    }
    wire.ask(3, Command::Ping);
    let ids: Vec<u32> = (0..3).map(|_| wire.reply().unwrap().id).collect();
    assert_ne!(ids[0], 3, "it was read before one of the two was done: {ids:?}");
    host.expect_well();
}

#[test]
fn s12_a_caller_that_leaves_with_all_that_it_may_have_under_way_is_noticed() {
    let slow = configuration::client("slow", "as", "client_secret_post");
    let limits = format!("max_requests_per_connection = 2\nmax_connections_per_uid = {CONNECTIONS}");
    let host = Host::with(&format!("{limits}\n{slow}"));
    host.server.set_fault(Fault::Hang);
    host.install.cli(["secret", "set", "slow"]).stdin("secret").run().success();
    let mut wires: Vec<Wire> = (0..CONNECTIONS).map(|_| host.greeted()).collect();
    for wire in &mut wires {
        let get = || GetToken { client: "slow".into(), wait_ms: Some(3_600_000), ..GetToken::default() };
        let get = |id| request(id, Command::GetToken(get()));
        wire.send(&[get(1), get(2), request(3, Command::Ping)].concat());
    }
    drop(wires);
    wait_until(SOON, || host.install.cli(["get", "app"]).run().code == 0);
    host.expect_well();
}

#[test]
fn s61_what_subscriptions_are_to_counts_as_held() {
    let part = configuration::client("part", "as", "client_secret_post");
    let host = Host::with(&format!("max_connections_per_uid = 4\n{part}scope = \"read\""));
    host.server.register(Client::secret_post("part", "secret"));
    host.install.cli(["secret", "set", "part"]).stdin("secret").run().success();
    host.install.cli(["get", "part"]).run().success();
    let mut wire = host.greeted();
    // Asks for what is configured, at length.
    let scope = "read ".repeat(6_000);
    let subscribe = || {
        Command::Subscribe(GetToken {
            client: "part".into(),
            scope: Some(scope.clone()),
            ..GetToken::default()
        })
    };
    let mut refused = 0;
    for id in 1..=4 {
        wire.ask(id, subscribe());
        if let Response::Failed(failure) = wire.reply().unwrap().response {
            assert_eq!(failure.code, FailureCode::TooMuch);
            refused += 1;
        }
    }
    // 16 KiB for each connection that there may be: room for one of 30 KB besides what it takes to read it.
    assert_eq!(refused, 3);
    wire.ask(5, Command::Cancel { id: 1 });
    assert_eq!(wire.reply().unwrap().response, Response::Done);
    wire.ask(6, subscribe());
    assert!(matches!(wire.reply().unwrap().response, Response::Token(_)));
    host.expect_well();
}

#[test]
fn s61_replies_that_are_left_unread_count_as_held() {
    let host = host();
    host.server.set_fault(Fault::Edited(|reply| {
        reply.insert("access_token".into(), "x".repeat(20_000).into());
    }));
    host.install.cli(["renew", "app"]).run().success();
    let pipelined = request(1, get_of("app")).repeat(1_000);
    let mut wires: Vec<Wire> = (0..CONNECTIONS).map(|_| host.greeted()).collect();
    std::thread::scope(|scope| {
        for wire in &mut wires {
            scope.spawn(|| wire.send_for_as_long_as_it_takes(&pipelined));
        }
    });
    assert!(
        host.daemon.log().contains("bytes with the daemon, and can't have more"),
        "{}",
        host.daemon.log()
    );
    drop(wires);
    wait_until(SOON, || host.install.cli(["get", "app"]).run().code == 0);
    host.expect_well();
}
