//! Real requests to a server on loopback, with simulated time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokenbroker_core::config::{self, NoFiles, Source};
use tokenbroker_oauth::{Endpoint, PlainHttp};

use super::*;

/// An issuer called `as` with these keys more.
pub(super) fn issuer(keys: &str) -> Issuer {
    named("token_endpoint = \"https://as.example/token\"", keys)
}

fn named(endpoint: &str, keys: &str) -> Issuer {
    let text = format!("[issuers.as]\n{endpoint}\n{keys}\n");
    let config = config::parse(&[Source { path: "c.toml".into(), text }], &NoFiles).unwrap();
    Issuer::clone(&config.issuers["as"])
}

/// Answers every request with 200, on connections that it keeps.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// All that were ever made.
    connections: Arc<AtomicUsize>,
    /// Those that are not closed yet.
    open: Arc<AtomicUsize>,
}

impl Server {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self::at(listener.local_addr().unwrap());
        let (connections, open) = (Arc::clone(&server.connections), Arc::clone(&server.open));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                connections.fetch_add(1, Ordering::Relaxed);
                open.fetch_add(1, Ordering::Relaxed);
                let open = Arc::clone(&open);
                thread::spawn(move || {
                    answer(stream);
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        server
    }

    /// Somebody else listens there.
    pub(super) fn at(address: SocketAddr) -> Self {
        Self { address, connections: Arc::default(), open: Arc::default() }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    fn url(&self) -> String {
        format!("http://{}/token", self.address)
    }

    pub(super) fn issuer(&self, keys: &str) -> Arc<Issuer> {
        let endpoint = format!("token_endpoint = {:?}\nallow_plain_http = true", self.url());
        Arc::new(named(&endpoint, keys))
    }

    pub(super) fn request(&self) -> HttpRequest {
        let endpoint = Endpoint::parse(&self.url(), PlainHttp::LoopbackOnly).unwrap();
        let body = Some(Secret::from(b"grant_type=client_credentials".as_slice()));
        HttpRequest { method: Method::Post, url: endpoint, headers: Vec::new(), body }
    }
}

fn answer(stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line == "\r\n" => break,
                Ok(_) => {
                    if let Some(value) = line.strip_prefix("content-length: ") {
                        length = value.trim().parse().unwrap();
                    }
                }
            }
        }
        reader.read_exact(&mut vec![0; length]).unwrap();
        if writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").is_err() {
            return;
        }
    }
}

fn at(seconds: u64) -> Moment {
    Moment::BOOT.after(Duration::from_secs(seconds))
}

#[tokio::test]
async fn s43_a_connection_is_kept_for_minutes_and_no_longer() {
    let server = Server::start();
    let connections = Connections::new(server.issuer(""));
    for (seconds, expected) in [(0, 1), (1, 1), (299, 1), (300, 2), (301, 2), (599, 2), (600, 3), (36_000, 4)]
    {
        exchange(&connections, server.request(), at(seconds)).await.unwrap();
        assert_eq!(server.connections(), expected, "after {seconds} s");
    }
    let closed = async {
        while server.open.load(Ordering::Relaxed) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), closed).await.expect("the old ones are closed");
}

#[tokio::test]
async fn s43_what_failed_gets_new_connections_but_not_all_the_time() {
    let server = Server::start();
    let connections = Connections::new(server.issuer(""));
    for (seconds, expected) in [(0, 1), (10, 2), (11, 2)] {
        exchange(&connections, server.request(), at(seconds)).await.unwrap();
        assert_eq!(server.connections(), expected, "after {seconds} s");
        if seconds == 0 {
            connections.suspect();
            exchange(&connections, server.request(), at(seconds)).await.unwrap();
            assert_eq!(server.connections(), expected, "it was just made");
        }
    }
}

#[tokio::test]
async fn s43_requests_that_come_at_once_wait_for_one_client() {
    let server = Server::start();
    let connections = Connections::new(server.issuer(""));
    let clients = futures_util::future::join_all((0..20).map(|_| connections.client(at(0)))).await;
    assert!(clients.iter().all(Result::is_ok));
    for _ in 0..3 {
        exchange(&connections, server.request(), at(0)).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn s43_a_ca_file_that_is_gone_does_not_stop_the_connections_from_ageing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, CA).unwrap();
    let server = Server::start();
    let issuer = server.issuer(&format!("ca_file = {file:?}"));
    let connections = Connections::new(Arc::clone(&issuer));
    exchange(&connections, server.request(), at(0)).await.unwrap();

    std::fs::remove_file(&file).unwrap();
    exchange(&connections, server.request(), at(300)).await.unwrap();
    assert_eq!(server.connections(), 2);

    let failure = exchange(&Connections::new(issuer), server.request(), at(300)).await.unwrap_err();
    assert!(
        failure.message.starts_with("ca_file ") && failure.message.contains("No such file"),
        "{failure:?}"
    );
    assert!(read_ca_file(Path::new("/dev/zero")).is_err(), "nor is anything else read for ever");
}

#[test]
fn s44_what_is_configured_anew_gets_new_connections_and_nothing_else_does() {
    let configured = |keys: [&str; 2]| {
        let pair = |(name, keys): (&str, &str)| {
            (name.to_owned(), Arc::new(Issuer { name: name.into(), ..issuer(keys) }))
        };
        ["one", "two"].into_iter().zip(keys).map(pair).collect::<BTreeMap<_, _>>()
    };
    let state = tempfile::tempdir().unwrap();
    let mut http = Reqwest::start(crate::key_store::tests::start(state.path())).unwrap();
    let held = |http: &Reqwest| ["one", "two"].map(|name| Arc::clone(&http.issuers[name]));
    http.configure(&configured(["", ""]));
    let [one, two] = held(&http);
    http.configure(&configured(["", "proxy = \"environment\""]));
    let [one_now, two_now] = held(&http);
    assert!(Arc::ptr_eq(&one, &one_now));
    assert!(!Arc::ptr_eq(&two, &two_now));
    http.configure(&BTreeMap::new());
    assert!(http.issuers.is_empty());
}

/// The certificate of an authority that exists no more.
const CA: &str = include_str!("tests/ca.pem");
