//! A caller that writes what it likes.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use tokenbroker_protocol::hello::{CallerHello, DaemonHello};
use tokenbroker_protocol::{Command, FrameBuffer, Reply, Request, decode, encode, frame};

/// Ample: builds and other tests may be using the same processors.
const DEADLINE: Duration = Duration::from_secs(25);

/// A connection to a daemon, of which every byte is the test's own.
pub struct Wire {
    stream: UnixStream,
    received: FrameBuffer,
}

impl Wire {
    /// Connects, and says nothing yet.
    ///
    /// # Panics
    ///
    /// If nobody listens there.
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("the daemon listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket has timeouts");
        stream.set_write_timeout(Some(DEADLINE)).expect("a socket has timeouts");
        Self { stream, received: FrameBuffer::default() }
    }

    /// Connects and exchanges hellos; `None` if the daemon goes away meanwhile.
    pub fn dial(socket: &Path) -> Option<Self> {
        let stream = UnixStream::connect(socket).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        stream.set_write_timeout(Some(DEADLINE)).ok()?;
        let mut wire = Self { stream, received: FrameBuffer::default() };
        wire.stream.write_all(frame(&CallerHello::OURS.to_bytes()).ok()?.expose()).ok()?;
        let hello = wire.try_next_payload(|payload| DaemonHello::parse(payload).ok()).ok()??;
        hello.and_then(|hello| hello.version)?;
        Some(wire)
    }

    /// Sends a request, to a daemon that may go away meanwhile.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn try_ask(&mut self, id: u32, command: Command) -> io::Result<()> {
        self.stream.write_all(&request(id, command))
    }

    /// The next reply, or `None` if none comes within the time.
    ///
    /// # Errors
    ///
    /// If the daemon has closed.
    pub fn reply_within(&mut self, time: Duration) -> io::Result<Option<Reply>> {
        self.stream.set_read_timeout(Some(time))?;
        let reply = self.try_next_payload(|payload| decode(payload).expect("this is a reply"));
        self.stream.set_read_timeout(Some(DEADLINE))?;
        match reply {
            Ok(Some(reply)) => Ok(Some(reply)),
            Ok(None) => Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The connection once more, to be given to somebody else.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn try_clone(&self) -> io::Result<UnixStream> {
        self.stream.try_clone()
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    ///
    /// If the daemon does not take them.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the daemon takes what is sent");
    }

    /// The same over and over until the daemon takes no more: how many bytes it took, and what happened then.
    pub fn send_for_as_long_as_it_takes(&mut self, bytes: &[u8]) -> (usize, io::Error) {
        let mut taken = 0;
        loop {
            match self.stream.write_all(bytes) {
                Ok(()) => taken += bytes.len(),
                Err(error) => return (taken, error),
            }
        }
    }

    /// Sends a hello.
    pub fn say_hello(&mut self, hello: CallerHello) {
        self.send(frame(&hello.to_bytes()).expect("a hello is short").expose());
    }

    /// The daemon's hello.
    ///
    /// # Panics
    ///
    /// If something else comes, or nothing.
    pub fn daemon_hello(&mut self) -> DaemonHello {
        let hello = self.next_payload(|payload| DaemonHello::parse(payload).expect("this is a hello"));
        hello.expect("the daemon says hello")
    }

    /// Exchanges hellos.
    ///
    /// # Panics
    ///
    /// If the daemon wants another version.
    pub fn shake_hands(&mut self) {
        self.say_hello(CallerHello::OURS);
        assert_eq!(self.daemon_hello().version, Some(1));
    }

    /// Sends a request.
    pub fn ask(&mut self, id: u32, command: Command) {
        self.send(request(id, command).as_slice());
    }

    /// The next reply; `None` if the daemon has closed.
    ///
    /// # Panics
    ///
    /// If it can't be read, or does not come.
    pub fn reply(&mut self) -> Option<Reply> {
        self.next_payload(|payload| decode(payload).expect("this is a reply"))
    }

    /// Waits until the daemon closes, which it should do without a word.
    ///
    /// # Panics
    ///
    /// If it does not close, or says something before.
    #[track_caller]
    pub fn expect_closed(mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            // It had not read everything that was sent.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            read => drop(read.expect("the daemon closes in time")),
        }
        assert!(rest.is_empty(), "it said {} bytes", rest.len());
    }

    fn next_payload<T>(&mut self, parse: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.try_next_payload(parse).expect("the daemon answers in time")
    }

    fn try_next_payload<T>(&mut self, parse: impl FnOnce(&[u8]) -> T) -> io::Result<Option<T>> {
        loop {
            if let Some(payload) = self.received.next_frame().expect("the daemon keeps to the limit") {
                return Ok(Some(parse(payload)));
            }
            match self.stream.read(self.received.space())? {
                0 => return Ok(None),
                count => self.received.filled(count),
            }
        }
    }
}

/// The whole frame of a caller's hello.
///
/// # Panics
///
/// Never: it is short enough for one.
pub fn hello() -> Vec<u8> {
    frame(&CallerHello::OURS.to_bytes()).expect("a hello is short").expose().to_vec()
}

/// The whole frame of a request.
///
/// # Panics
///
/// If it is too long for one.
pub fn request(id: u32, command: Command) -> Vec<u8> {
    encode(&Request { id, command }).expect("a request fits a frame").expose().to_vec()
}
