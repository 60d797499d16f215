//! A daemon that speaks the real protocol on a real socket, reacts as a test says, and can be stopped at any time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokenbroker_client::protocol::hello::{CallerHello, DaemonHello, HIGHEST};
use tokenbroker_client::protocol::{
    Command, Failure, FailureCode, FrameBuffer, Reply, Request, Response, Token, decode, encode, frame,
};
use tokenbroker_ipc::{Listener, StateLock, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

/// What the daemon does with a request.
pub(crate) enum Reaction {
    Answer(Response),
    /// The right answer to the wrong request.
    AnswerAnother(Response),
    Bytes(Vec<u8>),
    /// An endless answer, a byte at a time.
    Trickle,
    HangUp,
    Silence,
}

/// Where daemons come and go.
pub(crate) struct Place {
    directory: TempDir,
    /// What the next daemon calls itself.
    instance: Mutex<[u8; 16]>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), instance: Mutex::new(*b"a fake, for test") }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("broker.sock")
    }

    /// The daemons that start from now on are other instances than those before.
    pub(crate) fn another_instance(&self) {
        self.instance.lock().unwrap()[0] += 1;
    }

    /// Starts a daemon that reacts to each command.
    pub(crate) fn start(&self, react: impl Fn(&Command) -> Reaction + Send + Sync + 'static) -> FakeDaemon {
        self.start_speaking(Some(HIGHEST), react)
    }

    /// Starts one that chooses `version`.
    pub(crate) fn start_speaking(
        &self,
        version: Option<u16>,
        react: impl Fn(&Command) -> Reaction + Send + Sync + 'static,
    ) -> FakeDaemon {
        let shared = Arc::new(Shared {
            version,
            instance: *self.instance.lock().unwrap(),
            react: Box::new(react),
            connections: AtomicUsize::new(0),
            asked: Mutex::new(Vec::new()),
        });
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (directory, for_thread) = (self.directory.path().to_owned(), Arc::clone(&shared));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = bind(&directory);
                ready.send(()).unwrap();
                tokio::select! {
                    () = accept(listener, for_thread) => {}
                    _ = stopped => {}
                }
            });
        });
        is_ready.recv().unwrap();
        FakeDaemon { shared, stop: Some(stop), thread: Some(thread) }
    }
}

/// Stopped when it is dropped: its connections break, and its socket goes.
pub(crate) struct FakeDaemon {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeDaemon {
    /// How many connections it has accepted.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Command> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Waits until it was asked so many things.
    pub(crate) fn was_asked(&self, count: usize) {
        let deadline = now() + Duration::from_secs(10);
        while self.asked().len() < count {
            assert!(now() < deadline, "asked {:?}", self.asked());
            std::thread::yield_now();
        }
    }
}

impl Drop for FakeDaemon {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A token of this text, generation 3 of handle 1.
pub(crate) fn token(text: &str) -> Response {
    Response::Token(Token {
        access_token: text.into(),
        token_type: "Bearer".into(),
        expires_in_ms: 60_000,
        serve_for_ms: 55_000,
        answered_at_ms: 0,
        expires_at_ms: 1_800_000_000_000,
        scope: Some("signtext_api".into()),
        generation: 3,
        min_ttl_met: true,
        handle: 1,
    })
}

pub(crate) fn failed(code: FailureCode) -> Response {
    let failure = Failure::new(code, "it can not be had").with_hint("ask somebody else");
    Response::Failed(Failure { next_try_in_ms: Some(1500), ..failure })
}

#[expect(clippy::disallowed_methods, reason = "tests measure how long calls take")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

struct Shared {
    version: Option<u16>,
    instance: [u8; 16],
    react: Box<dyn Fn(&Command) -> Reaction + Send + Sync>,
    connections: AtomicUsize,
    asked: Mutex<Vec<Command>>,
}

fn bind(directory: &Path) -> Listener {
    // The one before has been joined, but a descriptor may live on in a child that is just being started.
    let deadline = now() + Duration::from_secs(10);
    let lock = loop {
        match StateLock::acquire(directory) {
            Ok(lock) => break lock,
            Err(error) => assert!(now() < deadline, "{error}"),
        }
        std::thread::yield_now();
    };
    Listener::bind(&directory.join("broker.sock"), 0o600, &lock).unwrap()
}

async fn accept(listener: Listener, shared: Arc<Shared>) {
    loop {
        let (stream, identity) = listener.accept().await.unwrap();
        identity.unwrap();
        shared.connections.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(serve(stream, Arc::clone(&shared)));
    }
}

/// Ends when the caller hangs up or is hung up on.
async fn serve(mut stream: Stream, shared: Arc<Shared>) -> Option<()> {
    let mut received = FrameBuffer::default();
    let hello = CallerHello::parse(&next(&mut stream, &mut received).await?).unwrap();
    assert_eq!(hello, CallerHello::OURS);
    let hello = DaemonHello { version: shared.version, instance: shared.instance };
    write(&mut stream, frame(&hello.to_bytes()).unwrap().expose()).await?;
    loop {
        let Request { id, command } = decode(&next(&mut stream, &mut received).await?).unwrap();
        let reaction = (shared.react)(&command);
        shared.asked.lock().unwrap().push(command);
        match reaction {
            Reaction::Answer(response) => answer(&mut stream, Reply { id, response }).await?,
            Reaction::AnswerAnother(response) => answer(&mut stream, Reply { id: id + 1, response }).await?,
            Reaction::Bytes(bytes) => write(&mut stream, &bytes).await?,
            Reaction::Trickle => loop {
                // The length says that more is to come.
                write(&mut stream, &[0xff, 0xff, 0, 0]).await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            },
            Reaction::HangUp => return None,
            Reaction::Silence => {}
        }
    }
}

async fn answer(stream: &mut Stream, reply: Reply) -> Option<()> {
    write(stream, encode(&reply).unwrap().expose()).await
}

async fn write(stream: &mut Stream, bytes: &[u8]) -> Option<()> {
    stream.write_all(bytes).await.ok()
}

async fn next(stream: &mut Stream, received: &mut FrameBuffer) -> Option<Vec<u8>> {
    loop {
        if let Some(payload) = received.next_frame().unwrap() {
            return Some(payload.to_vec());
        }
        match stream.read(received.space()).await {
            Ok(count @ 1..) => received.filled(count),
            _ => return None,
        }
    }
}
