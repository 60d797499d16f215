//! Both kinds of broker with a cache, against a daemon that pushes, takes back, goes and comes again.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::caller::Caller;
use crate::fake::{FakeDaemon, Place, Reaction, failed, fresh, generation, token, until};
use tokenbroker_client::protocol::{Command, FailureCode, GetToken, Rejected, Response};
use tokenbroker_client::{Broker, Error, Token, TokenRequest};

/// A daemon that has "old" as the third generation.
fn start(place: &Place) -> FakeDaemon {
    place.start(|_| Reaction::Answer(token("old")))
}

/// The kinds of callers, each with a place of its own.
fn each(test: impl Fn(&Place, Caller)) {
    for index in 0..2 {
        let place = Place::new();
        let caller = Caller::both_cached(&place.socket())[index].clone();
        test(&place, caller);
    }
}

/// Gets until it takes no asking.
#[track_caller]
fn warm(caller: &Caller, daemon: &FakeDaemon) -> Token {
    let mut token = None;
    until(|| {
        let before = daemon.asked().len();
        token = Some(caller.token("x").unwrap());
        daemon.asked().len() == before
    });
    token.unwrap()
}

/// What is got without asking.
#[track_caller]
fn unasked(caller: &Caller, daemon: &FakeDaemon) -> String {
    let before = daemon.asked().len();
    let value = caller.token("x").unwrap().value().to_owned();
    assert_eq!(daemon.asked().len(), before, "{:?}", daemon.asked().last());
    value
}

fn subscription() -> Command {
    Command::Subscribe(GetToken { client: "x".into(), ..GetToken::default() })
}

#[test]
fn a_key_that_is_asked_for_twice_is_subscribed_to_and_then_costs_nothing() {
    each(|place, caller| {
        let daemon = start(place);
        caller.token("x").unwrap();
        assert_eq!(daemon.connections(), 1, "once is not often");
        warm(&caller, &daemon);
        for _ in 0..1000 {
            assert_eq!(unasked(&caller, &daemon), "old");
        }
        let subscriptions = daemon.asked().iter().filter(|asked| **asked == subscription()).count();
        assert_eq!((subscriptions, daemon.connections()), (1, 2));
    });
}

#[test]
fn a_broker_without_a_cache_asks_each_time() {
    let place = Place::new();
    let daemon = start(&place);
    for caller in Caller::both(&place.socket()) {
        for _ in 0..10 {
            caller.token("x").unwrap();
        }
    }
    assert!(daemon.asked().iter().all(|asked| matches!(asked, Command::GetToken(_))));
    assert_eq!(daemon.asked().len(), 20);
}

#[test]
fn a_push_is_seen_by_the_next_get() {
    each(|place, caller| {
        let daemon = start(place);
        warm(&caller, &daemon);
        for number in 4..20 {
            let value = format!("new-{number}");
            daemon.push("x", &generation(number, &value));
            until(|| unasked(&caller, &daemon) == value);
        }
    });
}

#[test]
fn each_key_has_its_own_token() {
    each(|place, caller| {
        let daemon = place.start(|command| match command {
            Command::GetToken(get) | Command::Subscribe(get) => {
                let scope = get.scope.as_deref().unwrap_or("all");
                Reaction::Answer(token(&format!("{}-{scope}", get.client)))
            }
            _ => Reaction::Silence,
        });
        let requests = ["x", "y"].map(TokenRequest::new);
        let narrowed = requests.clone().map(|request| request.scope("read"));
        for request in requests.iter().chain(&narrowed).cycle().take(40) {
            let scope = request.requested_scope().unwrap_or("all");
            let expected = format!("{}-{scope}", request.client());
            assert_eq!(caller.token_with(request).unwrap().value(), expected);
        }
        until(|| daemon.subscribers() == 4);
    });
}

#[test]
fn s55_what_is_taken_back_is_not_served_again() {
    each(|place, caller| {
        let taken_back = Arc::new(AtomicBool::new(false));
        let is_taken_back = Arc::clone(&taken_back);
        let daemon = place.start(move |_| match is_taken_back.load(Ordering::SeqCst) {
            false => Reaction::Answer(token("old")),
            true => Reaction::Answer(failed(FailureCode::Blocked)),
        });
        warm(&caller, &daemon);
        taken_back.store(true, Ordering::SeqCst);
        daemon.push("x", &Response::Withdrawn);
        until(|| caller.token("x").is_err());
        assert_eq!(caller.token("x").unwrap_err().code(), Some(FailureCode::Blocked));
        drop(daemon);
        let gone = caller.token("x").unwrap_err();
        assert!(matches!(gone, Error::NoDaemon { .. }), "{gone:?}");
    });
}

#[test]
fn s55_a_new_token_after_one_was_taken_back_is_served() {
    each(|place, caller| {
        let daemon = start(place);
        warm(&caller, &daemon);
        daemon.push("x", &Response::Withdrawn);
        daemon.push("x", &generation(4, "new"));
        until(|| caller.token("x").unwrap().value() == "new");
        assert_eq!(unasked(&caller, &daemon), "new");
    });
}

#[test]
fn s67_the_end_of_a_subscription_is_the_end_of_its_token() {
    each(|place, caller| {
        let denied = Arc::new(AtomicBool::new(false));
        let is_denied = Arc::clone(&denied);
        let daemon = place.start(move |_| match is_denied.load(Ordering::SeqCst) {
            false => Reaction::Answer(token("old")),
            true => Reaction::Answer(failed(FailureCode::Denied)),
        });
        warm(&caller, &daemon);
        denied.store(true, Ordering::SeqCst);
        daemon.push("x", &failed(FailureCode::Denied));
        until(|| caller.token("x").is_err());
        assert_eq!(caller.token("x").unwrap_err().code(), Some(FailureCode::Denied));
    });
}

#[test]
fn s48_a_push_that_lay_in_the_buffer_through_a_suspend_is_not_taken_for_fresh() {
    each(|place, caller| {
        let daemon = start(place);
        warm(&caller, &daemon);
        let mut late = fresh(4, "late");
        // It says that it has a minute to live, and said so two minutes ago.
        late.answered_at_ms -= 120_000;
        daemon.push("x", &Response::Token(late));
        let before = daemon.asked().len();
        until(|| {
            assert_eq!(caller.token("x").unwrap().value(), "old");
            daemon.asked().len() > before
        });
    });
}

#[test]
fn a_token_that_does_not_live_long_enough_is_asked_for() {
    each(|place, caller| {
        let daemon = start(place);
        warm(&caller, &daemon);
        let before = daemon.asked().len();
        let seconds = |seconds| TokenRequest::new("x").min_ttl(Duration::from_secs(seconds));
        assert!(caller.token_with(&seconds(30)).unwrap().min_ttl_met());
        assert_eq!(daemon.asked().len(), before);
        caller.token_with(&seconds(61)).unwrap();
        assert_eq!(daemon.asked().len(), before + 1);
    });
}

#[test]
fn s69_while_no_daemon_is_there_its_last_token_serves() {
    each(|place, caller| {
        let daemon = start(place);
        warm(&caller, &daemon);
        drop(daemon);
        for _ in 0..100 {
            assert_eq!(caller.token("x").unwrap().value(), "old");
        }
        // Whoever would wait for a daemon need not.
        let patient = TokenRequest::new("x").wait(Duration::from_secs(600)).min_ttl(Duration::from_secs(61));
        assert!(!caller.token_with(&patient).unwrap().min_ttl_met());

        place.another_instance();
        let daemon = place.start(|_| Reaction::Answer(generation(1, "new")));
        until(|| caller.token("x").unwrap().value() == "new");
        warm(&caller, &daemon);
        assert!(daemon.asked().contains(&subscription()), "it is subscribed to again");
    });
}

#[test]
fn s69_a_daemon_that_does_not_answer_is_not_waited_for_long() {
    each(|place, caller| {
        let daemon = start(place);
        warm(&caller, &daemon);
        drop(daemon);
        let _daemon = place.start(|_| Reaction::Silence);
        assert_eq!(caller.token("x").unwrap().value(), "old");
    });
}

#[test]
fn s69_the_no_of_the_next_daemon_counts_more_than_the_token_of_the_last() {
    for code in [FailureCode::Denied, FailureCode::Blocked, FailureCode::NoToken] {
        each(|place, caller| {
            let daemon = start(place);
            warm(&caller, &daemon);
            drop(daemon);
            let daemon = place.start(move |_| Reaction::Answer(failed(code)));
            until(|| caller.token("x").is_err());
            assert_eq!(caller.token("x").unwrap_err().code(), Some(code));
            drop(daemon);
            assert!(matches!(caller.token("x"), Err(Error::NoDaemon { .. })));
        });
    }
}

/// A daemon whose third generation is "old", until it is told that it was refused.
fn start_renewing(place: &Place) -> FakeDaemon {
    place.start(|command| match command {
        Command::Rejected(_) => Reaction::Answer(generation(4, "newer")),
        _ => Reaction::Answer(token("old")),
    })
}

fn report() -> Command {
    Command::Rejected(Rejected { handle: 1, generation: 3, wait_ms: None })
}

#[test]
fn s46_a_rejected_token_is_reported_by_the_next_get_and_replaced() {
    each(|place, caller| {
        let daemon = start_renewing(place);
        let old = warm(&caller, &daemon);
        old.rejected();
        let before = daemon.asked().len();
        assert_eq!(caller.token("x").unwrap().value(), "newer");
        assert_eq!(daemon.asked()[before..], [report()]);
        assert_eq!(unasked(&caller, &daemon), "newer");
    });
}

#[test]
fn s46_a_token_that_was_never_cached_is_reported_by_the_next_get_too() {
    for cached in [false, true] {
        for index in 0..2 {
            let place = Place::new();
            let daemon = start_renewing(&place);
            let callers = if cached { Caller::both_cached } else { Caller::both };
            let caller = callers(&place.socket())[index].clone();
            caller.token("x").unwrap().rejected();
            assert_eq!(caller.token("x").unwrap().value(), "newer");
            assert_eq!(daemon.asked().iter().filter(|asked| **asked == report()).count(), 1);
        }
    }
}

#[test]
fn s46_while_there_is_no_newer_token_the_report_fails_and_the_old_one_is_served_again() {
    each(|place, caller| {
        let daemon = place.start(|command| match command {
            Command::Rejected(_) => Reaction::Answer(failed(FailureCode::NoToken)),
            _ => Reaction::Answer(token("old")),
        });
        warm(&caller, &daemon).rejected();
        let error = caller.token("x").unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
        assert_eq!(unasked(&caller, &daemon), "old");
    });
}

#[test]
fn s46_a_token_that_was_replaced_meanwhile_is_not_reported() {
    each(|place, caller| {
        let daemon = start_renewing(place);
        let old = warm(&caller, &daemon);
        daemon.push("x", &generation(4, "newer"));
        until(|| unasked(&caller, &daemon) == "newer");
        let before = daemon.asked().len();
        assert_eq!(caller.rejected(&old).unwrap().value(), "newer");
        old.rejected();
        assert_eq!(caller.token("x").unwrap().value(), "newer");
        assert_eq!(daemon.asked().len(), before);
    });
}

#[test]
fn s46_a_report_that_nobody_heard_is_made_again() {
    each(|place, caller| {
        let daemon = start(place);
        warm(&caller, &daemon).rejected();
        drop(daemon);
        assert!(matches!(caller.token("x"), Err(Error::NoDaemon { .. })), "it is not fallen back on");
        let daemon = start_renewing(place);
        assert_eq!(caller.token("x").unwrap().value(), "newer");
        assert!(daemon.asked().contains(&report()));
    });
}

#[test]
fn s61_no_more_than_a_thousand_keys_are_kept() {
    let place = Place::new();
    let daemon = start(&place);
    let caller = Caller::both_cached(&place.socket())[0].clone();
    for number in 0..1010 {
        let name = format!("client-{number}");
        caller.token(&name).unwrap();
        caller.token(&name).unwrap();
    }
    until(|| daemon.asked().iter().any(|asked| matches!(asked, Command::Cancel { .. })));
    until(|| (850..=1000).contains(&daemon.subscribers()));
}

#[test]
fn a_warm_get_needs_no_runtime() {
    let place = Place::new();
    let daemon = start(&place);
    let [_, caller] = Caller::both_cached(&place.socket());
    warm(&caller, &daemon);
    let Caller::Async(_, broker) = caller else { panic!("it is the async one") };
    let get = pin!(broker.token("x"));
    let Poll::Ready(token) = get.poll(&mut Context::from_waker(Waker::noop())) else { panic!("it waits") };
    assert_eq!(token.unwrap().value(), "old");
}

#[test]
fn several_runtimes_share_one_subscription_that_outlives_them() {
    let place = Place::new();
    let daemon = start(&place);
    let broker = Broker::builder().socket(place.socket()).build();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for _ in 0..3 {
        let caller = Caller::Async(Arc::new(runtime()), broker.clone());
        warm(&caller, &daemon);
    }
    daemon.push("x", &generation(4, "new"));
    let caller = Caller::Async(Arc::new(runtime()), broker);
    until(|| unasked(&caller, &daemon) == "new");
    assert_eq!(daemon.subscribers(), 1);
}

#[test]
fn a_dropped_broker_hangs_up() {
    each(|place, caller| {
        let daemon = start(place);
        warm(&caller, &daemon);
        let other = caller.clone();
        drop(caller);
        assert_eq!(unasked(&other, &daemon), "old");
        drop(other);
        until(|| daemon.subscribers() == 0);
    });
}
