//! A connection for tasks on a tokio runtime.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use interprocess::ConnectWaitMode;
use interprocess::local_socket::prelude::*;
use interprocess::local_socket::{ConnectOptions, GenericFilePath};
use interprocess::os::unix::uds_local_socket;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::identity::server_uid;
use crate::{ConnectError, Endpoint, ServerTrust};

/// A connection. One task reads and writes it.
///
/// The runtime is asked to say when there is something to read, and not when there is room to write, as tokio's own
/// streams ask in advance: of those the kernel wakes the owner each time that the other end has read something. Who finds no
/// room begins to ask for it.
#[derive(Debug)]
pub struct Stream {
    /// `None` if asking for room has failed.
    socket: Option<AsyncFd<UnixStream>>,
    /// Whether it is asked for room.
    wants_room: bool,
}

/// Connects to a trusted server, like [`blocking::connect`](crate::blocking::connect).
///
/// # Errors
///
/// [`ConnectError`]; then nothing was sent.
///
/// # Panics
///
/// Outside a tokio runtime that has I/O enabled.
pub async fn connect(endpoint: &Endpoint, trust: &ServerTrust) -> Result<Stream, ConnectError> {
    let name = endpoint.path().to_fs_name::<GenericFilePath>()?;
    let options = ConnectOptions::new().name(name).wait_mode(ConnectWaitMode::Deferred);
    let socket = options.nonblocking_stream(true).connect_sync_as::<uds_local_socket::Stream>()?;
    let uid = server_uid(&socket)?;
    if trust.needs_lookup(&uid) {
        let (endpoint, trust) = (endpoint.clone(), trust.clone());
        let check = tokio::task::spawn_blocking(move || trust.check(&endpoint, uid));
        check.await.map_err(io::Error::other)??;
    } else {
        trust.check(endpoint, uid)?;
    }
    Ok(Stream::new(OwnedFd::from(socket).into())?)
}

impl Stream {
    /// A connected socket that does not block.
    pub(super) fn new(socket: UnixStream) -> io::Result<Self> {
        Ok(Self { socket: Some(register(socket, Interest::READABLE)?), wants_room: false })
    }

    fn socket(&self) -> io::Result<&AsyncFd<UnixStream>> {
        self.socket.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Writes something, once there is room.
    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        send: impl Fn(&UnixStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if !self.wants_room {
            match send(self.socket()?.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ask_for_room(context)?,
                sent => return Poll::Ready(sent),
            }
        }
        let socket = self.socket()?;
        loop {
            let mut ready = ready!(socket.poll_write_ready(context))?;
            if let Ok(sent) = ready.try_io(|socket| send(socket.get_ref())) {
                return Poll::Ready(sent);
            }
        }
    }

    fn ask_for_room(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let Some(socket) = self.socket.take() else { return Ok(()) };
        let socket = register(socket.into_inner(), Interest::READABLE | Interest::WRITABLE)?;
        // Whoever waits for something to read is this task: that the socket was registered anew must not be lost on it.
        if socket.poll_read_ready(context).is_ready() {
            context.waker().wake_by_ref();
        }
        self.socket = Some(socket);
        self.wants_room = true;
        Ok(())
    }
}

/// Has the runtime tell when the socket is ready.
#[expect(
    deprecated,
    reason = "its successor is unsafe for descriptors that can be closed; a UnixStream can't"
)]
pub(super) fn register<S: std::os::fd::AsRawFd>(socket: S, interest: Interest) -> io::Result<AsyncFd<S>> {
    AsyncFd::with_interest(socket, interest)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = self.socket()?;
        let space = buffer.initialize_unfilled();
        loop {
            let mut ready = ready!(socket.poll_read_ready(context))?;
            let Ok(read) = ready.try_io(|socket| socket.get_ref().read(space)) else { continue };
            let count = read?;
            if 0 < count && count < space.len() {
                // Nothing more is there, and another event tells of what comes: that saves finding it out by a system
                // call for each message.
                ready.clear_ready();
            }
            buffer.advance(count);
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(context, |mut socket| socket.write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(context, |mut socket| socket.write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Does nothing: a connection ends in both directions at once, when it is dropped.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;

    /// After which something that is waited for does not come.
    const PATIENCE: Duration = Duration::from_secs(10);

    fn pair() -> (Stream, Stream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        for end in [&ours, &theirs] {
            end.set_nonblocking(true).unwrap();
        }
        (Stream::new(ours).unwrap(), Stream::new(theirs).unwrap())
    }

    #[tokio::test]
    async fn who_finds_no_room_waits_for_it() {
        const LONG: usize = 4 * 1024 * 1024;
        let (mut ours, mut theirs) = pair();
        let other = tokio::spawn(async move {
            let mut received = vec![0; LONG];
            theirs.read_exact(&mut received).await.unwrap();
            assert!(received.iter().all(|byte| *byte == 7));
            theirs.write_all(b"more").await.unwrap();
            theirs.read_exact(&mut received[..4]).await.unwrap();
            received[..4].to_vec()
        });
        timeout(PATIENCE, ours.write_all(&vec![7; LONG])).await.unwrap().unwrap();
        let mut answer = [0; 4];
        timeout(PATIENCE, ours.read_exact(&mut answer)).await.unwrap().unwrap();
        assert!(ours.wants_room && answer == *b"more");
        ours.write_all(b"last").await.unwrap();
        assert_eq!(timeout(PATIENCE, other).await.unwrap().unwrap(), b"last");
    }

    #[tokio::test]
    async fn who_waits_for_room_still_hears_what_comes() {
        for leaves in [false, true] {
            let (mut ours, mut theirs) = pair();
            let mut byte = [0; 1];
            let is_full = Cell::new(false);
            let heard = poll_fn(|context| {
                let mut buffer = ReadBuf::new(&mut byte);
                if let Poll::Ready(read) = Pin::new(&mut ours).poll_read(context, &mut buffer) {
                    return Poll::Ready(read.map(|()| buffer.filled().len()));
                }
                while !is_full.get() {
                    is_full.set(Pin::new(&mut ours).poll_write(context, &[7; 4096]).is_pending());
                }
                Poll::Pending
            });
            let other = async {
                while !is_full.get() {
                    tokio::task::yield_now().await;
                }
                if !leaves {
                    theirs.write_all(b"x").await.unwrap();
                }
                (!leaves).then_some(theirs)
            };
            let (heard, _kept) = tokio::join!(timeout(PATIENCE, heard), other);
            match heard.unwrap() {
                Ok(count) => assert_eq!(count, usize::from(!leaves)),
                // Who leaves without having read everything resets the connection.
                Err(error) => assert!(leaves && error.kind() == io::ErrorKind::ConnectionReset),
            }
        }
    }

    #[tokio::test]
    async fn the_end_is_read_after_what_came_before_it() {
        let (mut ours, mut theirs) = pair();
        theirs.write_all(b"abc").await.unwrap();
        drop(theirs);
        let mut received = [0; 64];
        assert_eq!(timeout(PATIENCE, ours.read(&mut received)).await.unwrap().unwrap(), 3);
        assert_eq!(timeout(PATIENCE, ours.read(&mut received)).await.unwrap().unwrap(), 0);
    }
}
