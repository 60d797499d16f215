//! One connection: requests in, scripts out.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio_rustls::rustls::{ServerConfig, ServerConnection, Stream};

use super::{Manner, Port, Script, Seen, Shared, Step};

/// No request of the daemon's comes near it.
const LONGEST_REQUEST: usize = 256 * 1024;

/// About so much is written at once of what is endless.
const CHUNK: usize = 16 * 1024;

/// Serves a connection on a thread of its own.
pub(super) fn start(tcp: Arc<TcpStream>, manner: &Manner, shared: Arc<Shared>) {
    let says = match &manner.port {
        Port::Says(script) => Some(script.clone()),
        Port::Http | Port::Https(_) | Port::Deaf => None,
    };
    let tls = manner.tls.clone();
    let serve = move || {
        let mut connection = Connection { wire: Wire::new(tcp, tls), shared, received: Vec::new() };
        // A peer that breaks the connection off is what many scripts are for.
        let _ = match says {
            Some(script) => connection.play(&script, None).map(drop),
            None => connection.serve(),
        };
    };
    thread::Builder::new().name("hostile-connection".into()).spawn(serve).expect("a thread can be started");
}

struct Connection {
    wire: Wire,
    shared: Arc<Shared>,
    received: Vec<u8>,
}

/// What comes after a script.
enum Then {
    ReadOn,
    Close,
    Reset,
}

impl Connection {
    fn serve(&mut self) -> io::Result<()> {
        while let Some(seen) = self.next_request()? {
            let script = self.shared.answer(&seen);
            let then = self.play(&script, Some(&seen));
            self.shared.record.answered();
            match then? {
                Then::ReadOn => {}
                Then::Close => return self.wire.close(),
                Then::Reset => return Ok(()),
            }
        }
        Ok(())
    }

    fn play(&mut self, script: &Script, seen: Option<&Seen>) -> io::Result<Then> {
        let path = seen.map_or("", |seen| seen.path.as_str());
        for step in &script.0 {
            match step {
                Step::Write(bytes) => self.write(bytes, path)?,
                Step::Trickle(bytes, every) => {
                    for byte in bytes {
                        thread::sleep(*every);
                        self.write(&[*byte], path)?;
                    }
                }
                Step::Endless(bytes) => {
                    let chunk = bytes.repeat((CHUNK / bytes.len()).max(1));
                    loop {
                        self.write(&chunk, path)?;
                    }
                }
                Step::Pause(time) => thread::sleep(*time),
                Step::Hang => self.hang()?,
                Step::Reset => {
                    // What was written must have been read before it is gone with the connection.
                    thread::sleep(Duration::from_millis(30));
                    return self.wire.reset_when_dropped().map(|()| Then::Reset);
                }
                Step::ReadOn => return Ok(Then::ReadOn),
            }
        }
        Ok(Then::Close)
    }

    fn write(&mut self, bytes: &[u8], path: &str) -> io::Result<()> {
        self.wire.write_all(bytes)?;
        self.shared.record.wrote(path, bytes.len());
        Ok(())
    }

    fn hang(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            match self.wire.read(&mut buffer)? {
                0 => return Ok(()),
                count => self.shared.record.hear(&buffer[..count]),
            }
        }
    }

    /// `None` when the peer has closed.
    fn next_request(&mut self) -> io::Result<Option<Seen>> {
        let head = loop {
            if let Some(end) = find(&self.received, b"\r\n\r\n") {
                break self.received.drain(..end + 4).collect::<Vec<u8>>();
            }
            if !self.receive()? {
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ').map(String::from);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
        while self.received.len() < length {
            if !self.receive()? {
                return Ok(None);
            }
        }
        let body: Vec<u8> = self.received.drain(..length).collect();
        Ok(Some(self.shared.record.asked(method, path, headers, &body)))
    }

    fn receive(&mut self) -> io::Result<bool> {
        if self.received.len() > LONGEST_REQUEST {
            return Err(io::Error::other("the request is too long"));
        }
        let mut buffer = [0; 4096];
        let count = self.wire.read(&mut buffer)?;
        self.received.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The stream, with or without TLS. Nobody else owns its descriptor: a reset is sent when the last owner closes it.
struct Wire {
    tcp: Arc<TcpStream>,
    tls: Option<ServerConnection>,
}

impl Wire {
    fn new(tcp: Arc<TcpStream>, tls: Option<Arc<ServerConfig>>) -> Self {
        let tls = tls.map(|tls| ServerConnection::new(tls).expect("the configuration is good"));
        Self { tcp, tls }
    }

    /// Whole: what was written arrives.
    fn close(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            Stream::new(tls, &mut &*self.tcp).flush()?;
        }
        self.tcp.shutdown(std::net::Shutdown::Write)
    }

    /// RST instead of FIN.
    fn reset_when_dropped(&self) -> io::Result<()> {
        Ok(rustix::net::sockopt::set_socket_linger(&*self.tcp, Some(Duration::ZERO))?)
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => Stream::new(tls, &mut &*self.tcp).read(buffer),
            None => (&*self.tcp).read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => Stream::new(tls, &mut &*self.tcp).write(bytes),
            None => (&*self.tcp).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => Stream::new(tls, &mut &*self.tcp).flush(),
            None => Ok(()),
        }
    }
}
