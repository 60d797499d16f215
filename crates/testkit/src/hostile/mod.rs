//! A server that really misbehaves: raw sockets, on which it plays scripts.
//!
//! [`AuthServer`](crate::AuthServer) goes wrong as a server built on an HTTP library can. This one has no such library
//! in its way: it falls silent in the middle of a header, resets, writes a byte a second or without end, lies about
//! lengths, speaks something else than TLS. What it should do is a [`Script`], one for each path, or for a whole
//! [`Port`]. What it saw and wrote is recorded, so that tests can assert on numbers.

mod connection;
pub mod gzip;
mod port;
mod record;
mod script;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio_rustls::rustls::ServerConfig;

pub use self::port::{Identity, Port};
use self::record::Record;
pub use self::record::Seen;
pub use self::script::{Script, Step};
use crate::auth_server::tls_config;
use crate::certificates::ServerCertificate;

/// How long the thread that accepts may take to notice that it should end.
const GLANCE: Duration = Duration::from_millis(20);

/// A running server; dropping it closes the port and cuts every connection.
pub struct HostileServer {
    address: SocketAddr,
    tls: bool,
    ca_file: Option<NamedTempFile>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What decides how a request is answered.
type Answer = Arc<dyn Fn(&Seen) -> Script + Send + Sync>;

/// What the threads of a server have in common.
struct Shared {
    answers: Mutex<HashMap<String, Answer>>,
    record: Record,
    connections: Mutex<Vec<Weak<TcpStream>>>,
    stopping: AtomicBool,
}

impl HostileServer {
    /// Plain HTTP.
    pub fn start() -> Self {
        Self::on(Port::Http)
    }

    /// A port of this kind on 127.0.0.1.
    ///
    /// # Panics
    ///
    /// If the host does not let it.
    pub fn on(port: Port) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port on 127.0.0.1");
        Self::at_listener(listener, port)
    }

    /// Ends, and starts again on the same port as something else.
    ///
    /// # Panics
    ///
    /// If the port can't be had again.
    pub fn become_another(self, port: Port) -> Self {
        let address = self.address;
        drop(self);
        let listener = crate::wait_for(Duration::from_secs(5), || TcpListener::bind(address).ok());
        Self::at_listener(listener.expect("the port of the server that ended is free again"), port)
    }

    fn at_listener(listener: TcpListener, port: Port) -> Self {
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            answers: Mutex::default(),
            record: Record::default(),
            connections: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let certificate = match &port {
            Port::Https(identity) => Some(identity.certificate()),
            Port::Http | Port::Says(_) | Port::Deaf => None,
        };
        let ca_file = certificate.as_ref().map(ca_file);
        let manner = Manner { tls: certificate.as_ref().map(tls_config), port };
        let (for_thread, tls) = (Arc::clone(&shared), certificate.is_some());
        let thread = thread::Builder::new()
            .name("hostile-server".into())
            .spawn(move || accept(&listener, &manner, &for_thread))
            .expect("a thread can be started");
        Self { address, tls, ca_file, shared, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of an absolute path.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// A file with the authority that its clients should trust, for as long as the server lives.
    ///
    /// # Panics
    ///
    /// If it does not speak TLS.
    pub fn ca_file(&self) -> &Path {
        self.ca_file.as_ref().expect("the server speaks TLS").path()
    }

    /// A copy of [`ca_file`](Self::ca_file) in another place.
    ///
    /// # Panics
    ///
    /// If it can't be written.
    pub fn copy_ca_file(&self, to: &Path) -> PathBuf {
        std::fs::copy(self.ca_file(), to).expect("the CA file can be copied");
        to.into()
    }

    /// Every request to this path is answered so from now on.
    pub fn at(&self, path: &str, script: Script) {
        self.at_each(path, move |_| script.clone());
    }

    /// Every request to this path is answered as this says from now on; [`Seen::number`] tells it the first from the
    /// second.
    pub fn at_each(&self, path: &str, answer: impl Fn(&Seen) -> Script + Send + Sync + 'static) {
        self.shared.answers().insert(path.into(), Arc::new(answer));
    }

    /// The requests to this path, in their order.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        self.shared.record.seen(path)
    }

    /// All requests, in their order.
    pub fn all_seen(&self) -> Vec<Seen> {
        self.shared.record.all_seen()
    }

    /// How many requests to this path there were.
    pub fn requests(&self, path: &str) -> usize {
        self.seen(path).len()
    }

    /// How long it has been running: the clock of [`Seen::at`].
    pub fn running_for(&self) -> Duration {
        self.shared.record.running_for()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.shared.record.connections()
    }

    /// How many requests were being answered at once, at most.
    pub fn most_at_once(&self) -> usize {
        self.shared.record.most_at_once()
    }

    /// How many bytes were written in answer to requests to this path.
    pub fn written(&self, path: &str) -> u64 {
        self.shared.record.written(path)
    }

    /// What came in on a port where nothing is read as HTTP.
    pub fn heard(&self) -> Vec<u8> {
        self.shared.record.heard()
    }

    /// Forgets what it recorded; what goes on is recorded on.
    pub fn forget(&self) {
        self.shared.record.forget();
    }
}

impl Drop for HostileServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the hostile server's thread panicked");
        }
        for connection in self.shared.connections().drain(..).filter_map(|connection| connection.upgrade()) {
            // It may be closed already. Whoever writes or waits on it ends now.
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Shared {
    /// A test that panics in its answer must not take the others with it.
    fn answers(&self) -> MutexGuard<'_, HashMap<String, Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Weak<TcpStream>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A path that nobody gave a script is not there.
    fn answer(&self, seen: &Seen) -> Script {
        let answer = self.answers().get(&seen.path).cloned();
        answer.map_or_else(|| Script::reply(404, &[], ""), |answer| answer(seen))
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

/// How every connection is met.
struct Manner {
    port: Port,
    tls: Option<Arc<ServerConfig>>,
}

fn ca_file(certificate: &ServerCertificate) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(file.path(), &certificate.ca).expect("a temporary file can be written");
    file
}

/// A connection is a thread of its own, which ends with it.
fn accept(listener: &TcpListener, manner: &Manner, shared: &Arc<Shared>) {
    if matches!(manner.port, Port::Deaf) {
        while !shared.is_stopping() {
            thread::sleep(GLANCE);
        }
        return;
    }
    listener.set_nonblocking(true).expect("a listener can be made non-blocking");
    while !shared.is_stopping() {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).expect("a stream can be made blocking");
                let stream = Arc::new(stream);
                shared.connections().push(Arc::downgrade(&stream));
                shared.record.connected();
                connection::start(stream, manner, Arc::clone(shared));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(1))
            }
            // Out of descriptors, most likely: others must get the chance to close theirs.
            Err(_) => thread::sleep(GLANCE),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn ask(server: &HostileServer, path: &str) -> (Vec<u8>, Option<io::ErrorKind>) {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\nclient_id=a%20b");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let error = stream.read_to_end(&mut answer).err().map(|error| error.kind());
        (answer, error)
    }

    #[test]
    fn a_request_is_recorded_and_answered_by_its_number() {
        let server = HostileServer::start();
        server.at_each("/token", |seen| Script::new().write(format!("answer {}", seen.number)));
        assert_eq!(ask(&server, "/token"), (b"answer 1".to_vec(), None));
        assert_eq!(ask(&server, "/token"), (b"answer 2".to_vec(), None));
        let seen = server.seen("/token");
        assert_eq!((seen.len(), seen[0].field("client_id")), (2, Some("a b")));
        assert_eq!(seen[0].header("host"), Some("x"));
        assert_eq!((server.connections(), server.written("/token")), (2, 16));
    }

    #[test]
    fn an_answer_leaves_the_connection_open_for_the_next() {
        let server = HostileServer::start();
        let mut stream = TcpStream::connect(server.address()).unwrap();
        for _ in 0..2 {
            stream.write_all(b"GET /nowhere HTTP/1.1\r\n\r\n").unwrap();
            let expected = b"HTTP/1.1 404 Whatever\r\nContent-Length: 0\r\n\r\n";
            let mut answer = [0; 44];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, expected);
        }
        assert_eq!((server.connections(), server.requests("/nowhere")), (1, 2));
    }

    #[test]
    fn a_reset_is_one() {
        let server = HostileServer::start();
        server.at("/token", Script::new().reset());
        assert_eq!(ask(&server, "/token").1, Some(io::ErrorKind::ConnectionReset));
        let server = HostileServer::on(Port::Says(Script::new().reset()));
        let mut stream = TcpStream::connect(server.address()).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn what_is_endless_ends_with_the_peer_or_the_server() {
        let server = HostileServer::start();
        server.at("/endless", Script::new().endless("x"));
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(b"GET /endless HTTP/1.1\r\n\r\n").unwrap();
        let mut some = vec![0; 100_000];
        stream.read_exact(&mut some).unwrap();
        drop(server);
        let _reset_or_ended = stream.read_to_end(&mut some);
    }
}
