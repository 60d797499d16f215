//! A proxy that opens tunnels, and says who asked for which.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::raw::{Raw, Request};

/// A proxy on loopback, until the test program ends.
pub(crate) struct Proxy {
    raw: Raw,
    through: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    pub(crate) fn start() -> Self {
        let through = Arc::<Mutex<Vec<u8>>>::default();
        let seen = Arc::clone(&through);
        let raw = Raw::start(move |request, stream| tunnel(request, stream, &seen));
        Self { raw, through }
    }

    /// `http://` and its address.
    pub(crate) fn url(&self) -> String {
        self.raw.url("")
    }

    /// The hosts and ports that tunnels were opened to.
    pub(crate) fn tunnels(&self) -> Vec<String> {
        let target = |request: Request| {
            let target = request.head.strip_prefix("CONNECT ").expect("tunnels only").split(' ').next();
            target.unwrap().to_owned()
        };
        self.raw.requests().into_iter().map(target).collect()
    }

    /// Everything that it was told itself.
    pub(crate) fn told(&self) -> String {
        self.raw.requests().into_iter().map(|request| request.head + &request.body).collect()
    }

    /// Everything that went through it to a server.
    pub(crate) fn through(&self) -> Vec<u8> {
        self.through.lock().unwrap().clone()
    }
}

fn tunnel(request: &Request, near: &mut TcpStream, seen: &Mutex<Vec<u8>>) {
    let target = request.head.split(' ').nth(1).unwrap();
    let Ok(mut far) = TcpStream::connect(target) else { return };
    near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
    let (mut back_from, mut back_to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut back_from, &mut back_to);
        let _ = back_to.shutdown(Shutdown::Both);
    });
    let _ = io::copy(near, &mut Recorded { seen, to: &mut far });
    let _ = far.shutdown(Shutdown::Both);
}

struct Recorded<'a> {
    seen: &'a Mutex<Vec<u8>>,
    to: &'a mut TcpStream,
}

impl Write for Recorded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.seen.lock().unwrap().extend_from_slice(bytes);
        self.to.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
