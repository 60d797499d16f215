//! Calls of both kinds of broker against a daemon that behaves well, badly, or not at all.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::caller::Caller;
#[cfg(unix)]
use crate::fake::until;
use crate::fake::{Place, Reaction, failed, now, token};
use tokenbroker_client::protocol::{Command, FailureCode, GetToken, Rejected, Response};
use tokenbroker_client::{Broker, Builder, Error, ProtocolError, TokenRequest, blocking};

const SECOND: Duration = Duration::from_secs(1);

fn waiting(seconds: u64) -> TokenRequest {
    TokenRequest::new("x").wait(Duration::from_secs(seconds))
}

#[test]
fn warm_gets_share_one_connection() {
    for index in 0..2 {
        let place = Place::new();
        let daemon = place.start(|_| Reaction::Answer(token("eyJ")));
        let caller = Caller::both(&place.socket())[index].clone();
        for _ in 0..100 {
            let token = caller.token("signtext").unwrap();
            assert_eq!((token.value(), token.scope()), ("eyJ", Some("signtext_api")));
            assert_eq!((token.generation(), token.min_ttl_met()), (3, true));
        }
        assert_eq!(daemon.connections(), 1);
    }
}

// A pipe takes one caller at a time: of hundreds at once some find it busy.
#[cfg(unix)]
#[test]
fn s10_thousands_of_callers_at_once_share_some_connections_and_all_get_their_tokens() {
    const CALLERS: usize = 2_000;
    let place = Place::new();
    let _daemon = place.start(|_| Reaction::Answer(token("eyJ")));
    for caller in Caller::both(&place.socket()) {
        let got = match &caller {
            Caller::Blocking(broker) => std::thread::scope(|scope| {
                let calls: Vec<_> = (0..CALLERS).map(|_| scope.spawn(|| broker.token("x"))).collect();
                calls.into_iter().map(|call| call.join().unwrap().is_ok()).collect::<Vec<_>>()
            }),
            Caller::Async(runtime, broker) => runtime.block_on(async {
                let mut calls = tokio::task::JoinSet::new();
                for _ in 0..CALLERS {
                    let broker = broker.clone();
                    calls.spawn(async move { broker.token("x").await.is_ok() });
                }
                calls.join_all().await
            }),
        };
        assert_eq!(got.iter().filter(|got| **got).count(), CALLERS);
    }
}

#[cfg(unix)]
#[test]
fn s10_a_call_waits_for_its_turn_and_what_it_waited_is_gone_of_its_time() {
    const AT_ONCE: usize = 256;
    for index in 0..2 {
        let place = Place::new();
        let daemon = place.start(|command| match command {
            Command::GetToken(get) if get.client == "x" => Reaction::Answer(token("eyJ")),
            _ => Reaction::Silence,
        });
        // Each gives up after five seconds.
        let slow = TokenRequest::new("slow").wait(3 * SECOND);
        let got = match &Caller::both(&place.socket())[index] {
            Caller::Blocking(broker) => std::thread::scope(|scope| {
                for _ in 0..AT_ONCE {
                    scope.spawn(|| broker.token_with(&slow));
                }
                until(|| daemon.connections() == AT_ONCE);
                broker.token_with(&waiting(30))
            }),
            Caller::Async(runtime, broker) => runtime.block_on(async {
                for _ in 0..AT_ONCE {
                    let (broker, slow) = (broker.clone(), slow.clone());
                    tokio::spawn(async move { broker.token_with(&slow).await });
                }
                while daemon.connections() < AT_ONCE {
                    tokio::task::yield_now().await;
                }
                broker.token_with(&waiting(30)).await
            }),
        };
        assert_eq!(got.unwrap().value(), "eyJ");
        let asked = daemon.asked();
        let wait = asked.iter().find_map(|command| match command {
            Command::GetToken(get) if get.client == "x" => get.wait_ms,
            _ => None,
        });
        assert!(wait.unwrap() < 29_500, "{wait:?}");
    }
}

#[test]
fn a_large_token_arrives_whole() {
    let place = Place::new();
    let large = "t".repeat(tokenbroker_client::protocol::MAX_TOKEN);
    let sent = large.clone();
    let _daemon = place.start(move |_| Reaction::Answer(token(&sent)));
    for caller in Caller::both(&place.socket()) {
        for _ in 0..3 {
            assert!(caller.token("x").unwrap().value() == large);
        }
    }
}

#[test]
fn s69_a_restart_between_two_calls_goes_unnoticed() {
    for index in 0..2 {
        let place = Place::new();
        let caller = Caller::both(&place.socket())[index].clone();
        for name in ["one", "two", "three"] {
            let _daemon = place.start(move |_| Reaction::Answer(token(name)));
            assert_eq!(caller.token("x").unwrap().value(), name);
        }
    }
}

#[test]
fn s69_a_restart_in_the_middle_of_a_get_is_waited_for() {
    for index in 0..2 {
        let place = Place::new();
        let caller = Caller::both(&place.socket())[index].clone();
        let first = place.start(|_| Reaction::Silence);
        let call = std::thread::spawn(move || caller.token_with(&waiting(10)));
        first.was_asked(1);
        drop(first);
        let second = place.start(|_| Reaction::Answer(token("new")));
        assert_eq!(call.join().unwrap().unwrap().value(), "new");
        let Command::GetToken(get) = &second.asked()[0] else { panic!("{:?}", second.asked()) };
        assert!(get.wait_ms.is_some_and(|left| left < 10_000), "{get:?}");
    }
}

#[test]
fn s69_a_daemon_that_is_shutting_down_is_asked_again_on_a_new_connection() {
    for index in 0..2 {
        let place = Place::new();
        let told = AtomicBool::new(false);
        let daemon = place.start(move |_| match told.swap(true, Ordering::SeqCst) {
            false => Reaction::Answer(failed(FailureCode::ShuttingDown)),
            true => Reaction::Answer(token("new")),
        });
        let caller = Caller::both(&place.socket())[index].clone();
        assert_eq!(caller.token("x").unwrap().value(), "new");
        assert_eq!(daemon.connections(), 2);
    }
}

#[test]
fn a_daemon_that_hangs_up_on_everybody_is_an_error_in_the_end() {
    let place = Place::new();
    let daemon = place.start(|_| Reaction::HangUp);
    for caller in Caller::both(&place.socket()) {
        assert!(matches!(caller.token("x"), Err(Error::ConnectionLost { .. })));
    }
    assert_eq!(daemon.asked().len(), 12, "each was asked once and five times more");
}

#[test]
fn what_changes_something_is_sent_once() {
    let place = Place::new();
    let daemon = place.start(|_| Reaction::HangUp);
    for caller in Caller::both(&place.socket()) {
        let lost = caller.request(Command::Reload, 10 * SECOND).unwrap_err();
        assert!(matches!(lost, Error::ConnectionLost { .. }), "{lost:?}");
    }
    assert_eq!(daemon.asked(), [Command::Reload, Command::Reload]);
}

#[test]
fn what_changes_something_is_sent_to_the_daemon_that_is_there_now() {
    for index in 0..2 {
        let place = Place::new();
        let caller = Caller::both(&place.socket())[index].clone();
        let first = place.start(|_| Reaction::Answer(Response::Done));
        caller.request(Command::Reload, 10 * SECOND).unwrap();
        drop(first);
        let second = place.start(|_| Reaction::Answer(Response::Done));
        assert_eq!(caller.request(Command::Reload, 10 * SECOND).unwrap(), Response::Done);
        assert_eq!(second.asked(), [Command::Reload]);
    }
}

#[test]
fn without_a_wait_an_absent_daemon_is_an_error_at_once() {
    let place = Place::new();
    for caller in Caller::both(&place.socket()) {
        let started = now();
        let Err(Error::NoDaemon { tried }) = caller.token("x") else { panic!("nobody is there") };
        assert_eq!(tried[0].socket, place.socket());
        assert_eq!(tried[0].source.kind(), std::io::ErrorKind::NotFound);
        assert!(started.elapsed() < SECOND, "{:?}", started.elapsed());
    }
}

#[test]
fn a_wait_covers_an_absent_daemon_and_ends() {
    let place = Place::new();
    for caller in Caller::both(&place.socket()) {
        let started = now();
        let request = TokenRequest::new("x").wait(Duration::from_millis(300));
        assert!(matches!(caller.token_with(&request), Err(Error::NoDaemon { .. })));
        assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    }
}

#[test]
fn a_wait_covers_a_daemon_that_comes_later() {
    for index in 0..2 {
        let place = Place::new();
        let caller = Caller::both(&place.socket())[index].clone();
        let call = std::thread::spawn(move || caller.token_with(&waiting(30)));
        let _daemon = place.start(|_| Reaction::Answer(token("late")));
        assert_eq!(call.join().unwrap().unwrap().value(), "late");
    }
}

#[test]
fn connecting_without_a_daemon_is_an_error_and_a_lazy_broker_is_none() {
    let place = Place::new();
    assert!(matches!(
        blocking::Broker::builder().socket(place.socket()).connect(),
        Err(Error::NoDaemon { .. })
    ));
    let lazy = blocking::Broker::builder().socket(place.socket()).build();
    let daemon = place.start(|_| Reaction::Answer(token("eyJ")));
    let eager = blocking::Broker::builder().socket(place.socket()).connect().unwrap();
    lazy.token("x").unwrap();
    eager.token("x").unwrap();
    assert_eq!(daemon.connections(), 2);
}

#[test]
fn s01_denied_is_handed_on_with_words_hint_and_next_try_and_the_connection_is_kept() {
    for index in 0..2 {
        let place = Place::new();
        let daemon = place.start(|_| Reaction::Answer(failed(FailureCode::Denied)));
        let caller = Caller::both(&place.socket())[index].clone();
        for _ in 0..3 {
            let error = caller.token("x").unwrap_err();
            assert_eq!(error.code(), Some(FailureCode::Denied));
            assert_eq!(error.to_string(), "it can not be had");
            assert_eq!(error.hint(), Some("ask somebody else"));
            assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
        }
        assert_eq!((daemon.connections(), daemon.asked().len()), (1, 3));
    }
}

#[test]
fn s68_a_daemon_of_other_versions_is_incompatible() {
    for version in [None, Some(999)] {
        let place = Place::new();
        let _daemon = place.start_speaking(version, |_| Reaction::Silence);
        for caller in Caller::both(&place.socket()) {
            let error = caller.token("x").unwrap_err();
            assert!(matches!(error, Error::Incompatible), "{error:?}");
            assert!(error.hint().is_some());
        }
    }
}

#[test]
fn s07_an_answer_that_makes_no_sense_is_a_typed_error_and_ends_the_connection() {
    for index in 0..2 {
        let place = Place::new();
        let count = AtomicUsize::new(0);
        let daemon = place.start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
            0 => Reaction::Bytes(vec![2, 0, 0, 0, 0xff, 0xff]),
            1 => Reaction::Bytes(vec![0xff; 4]),
            2 => Reaction::AnswerAnother(token("wrong")),
            3 => Reaction::Answer(Response::Done),
            _ => Reaction::Answer(token("right")),
        });
        let caller = Caller::both(&place.socket())[index].clone();
        let error = || match caller.token("x") {
            Err(Error::Protocol(error)) => error,
            other => panic!("{other:?}"),
        };
        assert!(matches!(error(), ProtocolError::Malformed(_)));
        assert!(matches!(error(), ProtocolError::Oversize(_)));
        assert!(matches!(error(), ProtocolError::OtherRequest));
        assert!(matches!(error(), ProtocolError::OtherResponse));
        assert_eq!(caller.token("x").unwrap().value(), "right");
        assert_eq!(daemon.connections(), 4, "a well-formed answer leaves the connection usable");
    }
}

#[test]
fn a_hung_daemon_is_given_up_and_its_late_answer_goes_to_nobody() {
    for index in 0..2 {
        let place = Place::new();
        let count = AtomicUsize::new(0);
        let daemon = place.start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
            0 => Reaction::Silence,
            _ => Reaction::Answer(token("right")),
        });
        let caller = Caller::both(&place.socket())[index].clone();
        let started = now();
        let error = caller.request(Command::Ping, Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
        assert!((Duration::from_millis(200)..5 * SECOND).contains(&started.elapsed()));
        assert_eq!(caller.token("x").unwrap().value(), "right");
        assert_eq!(daemon.connections(), 2);
    }
}

#[test]
fn s08_an_answer_that_comes_a_byte_at_a_time_does_not_stretch_the_deadline() {
    let place = Place::new();
    let _daemon = place.start(|_| Reaction::Trickle);
    for caller in Caller::both(&place.socket()) {
        let started = now();
        let error = caller.request(Command::Ping, Duration::from_millis(300)).unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
        assert!((Duration::from_millis(300)..5 * SECOND).contains(&started.elapsed()));
    }
}

#[test]
fn a_get_ends_two_seconds_after_its_wait() {
    let place = Place::new();
    let _daemon = place.start(|_| Reaction::Silence);
    for caller in Caller::both(&place.socket()) {
        let started = now();
        let request = TokenRequest::new("x").wait(Duration::ZERO);
        assert!(matches!(caller.token_with(&request), Err(Error::TimedOut { .. })));
        assert!((2 * SECOND..10 * SECOND).contains(&started.elapsed()), "{:?}", started.elapsed());
    }
}

#[test]
fn a_slow_get_is_not_in_the_way_of_others() {
    let place = Place::new();
    let daemon = place.start(|command| match command {
        Command::GetToken(get) if get.client == "slow" => Reaction::Silence,
        _ => Reaction::Answer(token("fast")),
    });
    let broker = blocking::Broker::builder().socket(place.socket()).cache(false).build();
    let slow = std::thread::spawn({
        let broker = broker.clone();
        move || broker.token("slow")
    });
    daemon.was_asked(1);
    for _ in 0..10 {
        assert_eq!(broker.token("fast").unwrap().value(), "fast");
    }
    assert_eq!(daemon.connections(), 2);
    drop(daemon);
    assert!(matches!(slow.join().unwrap(), Err(Error::NoDaemon { .. })));
}

#[test]
fn a_request_that_does_not_fit_a_frame_is_not_sent() {
    let place = Place::new();
    let daemon = place.start(|_| Reaction::Answer(token("eyJ")));
    for caller in Caller::both(&place.socket()) {
        let huge = "x".repeat(tokenbroker_client::protocol::MAX_FRAME);
        assert!(matches!(caller.token(&huge), Err(Error::Unsendable(_))));
    }
    assert_eq!(daemon.asked(), []);
}

/// What a daemon was asked: to get, or to take back.
fn words(asked: &[Command]) -> Vec<&'static str> {
    let word = |command: &Command| match command {
        Command::GetToken(_) => "get",
        Command::Rejected(_) => "rejected",
        _ => "other",
    };
    asked.iter().map(word).collect()
}

#[test]
fn s46_a_rejected_token_is_reported_by_handle_and_generation() {
    let place = Place::new();
    let daemon = place.start(|command| match command {
        Command::Rejected(_) => Reaction::Answer(token("newer")),
        _ => Reaction::Answer(token("old")),
    });
    for caller in Caller::both(&place.socket()) {
        let old = caller.token_with(&waiting(3)).unwrap();
        assert_eq!((old.client(), caller.rejected(&old).unwrap().value()), ("x", "newer"));
        let reported = Rejected { handle: 1, generation: 3, wait_ms: Some(3_000) };
        assert_eq!(daemon.asked().last(), Some(&Command::Rejected(reported)));
    }
}

#[test]
fn s46_why_there_is_no_newer_token_is_handed_on() {
    let place = Place::new();
    let _daemon = place.start(|command| match command {
        Command::Rejected(_) => Reaction::Answer(failed(FailureCode::NoToken)),
        _ => Reaction::Answer(token("old")),
    });
    for caller in Caller::both(&place.socket()) {
        let error = caller.rejected(&caller.token("x").unwrap()).unwrap_err();
        assert_eq!(error.code(), Some(FailureCode::NoToken));
        assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
    }
}

#[test]
fn s46_a_token_of_a_daemon_that_is_gone_is_asked_for_as_it_was_asked_for_then() {
    for index in 0..2 {
        let place = Place::new();
        let caller = Caller::both(&place.socket())[index].clone();
        let first = place.start(|_| Reaction::Answer(token("old")));
        let old = caller.token_with(&TokenRequest::new("x").scope("a").resource("urn:r")).unwrap();
        drop(first);
        place.another_instance();
        let second = place.start(|_| Reaction::Answer(token("new")));
        assert_eq!(caller.rejected(&old).unwrap().value(), "new");
        let asked = second.asked();
        let [Command::GetToken(get)] = &asked[..] else { panic!("{asked:?}") };
        let resource = vec!["urn:r".into()];
        // The attempt on the connection to the first has taken some of the time.
        let wait_ms = get.wait_ms;
        let as_then = GetToken {
            client: "x".into(),
            scope: Some("a".into()),
            resource,
            wait_ms,
            ..GetToken::default()
        };
        assert_eq!(*get, as_then);
    }
}

#[test]
fn s46_a_handle_that_the_daemon_does_not_know_is_forgotten() {
    for index in 0..2 {
        let place = Place::new();
        let given = AtomicUsize::new(0);
        let daemon = place.start(move |command| match command {
            Command::Rejected(_) => Reaction::Answer(failed(FailureCode::UnknownHandle)),
            _ => Reaction::Answer(token(["old", "new"][given.fetch_add(1, Ordering::SeqCst)])),
        });
        let caller = Caller::both(&place.socket())[index].clone();
        let old = caller.token("x").unwrap();
        assert_eq!(caller.rejected(&old).unwrap().value(), "new");
        assert_eq!(words(&daemon.asked()), ["get", "rejected", "get"]);
    }
}

#[test]
fn s46_a_token_that_outlived_the_daemon_is_reported_to_its_successor() {
    for index in 0..2 {
        let place = Place::new();
        let caller = Caller::both(&place.socket())[index].clone();
        let first = place.start(|_| Reaction::Answer(token("kept")));
        let kept = caller.token("x").unwrap();
        drop(first);
        place.another_instance();
        let second = place.start(|command| match command {
            Command::Rejected(_) => Reaction::Answer(token("new")),
            _ => Reaction::Answer(token("kept")),
        });
        assert_eq!(caller.rejected(&kept).unwrap().value(), "new");
        assert_eq!(words(&second.asked()), ["get", "rejected"]);
    }
}

#[test]
fn brokers_can_be_shared_between_threads_and_tasks() {
    fn shareable<T: Clone + Send + Sync + 'static>(_: Builder<T>) {}
    fn sendable<T: Send>(_: T) {}
    shareable(Broker::builder());
    shareable(blocking::Broker::builder());
    let broker = Broker::builder().build();
    sendable(broker.token("x"));
}
