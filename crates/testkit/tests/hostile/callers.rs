//! Many callers, and callers that give up, for one token that is not there yet.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use tokenbroker_client::protocol::hello::{CallerHello, DaemonHello};
use tokenbroker_client::protocol::{
    Command, FailureCode, FrameBuffer, GetToken, Reply, Request, Response, decode, encode_into, frame,
};
use tokenbroker_testkit::hostile::Script;
use tokenbroker_testkit::{HostileServer, Stopwatch, wait_until};

use crate::host::Host;
use crate::{CANARY, SOON, TOKEN};

const CALLERS: usize = 10_000;

/// Besides the ping that says that they have been taken.
const REQUESTS: usize = 63;

const PING: u32 = u32::MAX;

/// A connection with many requests under way.
struct Connection {
    stream: UnixStream,
    received: FrameBuffer,
}

impl Connection {
    fn dial(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_write_timeout(Some(SOON)).unwrap();
        let mut connection = Self { stream, received: FrameBuffer::default() };
        connection.stream.write_all(frame(&CallerHello::OURS.to_bytes()).unwrap().expose()).unwrap();
        let hello = connection.next(|payload| DaemonHello::parse(payload).unwrap());
        assert!(hello.version.is_some());
        connection
    }

    /// Asks for the token, so many times at once.
    fn ask(&mut self, count: usize, wait: Duration) {
        let get =
            GetToken { client: "app".into(), wait_ms: Some(wait.as_millis() as u64), ..GetToken::default() };
        let mut requests = Vec::new();
        for id in 0..count as u32 {
            encode_into(&Request { id, command: Command::GetToken(get.clone()) }, &mut requests).unwrap();
        }
        encode_into(&Request { id: PING, command: Command::Ping }, &mut requests).unwrap();
        self.stream.write_all(&requests).unwrap();
    }

    fn reply(&mut self) -> Reply {
        self.next(|payload| decode(payload).unwrap())
    }

    fn next<T>(&mut self, parse: impl FnOnce(&[u8]) -> T) -> T {
        loop {
            if let Some(payload) = self.received.next_frame().unwrap() {
                return parse(payload);
            }
            match self.stream.read(self.received.space()).expect("the daemon answers in time") {
                0 => panic!("the daemon closed the connection"),
                count => self.received.filled(count),
            }
        }
    }
}

/// Ten thousand callers who are all waiting when the server answers so, and what each of them is told.
fn ten_thousand_are_answered(answer: Script, wait: Duration) -> Vec<Response> {
    let (server, open) = (HostileServer::start(), Arc::new(AtomicBool::new(false)));
    let gate = Arc::clone(&open);
    server.at_each("/app", move |_| {
        while !gate.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        answer.clone()
    });
    let host = Host::of(&server, ["app"], "timeout = \"30s\"\n");
    wait_until(SOON, || server.requests("/app") == 1);

    let mut left = CALLERS;
    let mut connections = Vec::new();
    while left > 0 {
        let count = left.min(REQUESTS);
        left -= count;
        let mut connection = Connection::dial(&host.install.socket());
        connection.ask(count, wait);
        connections.push((connection, count));
    }
    for (connection, _) in &mut connections {
        let Reply { id, response } = connection.reply();
        assert!(
            id == PING && response == Response::Done,
            "{id} was answered before the server: {response:?}"
        );
    }
    let stopwatch = Stopwatch::start();
    open.store(true, Ordering::SeqCst);
    let mut responses = Vec::new();
    for (connection, count) in &mut connections {
        let mut ids: Vec<u32> = Vec::new();
        for _ in 0..*count {
            let Reply { id, response } = connection.reply();
            ids.push(id);
            responses.push(response);
        }
        ids.sort();
        assert!(ids.into_iter().eq(0..*count as u32), "each was answered once");
    }
    println!("{CALLERS} callers were answered {:?} after the server began to", stopwatch.elapsed());
    assert_eq!(server.requests("/app"), 1);
    assert_eq!(server.connections(), 1);
    host.leaks_nothing();
    responses
}

#[test]
fn s18_ten_thousand_callers_of_one_cold_token_cause_one_token_request() {
    let responses = ten_thousand_are_answered(Script::token(TOKEN, 3600), SOON);
    assert_eq!(responses.len(), CALLERS);
    for response in responses {
        let Response::Token(token) = response else { panic!("{response:?}") };
        assert_eq!((token.access_token.expose(), token.generation), (TOKEN, 1));
    }
}

#[test]
fn s18_ten_thousand_callers_share_a_refusal_too() {
    let refusal = Script::json(401, &json!({ "error": "invalid_client", "error_description": CANARY }));
    let responses = ten_thousand_are_answered(refusal, SOON);
    assert_eq!(responses.len(), CALLERS);
    for response in responses {
        let Response::Failed(failure) = response else { panic!("{response:?}") };
        assert_eq!(failure.code, FailureCode::Blocked);
        assert!(failure.message.contains("(invalid_client)") && !failure.message.contains(CANARY));
        assert!(failure.next_try_in_ms.is_some_and(|wait| wait > 10_000), "{failure:?}");
    }
}

/// They wait on, since the next attempt may come in time; and are told when their time is over.
#[test]
fn s18_ten_thousand_callers_share_an_outage_too() {
    let outage = Script::reply(503, &["Retry-After: 300"], CANARY);
    let responses = ten_thousand_are_answered(outage, Duration::from_secs(5));
    assert_eq!(responses.len(), CALLERS);
    for response in responses {
        let Response::Failed(failure) = response else { panic!("{response:?}") };
        assert_eq!(failure.code, FailureCode::NoToken);
        assert!(failure.message.contains("HTTP 503"), "{failure:?}");
        assert!(failure.next_try_in_ms.is_some_and(|wait| wait > 200_000), "{failure:?}");
    }
}

#[test]
fn s12_callers_that_give_up_do_not_cancel_the_request_that_others_wait_for() {
    let server = HostileServer::start();
    let late = Script::token(TOKEN, 3600).after(Script::new().pause(Duration::from_secs(2)));
    server.at("/app", late);
    let host = Host::of(&server, ["app"], "");
    wait_until(SOON, || server.requests("/app") == 1);
    // One says how long it waits, one hangs up, one asked for a lot and hangs up, too.
    host.cli(&["get", "app", "--wait", "100ms"]).refused(5, &["error: "]);
    for count in [1, REQUESTS] {
        let mut connection = Connection::dial(&host.install.socket());
        connection.ask(count, SOON);
        assert_eq!(connection.reply().id, PING);
    }
    assert_eq!(host.get("app"), TOKEN);
    assert_eq!((server.requests("/app"), server.connections()), (1, 1));
    host.leaks_nothing();
}
