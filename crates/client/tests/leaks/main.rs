//! Brokers that come and go leave nothing behind. In a program of its own, whose threads and descriptors can be counted.
#![cfg(all(feature = "tokio", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic, too")]

#[path = "../broker/fake.rs"]
#[expect(dead_code, reason = "it can do more than is needed here")]
mod fake;

use std::fs;

use fake::{Place, Reaction, token, until};
use tokenbroker_client::blocking::Broker;

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn keepers() -> usize {
    let is_keeper = |task: &fs::DirEntry| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "tokenbroker")
    };
    fs::read_dir("/proc/self/task").unwrap().flatten().filter(is_keeper).count()
}

#[test]
fn a_thousand_brokers_leave_no_thread_and_no_descriptor() {
    let place = Place::new();
    let daemon = place.start(|_| Reaction::Answer(token("eyJ")));
    let make = || {
        let broker = Broker::builder().socket(place.socket()).build();
        broker.token("x").unwrap();
        broker.token("x").unwrap();
        broker
    };
    let first = make();
    until(|| daemon.subscribers() == 1);
    assert_eq!(keepers(), 1);
    drop(first);
    until(|| keepers() == 0 && daemon.subscribers() == 0);
    let before = descriptors();
    for round in 0..20 {
        let brokers: Vec<_> = (0..50).map(|_| make()).collect();
        // Some are dropped while their threads connect.
        if round % 2 == 0 {
            until(|| daemon.subscribers() == brokers.len());
        }
    }
    until(|| keepers() == 0 && daemon.subscribers() == 0 && descriptors() <= before);
}
