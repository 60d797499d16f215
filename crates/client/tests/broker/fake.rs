//! A daemon that speaks the real protocol on a real socket, reacts as a test says, and can be stopped at any time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokenbroker_client::protocol::hello::{CallerHello, DaemonHello, HIGHEST};
use tokenbroker_client::protocol::{
    CONNECTION, Command, Failure, FailureCode, FrameBuffer, Reply, Request, Response, Token, decode, encode,
    frame,
};
use tokenbroker_ipc::{
    ConnectError, Endpoint, IdentityError, Listener, ServerTrust, StateLock, Stream, connect,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// What the daemon does with a request.
pub(crate) enum Reaction {
    Answer(Response),
    /// The right answer to the wrong request.
    AnswerAnother(Response),
    Bytes(Vec<u8>),
    /// An endless answer, a byte at a time.
    Trickle,
    /// The last word on the connection, and its end.
    LastWord(Response),
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
        socket_in(self.directory.path())
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
            subscribers: Mutex::new(Vec::new()),
        });
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (directory, for_thread) = (self.directory.path().to_owned(), Arc::clone(&shared));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = bind(&directory);
                ready.send(()).unwrap();
                let mut connections = JoinSet::new();
                tokio::select! {
                    () = accept(&listener, &mut connections, for_thread) => {}
                    _ = stopped => {}
                }
                connections.shutdown().await;
                drop(listener);
                gone(&socket_in(&directory)).await;
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

    /// How many subscriptions it has.
    pub(crate) fn subscribers(&self) -> usize {
        let mut subscribers = self.shared.subscribers.lock().unwrap();
        subscribers.retain(|subscriber| !subscriber.pushes.is_closed());
        subscribers.len()
    }

    /// Tells everybody who has subscribed to a client.
    pub(crate) fn push(&self, client: &str, response: &Response) {
        for subscriber in &*self.shared.subscribers.lock().unwrap() {
            if subscriber.client == client {
                let reply = Reply { id: subscriber.id, response: response.clone() };
                let _ = subscriber.pushes.send(reply);
            }
        }
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

/// Waits until it is so.
#[track_caller]
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let deadline = now() + Duration::from_secs(20);
    while !condition() {
        assert!(now() < deadline, "it did not come to be");
        std::thread::sleep(Duration::from_millis(1));
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
    generation(3, text)
}

/// A token of this text and generation, of handle 1.
pub(crate) fn generation(generation: u64, text: &str) -> Response {
    Response::Token(fresh(generation, text))
}

/// The same, to be changed: a minute is left to it from now.
pub(crate) fn fresh(generation: u64, text: &str) -> Token {
    Token {
        access_token: text.into(),
        token_type: "Bearer".into(),
        expires_in_ms: 60_000,
        serve_for_ms: 55_000,
        answered_at_ms: u64::try_from(tokenbroker_ipc::boot_time().as_millis()).unwrap(),
        expires_at_ms: 1_800_000_000_000,
        scope: Some("signtext_api".into()),
        generation,
        min_ttl_met: true,
        handle: 1,
    }
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
    subscribers: Mutex<Vec<Subscriber>>,
}

/// Who is told of a client, and where.
struct Subscriber {
    client: String,
    id: u32,
    pushes: UnboundedSender<Reply>,
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
    Listener::bind(&socket_in(directory), 0o600, &lock).unwrap()
}

/// On Windows, a pipe with the name of a directory that nobody else has.
fn socket_in(directory: &Path) -> PathBuf {
    match cfg!(windows) {
        true => Path::new(r"\\.\pipe").join(directory.file_name().unwrap()),
        false => directory.join("broker.sock"),
    }
}

/// A pipe is there until the runtime has seen that all that was under way is cancelled.
async fn gone(socket: &Path) {
    let (endpoint, trust) = (Endpoint::at(socket), ServerTrust::of_user("tokenbroker"));
    let deadline = now() + Duration::from_secs(10);
    loop {
        match connect(&endpoint, &trust).await {
            Err(ConnectError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => return,
            still_there => assert!(now() < deadline, "{still_there:?}"),
        }
        tokio::task::yield_now().await;
    }
}

async fn accept(listener: &Listener, connections: &mut JoinSet<Option<()>>, shared: Arc<Shared>) {
    loop {
        let (stream, identity) = listener.accept().await.unwrap();
        // Its time was over: it has left already.
        if matches!(identity, Err(IdentityError::Gone)) {
            continue;
        }
        identity.unwrap();
        shared.connections.fetch_add(1, Ordering::SeqCst);
        connections.spawn(serve(stream, Arc::clone(&shared)));
    }
}

/// Ends when the caller hangs up or is hung up on.
async fn serve(mut stream: Stream, shared: Arc<Shared>) -> Option<()> {
    let mut received = FrameBuffer::default();
    let hello = CallerHello::parse(&next(&mut stream, &mut received).await?).unwrap();
    assert_eq!(hello, CallerHello::OURS);
    let hello = DaemonHello { version: shared.version, instance: shared.instance };
    write(&mut stream, frame(&hello.to_bytes()).unwrap().expose()).await?;
    let (pushes, mut pushed) = unbounded_channel();
    loop {
        let payload = tokio::select! {
            payload = next(&mut stream, &mut received) => payload?,
            Some(reply) = pushed.recv() => {
                answer(&mut stream, reply).await?;
                continue;
            }
        };
        let Request { id, command } = decode(&payload).unwrap();
        assert_ne!(id, CONNECTION);
        let reaction = (shared.react)(&command);
        shared.asked.lock().unwrap().push(command.clone());
        match (&command, &reaction) {
            (Command::Subscribe(get), Reaction::Answer(Response::Token(_))) => {
                let subscriber = Subscriber { client: get.client.clone(), id, pushes: pushes.clone() };
                shared.subscribers.lock().unwrap().push(subscriber);
            }
            (Command::Cancel { id }, _) => {
                let is_this = |one: &Subscriber| one.id == *id && one.pushes.same_channel(&pushes);
                shared.subscribers.lock().unwrap().retain(|one| !is_this(one));
            }
            _ => {}
        }
        match reaction {
            Reaction::Answer(response) => answer(&mut stream, Reply { id, response }).await?,
            Reaction::AnswerAnother(response) => answer(&mut stream, Reply { id: id + 1, response }).await?,
            Reaction::Bytes(bytes) => write(&mut stream, &bytes).await?,
            Reaction::Trickle => loop {
                // The length says that more is to come.
                write(&mut stream, &[0xff, 0xff, 0, 0]).await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            },
            Reaction::LastWord(response) => {
                answer(&mut stream, Reply { id: CONNECTION, response }).await?;
                return None;
            }
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
