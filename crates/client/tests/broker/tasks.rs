//! What only tasks do: drop their calls, and outlive runtimes.

use std::time::Duration;

use crate::fake::{FakeDaemon, Place, Reaction, token};
use tokenbroker_client::Broker;
use tokenbroker_client::protocol::Command;

fn place_with_a_slow_client() -> (Place, FakeDaemon) {
    let place = Place::new();
    let daemon = place.start(|command| match command {
        Command::GetToken(get) if get.client == "slow" => Reaction::Silence,
        _ => Reaction::Answer(token("fast")),
    });
    (place, daemon)
}

#[tokio::test]
async fn a_dropped_call_drops_its_connection_and_nothing_else() {
    let (place, daemon) = place_with_a_slow_client();
    let broker = Broker::builder().socket(place.socket()).cache(false).connect().await.unwrap();
    assert_eq!(daemon.connections(), 1);

    let dropped = tokio::time::timeout(Duration::from_millis(50), broker.token("slow")).await;
    assert!(dropped.is_err());
    daemon.was_asked(1);
    for _ in 0..3 {
        assert_eq!(broker.token("fast").await.unwrap().value(), "fast");
    }
    assert_eq!(daemon.connections(), 2, "one for the dropped call, one for all later ones");
}

#[tokio::test]
async fn a_slow_get_is_not_in_the_way_of_other_tasks() {
    let (place, daemon) = place_with_a_slow_client();
    let broker = Broker::builder().socket(place.socket()).cache(false).build();
    let slow = tokio::spawn({
        let broker = broker.clone();
        async move { broker.token("slow").await }
    });
    let fast: Vec<_> = (0..20)
        .map(|_| {
            let broker = broker.clone();
            tokio::spawn(async move { broker.token("fast").await })
        })
        .collect();
    for task in fast {
        assert_eq!(task.await.unwrap().unwrap().value(), "fast");
    }
    assert!(!slow.is_finished());
    slow.abort();
    drop(daemon);
}

#[test]
fn a_broker_outlives_the_runtime_that_made_its_connections() {
    let (place, daemon) = place_with_a_slow_client();
    let broker = Broker::builder().socket(place.socket()).cache(false).build();
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(runtime.block_on(broker.token("fast")).unwrap().value(), "fast");
    }
    assert_eq!(daemon.asked().len(), 3);
}
