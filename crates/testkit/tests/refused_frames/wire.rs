//! A caller that writes what it likes.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use tokenbroker_protocol::hello::{CallerHello, DaemonHello};
use tokenbroker_protocol::{Command, FrameBuffer, Reply, Request, decode, encode, frame};

/// Ample: builds and other tests may be using the same processors.
const DEADLINE: Duration = Duration::from_secs(25);

pub(crate) struct Wire {
    stream: UnixStream,
    received: FrameBuffer,
}

impl Wire {
    pub(crate) fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self { stream, received: FrameBuffer::default() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The same over and over until the daemon takes no more: how many bytes it took, and what happened then.
    pub(crate) fn send_for_as_long_as_it_takes(&mut self, bytes: &[u8]) -> (usize, io::Error) {
        let mut taken = 0;
        loop {
            match self.stream.write_all(bytes) {
                Ok(()) => taken += bytes.len(),
                Err(error) => return (taken, error),
            }
        }
    }

    pub(crate) fn say_hello(&mut self, hello: CallerHello) {
        self.send(frame(&hello.to_bytes()).unwrap().expose());
    }

    pub(crate) fn daemon_hello(&mut self) -> DaemonHello {
        self.next_payload(|payload| DaemonHello::parse(payload).unwrap()).expect("a hello")
    }

    pub(crate) fn shake_hands(&mut self) {
        self.say_hello(CallerHello::OURS);
        assert_eq!(self.daemon_hello().version, Some(1));
    }

    pub(crate) fn ask(&mut self, id: u32, command: Command) {
        self.send(request(id, command).as_slice());
    }

    /// The next reply; `None` if the daemon has closed.
    pub(crate) fn reply(&mut self) -> Option<Reply> {
        self.next_payload(|payload| decode(payload).unwrap())
    }

    /// Waits until the daemon closes, which it should do without a word.
    #[track_caller]
    pub(crate) fn expect_closed(mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            // It had not read everything that was sent.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            read => drop(read.expect("the daemon closes in time")),
        }
        assert!(rest.is_empty(), "it said {} bytes", rest.len());
    }

    fn next_payload<T>(&mut self, parse: impl FnOnce(&[u8]) -> T) -> Option<T> {
        loop {
            if let Some(payload) = self.received.next_frame().unwrap() {
                return Some(parse(payload));
            }
            match self.stream.read(self.received.space()).expect("the daemon answers in time") {
                0 => return None,
                count => self.received.filled(count),
            }
        }
    }
}

/// The whole frame of a request.
pub(crate) fn request(id: u32, command: Command) -> Vec<u8> {
    encode(&Request { id, command }).unwrap().expose().to_vec()
}
