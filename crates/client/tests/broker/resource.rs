//! A protected resource on loopback that remembers which tokens it was shown.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\nthe data";
pub(crate) const UNAUTHORIZED: &str =
    "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Answers requests until it is dropped.
pub(crate) struct Resource {
    address: SocketAddr,
    url: String,
    presented: Arc<Mutex<Vec<Option<String>>>>,
    thread: Option<JoinHandle<()>>,
}

impl Resource {
    /// Answers to each token as `reply` says.
    pub(crate) fn start<R: AsRef<str>>(reply: impl Fn(Option<&str>) -> R + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let presented = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&presented);
        let thread = thread::spawn(move || {
            // A connection without a request ends it.
            while let Some((mut stream, token)) = next(&listener) {
                let reply = reply(token.as_deref());
                // Whoever has the reply may look at once.
                seen.lock().unwrap().push(token);
                stream.write_all(reply.as_ref().as_bytes()).unwrap();
            }
        });
        Self { address, url: format!("http://{address}/data"), presented, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The tokens of all requests so far, empty where there was none.
    pub(crate) fn presented(&self) -> Vec<String> {
        self.presented.lock().unwrap().iter().map(|token| token.clone().unwrap_or_default()).collect()
    }
}

impl Drop for Resource {
    fn drop(&mut self) {
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || thread::panicking());
        }
    }
}

/// The next request, whole, and the token it has.
fn next(listener: &TcpListener) -> Option<(TcpStream, Option<String>)> {
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream);
    let (mut token, mut length, mut is_chunked) = (None, 0, false);
    for number in 0.. {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 {
            assert_eq!(number, 0, "a request ends in the middle");
            return None;
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line == "\r\n" {
                break;
            }
            continue;
        };
        match &*name.to_lowercase() {
            "authorization" => token = value.strip_prefix("Bearer ").map(str::to_owned),
            "content-length" => length = value.parse().unwrap(),
            "transfer-encoding" => is_chunked = true,
            _ => {}
        }
    }
    if is_chunked {
        let mut line = String::new();
        while line != "0\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        reader.read_line(&mut line).unwrap();
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    Some((reader.into_inner(), token))
}
