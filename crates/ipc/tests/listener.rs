//! Listening, with real sockets.
#![cfg(all(unix, feature = "tokio"))]
#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic, too")]
#![expect(unsafe_code, reason = "a full queue takes a short one")]

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokenbroker_ipc::{
    BindError, ConnectError, Endpoint, IdentityError, Listener, ServerTrust, StateLock, blocking, connect,
    own_uid,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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

    fn socket(&self) -> PathBuf {
        self.directory.path().join("broker.sock")
    }

    fn bind(&self) -> Result<Listener, BindError> {
        Listener::bind(&self.socket(), 0o600, &self.lock)
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn trust() -> ServerTrust {
    ServerTrust::of_user("tokenbroker")
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(10), future).await.unwrap()
}

#[tokio::test]
async fn both_kinds_of_caller_are_accepted_with_their_identity() {
    let place = Place::new();
    let listener = place.bind().unwrap();
    let endpoint = Endpoint::at(place.socket());

    let mut caller = connect(&endpoint, &trust()).await.unwrap();
    let (mut accepted, identity) = within(listener.accept()).await.unwrap();
    let identity = identity.unwrap();
    assert_eq!((identity.uid, identity.pid), (own_uid(), Some(std::process::id())));

    caller.write_all(b"ping").await.unwrap();
    let mut received = [0; 4];
    within(accepted.read_exact(&mut received)).await.unwrap();
    accepted.write_all(&received).await.unwrap();
    within(caller.read_exact(&mut received)).await.unwrap();
    assert_eq!(&received, b"ping");

    let blocking = tokio::task::spawn_blocking(move || blocking::connect(&endpoint, &trust()).unwrap());
    let (_accepted, identity) = within(listener.accept()).await.unwrap();
    assert_eq!(identity.unwrap().uid, own_uid());
    drop(blocking.await.unwrap());
}

#[tokio::test]
async fn s02_a_caller_that_is_gone_when_it_is_accepted_is_refused() {
    let place = Place::new();
    let listener = place.bind().unwrap();
    drop(UnixStream::connect(place.socket()).unwrap());
    let (_, identity) = within(listener.accept()).await.unwrap();
    assert!(matches!(identity, Err(IdentityError::Gone)));
}

#[tokio::test]
async fn the_socket_has_exactly_the_mode_that_was_asked_for() {
    let place = Place::new();
    for asked in [0o600, 0o660, 0o666] {
        let _listener = Listener::bind(&place.socket(), asked, &place.lock).unwrap();
        assert_eq!(mode(&place.socket()), asked);
    }
}

#[tokio::test]
async fn a_socket_file_is_removed_with_its_listener_and_nobody_elses_is() {
    let place = Place::new();
    let listener = place.bind().unwrap();
    drop(listener);
    assert!(!place.socket().exists());

    let listener = place.bind().unwrap();
    fs::remove_file(place.socket()).unwrap();
    let successor = UnixListener::bind(place.socket()).unwrap();
    drop(listener);
    assert!(place.socket().exists());
    drop(successor);
}

#[tokio::test]
async fn s14_a_stale_socket_of_ours_is_replaced() {
    let place = Place::new();
    drop(UnixListener::bind(place.socket()).unwrap());
    assert!(place.socket().exists());
    let _listener = place.bind().unwrap();
    assert!(UnixStream::connect(place.socket()).is_ok());
}

#[tokio::test]
async fn s14_a_socket_on_which_somebody_answers_is_left_alone() {
    let place = Place::new();
    let other = UnixListener::bind(place.socket()).unwrap();
    assert!(matches!(place.bind(), Err(BindError::InUse { .. })));
    // The probe was the only thing that happened to it.
    assert!(UnixStream::connect(place.socket()).is_ok());
    drop(other);
}

#[tokio::test]
async fn s14_what_is_not_a_socket_is_left_alone() {
    let place = Place::new();
    fs::write(place.socket(), "important").unwrap();
    assert!(matches!(place.bind(), Err(BindError::NotASocket { .. })));
    assert_eq!(fs::read_to_string(place.socket()).unwrap(), "important");

    fs::remove_file(place.socket()).unwrap();
    std::os::unix::fs::symlink("/nowhere/broker.sock", place.socket()).unwrap();
    assert!(matches!(place.bind(), Err(BindError::NotASocket { .. })));
}

#[tokio::test]
async fn s14_a_stale_socket_of_somebody_elses_is_left_alone() {
    if own_uid() != 0 {
        eprintln!(
            "NOT RUN: s14_a_stale_socket_of_somebody_elses_is_left_alone gives a file away, which takes root"
        );
        return;
    }
    let place = Place::new();
    drop(UnixListener::bind(place.socket()).unwrap());
    chown(place.socket(), Some(54_321), None).unwrap();
    assert!(matches!(place.bind(), Err(BindError::NotOurs { uid: 54_321, .. })));
    assert!(fs::symlink_metadata(place.socket()).unwrap().file_type().is_socket());
}

#[tokio::test]
async fn s16_a_directory_that_others_can_write_is_refused_before_anything_is_made() {
    let place = Place::new();
    fs::set_permissions(place.directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(place.bind(), Err(BindError::Path(_))));
    assert!(!place.socket().exists());
}

#[tokio::test]
async fn a_passed_socket_is_taken_and_its_file_stays() {
    let place = Place::new();
    let passed = UnixListener::bind(place.socket()).unwrap();
    let listener = Listener::from_fd(OwnedFd::from(passed)).unwrap();
    let _caller = connect(&Endpoint::at(place.socket()), &trust()).await.unwrap();
    assert!(within(listener.accept()).await.unwrap().1.is_ok());
    drop(listener);
    assert!(place.socket().exists());
}

#[tokio::test]
async fn what_is_passed_and_no_listening_unix_socket_is_refused() {
    let (connected, _other) = UnixStream::pair().unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let file = tempfile::tempfile().unwrap();
    for passed in [OwnedFd::from(connected), OwnedFd::from(udp), OwnedFd::from(file)] {
        assert!(Listener::from_fd(passed).is_err());
    }
}

#[tokio::test]
async fn listening_sockets_are_not_handed_to_programs_that_are_started() {
    let place = Place::new();
    let _bound = place.bind().unwrap();
    let passed = UnixListener::bind(place.directory.path().join("passed.sock")).unwrap();
    let _passed = Listener::from_fd(OwnedFd::from(passed)).unwrap();
    let shell = Command::new("sh").args(["-c", "ls -l /proc/self/fd"]).output().unwrap();
    assert!(shell.status.success());
    let open = String::from_utf8(shell.stdout).unwrap();
    assert!(!open.contains("socket:"), "{open}");
}

#[tokio::test]
async fn an_absent_daemon_and_a_full_queue_can_be_told_apart() {
    let place = Place::new();
    let endpoint = Endpoint::at(place.socket());
    let kind = |result: Result<blocking::Stream, ConnectError>| match result {
        Err(ConnectError::Io(error)) => error.kind(),
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(blocking::connect(&endpoint, &trust())), std::io::ErrorKind::NotFound);
    drop(UnixListener::bind(place.socket()).unwrap());
    assert_eq!(kind(blocking::connect(&endpoint, &trust())), std::io::ErrorKind::ConnectionRefused);
    fs::remove_file(place.socket()).unwrap();

    let _hung = listener_with_a_queue_of_one(&place.socket());
    let mut waiting = Vec::new();
    let full = loop {
        match blocking::connect(&endpoint, &trust()) {
            Ok(stream) => waiting.push(stream),
            refused => break kind(refused),
        }
        assert!(waiting.len() < 10, "the queue does not fill");
    };
    assert_eq!(full, std::io::ErrorKind::WouldBlock);
    match connect(&endpoint, &trust()).await {
        Err(ConnectError::Io(error)) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        other => panic!("{other:?}"),
    }
}

/// A listener that never accepts; std has no way to ask for a short queue.
fn listener_with_a_queue_of_one(path: &Path) -> UnixListener {
    let listener = UnixListener::bind(path).unwrap();
    // SAFETY: the descriptor is open, and listening again only changes the length of the queue.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    listener
}
