//! Listening, with real pipes.
#![cfg(all(windows, feature = "tokio"))]
#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic, too")]

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use interprocess::os::windows::ToWtf16;
use interprocess::os::windows::named_pipe::PipeListenerOptions;
use interprocess::os::windows::named_pipe::pipe_mode::Bytes;
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use tempfile::TempDir;
use tokenbroker_ipc::{
    BindError, ConnectError, Endpoint, Listener, ServerTrust, StateLock, Wakeup, blocking, boot_time,
    connect, own_sid, wakeups,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A pipe of its own for each test: its name is that of a directory that nobody else has.
struct Place {
    directory: TempDir,
    lock: StateLock,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let lock = StateLock::acquire(directory.path()).unwrap();
        Self { directory, lock }
    }

    fn pipe(&self) -> PathBuf {
        Path::new(r"\\.\pipe").join(self.directory.path().file_name().unwrap())
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::at(self.pipe())
    }

    fn bind(&self) -> Result<Listener, BindError> {
        Listener::bind(&self.pipe(), 0o600, &self.lock)
    }
}

fn trust() -> ServerTrust {
    ServerTrust::of_user("no-such-user-here")
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), future).await.unwrap()
}

/// What a caller without a runtime does, beside the test's runtime.
fn beside<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::task::spawn_blocking(call)
}

fn kind<T: std::fmt::Debug>(result: Result<T, ConnectError>) -> io::ErrorKind {
    match result {
        Err(ConnectError::Io(error)) => error.kind(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_kinds_of_caller_are_accepted_with_their_identity_and_talk() {
    let place = Place::new();
    let listener = place.bind().unwrap();

    let mut caller = connect(&place.endpoint(), &trust()).await.unwrap();
    let (mut accepted, identity) = within(listener.accept()).await.unwrap();
    let identity = identity.unwrap();
    assert_eq!((identity.user, identity.pid), (own_sid().unwrap(), Some(std::process::id())));
    caller.write_all(b"ping").await.unwrap();
    let mut received = [0; 4];
    within(accepted.read_exact(&mut received)).await.unwrap();
    accepted.write_all(&received).await.unwrap();
    within(caller.read_exact(&mut received)).await.unwrap();
    assert_eq!(&received, b"ping");

    let endpoint = place.endpoint();
    let call = beside(move || {
        let mut caller = blocking::connect(&endpoint, &trust()).unwrap();
        caller.write_all(b"pong").unwrap();
        let mut received = [0; 4];
        caller.read_exact(&mut received).unwrap();
        received
    });
    let (mut accepted, identity) = within(listener.accept()).await.unwrap();
    assert_eq!(identity.unwrap().user, own_sid().unwrap());
    within(accepted.read_exact(&mut received)).await.unwrap();
    accepted.write_all(&received).await.unwrap();
    assert_eq!(&call.await.unwrap(), b"pong");
}

#[tokio::test]
async fn more_than_the_kernel_holds_goes_through_in_both_directions() {
    const LARGE: usize = 200_000;
    let place = Place::new();
    let listener = place.bind().unwrap();
    let endpoint = place.endpoint();
    let call = beside(move || {
        let mut caller = blocking::connect(&endpoint, &trust()).unwrap();
        caller.set_timeout(Duration::from_secs(30)).unwrap();
        caller.write_all(&vec![7; LARGE]).unwrap();
        let mut received = vec![0; LARGE];
        caller.read_exact(&mut received).unwrap();
        received
    });
    let (mut accepted, _) = within(listener.accept()).await.unwrap();
    let mut received = vec![0; LARGE];
    within(accepted.read_exact(&mut received)).await.unwrap();
    within(accepted.write_all(&received)).await.unwrap();
    assert!(call.await.unwrap() == vec![7; LARGE]);
}

#[tokio::test]
async fn a_read_ends_with_its_timeout_and_the_next_gets_what_comes() {
    let place = Place::new();
    let listener = place.bind().unwrap();
    let endpoint = place.endpoint();
    let call = beside(move || blocking::connect(&endpoint, &trust()).unwrap());
    let (mut accepted, _) = within(listener.accept()).await.unwrap();
    let mut caller = call.await.unwrap();

    let call = beside(move || {
        caller.set_timeout(Duration::from_millis(200)).unwrap();
        let started = boot_time();
        let error = caller.read(&mut [0; 4]).unwrap_err();
        (caller, error, boot_time() - started)
    });
    let (mut caller, error, took) = call.await.unwrap();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert!((Duration::from_millis(180)..Duration::from_secs(20)).contains(&took), "{took:?}");

    accepted.write_all(b"late").await.unwrap();
    let call = beside(move || {
        caller.set_timeout(Duration::from_secs(30)).unwrap();
        let mut received = [0; 4];
        caller.read_exact(&mut received).unwrap();
        received
    });
    assert_eq!(&call.await.unwrap(), b"late");
}

#[tokio::test]
async fn what_can_be_read_and_another_thread_both_end_a_wait_and_nothing_is_lost() {
    const LONG: Duration = Duration::from_secs(30);
    let place = Place::new();
    let listener = place.bind().unwrap();
    let endpoint = place.endpoint();
    let call = beside(move || blocking::connect(&endpoint, &trust()).unwrap());
    let (mut accepted, _) = within(listener.accept()).await.unwrap();
    let mut caller = call.await.unwrap();
    let (waker, mut wakeups) = wakeups().unwrap();

    assert_eq!(wakeups.wait(Some(&caller), Duration::ZERO).unwrap(), Wakeup::TimedOut);
    assert_eq!(wakeups.wait(Some(&caller), Duration::from_millis(50)).unwrap(), Wakeup::TimedOut);
    let wait = beside(move || {
        let woken = wakeups.wait(Some(&caller), LONG).unwrap();
        (caller, wakeups, woken)
    });
    waker.wake();
    let (waiting, mut wakeups, woken) = wait.await.unwrap();
    caller = waiting;
    assert_eq!(woken, Wakeup::Woken);

    let wait = beside(move || {
        let mut received = Vec::new();
        while received.len() < 8 {
            assert_eq!(wakeups.wait(Some(&caller), LONG).unwrap(), Wakeup::Readable);
            let mut some = [0; 3];
            let count = caller.read(&mut some).unwrap();
            received.extend_from_slice(&some[..count]);
        }
        (caller, wakeups, received)
    });
    accepted.write_all(b"one ").await.unwrap();
    accepted.write_all(b"two ").await.unwrap();
    let (caller, mut wakeups, received) = wait.await.unwrap();
    assert_eq!(received, b"one two ");

    drop(accepted);
    let wait = beside(move || (wakeups.wait(Some(&caller), LONG).unwrap(), wakeups, caller));
    let (ended, mut wakeups, mut caller) = wait.await.unwrap();
    assert_eq!(ended, Wakeup::Readable, "the end can be read");
    assert_eq!(caller.read(&mut [0; 4]).unwrap(), 0);
    drop(waker);
    assert_eq!(wakeups.wait(Some(&caller), LONG).unwrap(), Wakeup::Over);
}

#[tokio::test]
async fn a_write_that_nobody_reads_ends_with_its_timeout() {
    let place = Place::new();
    let listener = place.bind().unwrap();
    let endpoint = place.endpoint();
    let call = beside(move || {
        let mut caller = blocking::connect(&endpoint, &trust()).unwrap();
        caller.set_timeout(Duration::from_millis(100)).unwrap();
        // Somewhere on the way the kernel's buffer and the server's are full.
        (0..1000).find_map(|_| caller.write_all(&[0; 64 * 1024]).err())
    });
    let _accepted = within(listener.accept()).await.unwrap();
    assert_eq!(call.await.unwrap().map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
}

#[tokio::test]
async fn the_end_of_a_connection_is_the_end_of_the_stream_after_what_was_written() {
    let place = Place::new();
    let listener = place.bind().unwrap();
    let endpoint = place.endpoint();
    let call = beside(move || blocking::connect(&endpoint, &trust()).unwrap());
    let (mut accepted, _) = within(listener.accept()).await.unwrap();
    let mut caller = call.await.unwrap();
    accepted.write_all(b"bye").await.unwrap();
    drop(accepted);
    let call = beside(move || {
        caller.set_timeout(Duration::from_secs(30)).unwrap();
        let mut received = Vec::new();
        caller.read_to_end(&mut received).unwrap();
        let unheard = caller.write(b"x").unwrap_err();
        (received, unheard.kind())
    });
    assert_eq!(call.await.unwrap(), (b"bye".to_vec(), io::ErrorKind::BrokenPipe));
}

#[tokio::test]
async fn a_caller_that_goes_away_is_seen_by_the_server_and_in_nobodys_way() {
    let place = Place::new();
    let listener = place.bind().unwrap();
    for _ in 0..3 {
        let caller = connect(&place.endpoint(), &trust()).await.unwrap();
        let (mut accepted, _) = within(listener.accept()).await.unwrap();
        drop(caller);
        assert_eq!(within(accepted.read(&mut [0; 4])).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn an_absent_daemon_and_a_busy_one_can_be_told_apart() {
    let place = Place::new();
    let endpoint = place.endpoint();
    assert_eq!(kind(blocking::connect(&endpoint, &trust())), io::ErrorKind::NotFound);
    assert_eq!(kind(connect(&endpoint, &trust()).await), io::ErrorKind::NotFound);

    let _hung = place.bind().unwrap();
    let _first = connect(&endpoint, &trust()).await.unwrap();
    assert_eq!(kind(connect(&endpoint, &trust()).await), io::ErrorKind::WouldBlock);
    assert_eq!(kind(blocking::connect(&endpoint, &trust())), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn callers_that_come_at_once_wait_for_their_turn() {
    let place = Place::new();
    let listener = place.bind().unwrap();
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let endpoint = place.endpoint();
            tokio::spawn(async move {
                let deadline = boot_time() + Duration::from_secs(30);
                loop {
                    match connect(&endpoint, &trust()).await {
                        Err(ConnectError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                            assert!(boot_time() < deadline, "nobody was let in");
                        }
                        connected => break connected.unwrap(),
                    }
                }
            })
        })
        .collect();
    for _ in 0..callers.len() {
        within(listener.accept()).await.unwrap().1.unwrap();
    }
    for caller in callers {
        within(caller).await.unwrap();
    }
}

#[tokio::test]
async fn s14_a_pipe_on_which_somebody_answers_is_left_alone() {
    let place = Place::new();
    let listener = place.bind().unwrap();
    assert!(matches!(place.bind(), Err(BindError::InUse { .. })));
    // The probe was the only thing that happened to it.
    let (_, probe) = within(listener.accept()).await.unwrap();
    assert!(probe.is_err());
    let _caller = connect(&place.endpoint(), &trust()).await.unwrap();
    within(listener.accept()).await.unwrap().1.unwrap();
    drop(listener);
    // Its handle is closed when the runtime has seen that accepting was cancelled.
    let free = async {
        while let Err(error) = place.bind() {
            assert!(matches!(error, BindError::InUse { .. }), "{error:?}");
            tokio::task::yield_now().await;
        }
    };
    within(free).await;
}

/// Windows lets nobody make a pipe in another's name; Wine does.
#[tokio::test]
async fn s17_a_pipe_of_somebody_elses_is_not_spoken_to() {
    const STRANGER: &str = "S-1-5-21-1-2-3-1001";
    let place = Place::new();
    let descriptor = format!("O:{STRANGER}D:(A;;GA;;;WD)").to_wtf_16().unwrap().into_owned();
    let options = PipeListenerOptions::new()
        .path(place.pipe())
        .security_descriptor(Some(SecurityDescriptor::deserialize(&descriptor).unwrap()));
    let listener = match options.create_tokio_duplex::<Bytes>() {
        Err(error) => {
            eprintln!("NOT RUN: s17_a_pipe_of_somebody_elses_is_not_spoken_to needs such a pipe: {error}");
            return;
        }
        Ok(listener) => listener,
    };
    let endpoint = place.endpoint();
    let refused = |connected: Result<(), ConnectError>| match connected {
        Err(ConnectError::Untrusted(refused)) => refused.owner.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(connect(&endpoint, &trust()).await.map(drop)), STRANGER);
    within(listener.accept()).await.unwrap();
    assert_eq!(refused(blocking::connect(&endpoint, &trust()).map(drop)), STRANGER);
    let mut accepted = within(listener.accept()).await.unwrap();
    assert_eq!(within(accepted.read(&mut [0; 4])).await.unwrap(), 0, "nothing was sent");
    connect(&endpoint, &ServerTrust::of_user(STRANGER)).await.unwrap();
}

#[tokio::test]
async fn what_is_no_pipe_of_this_host_is_neither_made_nor_opened() {
    let place = Place::new();
    let file = place.directory.path().join("file");
    std::fs::write(&file, "important").unwrap();
    for name in [file.as_path(), Path::new(r"\\elsewhere\pipe\tokenbroker")] {
        let refused = Listener::bind(name, 0o600, &place.lock);
        let Err(BindError::Io { source, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(source.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(kind(connect(&Endpoint::at(name), &trust()).await), io::ErrorKind::InvalidInput);
        assert_eq!(kind(blocking::connect(&Endpoint::at(name), &trust())), io::ErrorKind::InvalidInput);
    }
}

#[tokio::test]
async fn a_pipe_for_everybody_is_reached_like_any_other() {
    let place = Place::new();
    let listener = Listener::bind(&place.pipe(), 0o666, &place.lock).unwrap();
    let _caller = connect(&place.endpoint(), &trust()).await.unwrap();
    within(listener.accept()).await.unwrap().1.unwrap();
    assert!(matches!(Listener::bind(&place.pipe(), 0o660, &place.lock), Err(BindError::Io { .. })));
}
