//! What a daemon says when it ends a connection for a reason of its own.

use crate::caller::Caller;
use crate::fake::{Place, Reaction, failed, token};
use tokenbroker_client::protocol::{FailureCode, Party};

#[test]
fn s10_a_quota_is_an_error_in_the_daemons_words() {
    let place = Place::new();
    let daemon = place.start(|_| Reaction::LastWord(failed(FailureCode::TooMuch)));
    for caller in Caller::both(&place.socket()) {
        let error = caller.token("x").unwrap_err();
        assert_eq!((error.code(), error.fixed_by()), (Some(FailureCode::TooMuch), Some(Party::Caller)));
        assert_eq!(error.hint(), Some("ask somebody else"));
    }
    assert_eq!(daemon.connections(), 2, "it is final");
}

#[cfg(unix)]
#[test]
fn s10_the_last_word_is_heard_though_nobody_listens_to_the_question() {
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    use tokenbroker_client::protocol::hello::{DaemonHello, HIGHEST};
    use tokenbroker_client::protocol::{CONNECTION, Reply, encode, frame};

    let place = Place::new();
    let listener = UnixListener::bind(place.socket()).unwrap();
    let hello = DaemonHello { version: Some(HIGHEST), instance: [7; 16] };
    let hello = frame(&hello.to_bytes()).unwrap();
    let word = encode(&Reply { id: CONNECTION, response: failed(FailureCode::TooMuch) }).unwrap();
    const CALLS: usize = 200;
    let server = std::thread::spawn(move || {
        for _ in 0..2 * CALLS {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(hello.expose()).unwrap();
            stream.write_all(word.expose()).unwrap();
        }
    });
    for caller in Caller::both(&place.socket()) {
        // Whether its hello or its question finds the other end closed is a matter of luck.
        for _ in 0..CALLS {
            let error = caller.token("x").unwrap_err();
            assert_eq!(error.code(), Some(FailureCode::TooMuch), "{error:?}");
        }
    }
    server.join().unwrap();
}

#[test]
fn s69_what_was_said_when_an_idle_connection_ended_is_out_of_date() {
    for index in 0..2 {
        let place = Place::new();
        let caller = Caller::both(&place.socket())[index].clone();
        let daemon = place.start(|_| Reaction::Answer(token("old")));
        caller.token("x").unwrap();
        drop(daemon);
        let _daemon = place.start(|_| Reaction::Answer(token("new")));
        assert_eq!(caller.token("x").unwrap().value(), "new");
    }
}
