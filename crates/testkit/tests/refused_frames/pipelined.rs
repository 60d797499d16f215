//! Requests without waiting for the replies: each reply carries the id of its request.

use std::collections::BTreeMap;
use std::io::Write;
use std::thread;
use std::time::Duration;

use tokenbroker_protocol::{Command, FailureCode, GetToken, Reply, Response};
use tokenbroker_testkit::wire::request;
use tokenbroker_testkit::{Fault, wait_for};

use crate::Host;

#[test]
fn pipelined_requests_are_answered_with_their_ids() {
    let host = Host::new();
    let mut wire = host.greeted();
    let commands = |id: u32| match id % 4 {
        0 => Command::Ping,
        1 => get("app"),
        2 => get("nobody"),
        _ => Command::Status { client: None, after: None },
    };
    let ids = 1000..1200;
    wire.send(&ids.clone().flat_map(|id| request(id, commands(id))).collect::<Vec<_>>());

    let replies: BTreeMap<u32, Response> =
        ids.clone().map(|_| wire.reply().unwrap()).map(|Reply { id, response }| (id, response)).collect();
    assert_eq!(replies.len(), ids.len(), "each was answered once");
    for (id, response) in replies {
        let fits = match id % 4 {
            0 => response == Response::Done,
            1 => matches!(response, Response::Token(_)),
            2 => matches!(&response, Response::Failed(failure) if failure.code == FailureCode::UnknownClient),
            _ => matches!(&response, Response::Status(page) if page.clients[0].client == "app"),
        };
        assert!(ids.contains(&id) && fits, "{id}: {response:?}");
    }
    host.expect_well();
}

#[test]
fn a_request_that_takes_long_does_not_hold_up_the_next() {
    let host = Host::new();
    host.server.set_fault(Fault::Hang);
    let mut wire = host.greeted();
    wire.ask(1, Command::Renew { client: "app".into(), wait_ms: 1000 });
    wire.ask(2, Command::Ping);
    wire.ask(3, get("app"));
    let ids: Vec<u32> = (0..3).map(|_| wire.reply().unwrap().id).collect();
    assert_eq!(ids, [2, 3, 1]);
    host.expect_well();
}

#[test]
fn a_caller_that_never_pauses_does_not_hold_up_the_end_of_the_daemon() {
    let mut host = Host::new();
    let mut wire = host.greeted();
    let mut writer = wire.try_clone().unwrap();
    let requests: Vec<u8> = (1..500).flat_map(|id| request(id, Command::Ping)).collect();
    let pumping = thread::spawn(move || while writer.write_all(&requests).is_ok() {});
    // Replies are read as fast as they come, so that there is always the next request.
    (0..10_000).for_each(|_| assert!(wire.reply().is_some()));
    let draining =
        thread::spawn(
            move || {
                while wire.reply_within(Duration::from_secs(10)).is_ok_and(|reply| reply.is_some()) {}
            },
        );
    host.daemon.signal(rustix::process::Signal::TERM);
    wait_for(Duration::from_secs(20), || (!host.daemon.is_running()).then_some(())).unwrap();
    assert!(!host.daemon.log().contains("did not finish in time"), "{}", host.daemon.log());
    draining.join().unwrap();
    pumping.join().unwrap();
}

fn get(client: &str) -> Command {
    Command::GetToken(GetToken { client: client.into(), ..GetToken::default() })
}
