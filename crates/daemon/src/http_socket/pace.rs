//! How quick a caller has to be: a stream with deadlines for sending a request and for reading its reply.
//!
//! A timer runs only while a caller is waited for in the middle of something. Between requests a connection may be idle for
//! as long as it likes, like a native one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokenbroker_ipc::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

/// How long a caller may take from connecting to the end of its first request, and from the first byte of a later one
/// to its last.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// How long a caller may leave a reply unread.
pub(super) const REPLY_DEADLINE: Duration = Duration::from_secs(10);

/// How many requests were received whole: what HTTP knows, and a stream of bytes doesn't.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicU64);

impl Progress {
    /// A request was received to its end.
    pub(super) fn received(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream whose reads and writes fail once the caller is too slow, or the daemon shuts down in the middle of a request.
#[derive(Debug)]
pub(super) struct Paced<S = Stream> {
    stream: S,
    progress: Arc<Progress>,
    stopping: CancellationToken,
    /// The number of the request that is being received, counted from 0. It is over once so many were received whole
    /// and one more.
    receiving: u64,
    receive_by: Option<Pin<Box<Sleep>>>,
    reply_by: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, progress: Arc<Progress>, stopping: CancellationToken) -> Self {
        Self { stream, progress, stopping, receiving: 0, receive_by: None, reply_by: None }
    }

    /// Nothing has come yet: says whether that is in time.
    fn poll_overdue(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.receiving != self.progress.count() {
            self.receive_by = None;
            return Poll::Pending;
        }
        if self.stopping.is_cancelled() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        poll_deadline(&mut self.receive_by, REQUEST_DEADLINE, context)
    }

    fn poll_written(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(written) => Poll::Ready(written),
            Poll::Pending => {
                let overdue = poll_deadline(&mut self.reply_by, REPLY_DEADLINE, context);
                overdue.map(|overdue| overdue.map(|()| 0))
            }
        }
    }
}

/// An error when the deadline, which starts with the first call, has passed.
fn poll_deadline(
    deadline: &mut Option<Pin<Box<Sleep>>>,
    after: Duration,
    context: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let sleep = deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
    sleep.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(context, buffer) else {
            return this.poll_overdue(context);
        };
        let count = this.progress.count();
        if buffer.filled().len() > before && this.receiving != count {
            this.receiving = count;
            this.receive_by = None;
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.poll_written(written, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.poll_written(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// HTTP flushes when all of a reply was written.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.reply_by = None;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn pair(room: usize) -> (Paced<DuplexStream>, DuplexStream, Arc<Progress>, CancellationToken) {
        let (ours, theirs) = duplex(room);
        let (progress, stopping) = (Arc::new(Progress::default()), CancellationToken::new());
        (Paced::new(ours, Arc::clone(&progress), stopping.clone()), theirs, progress, stopping)
    }

    async fn how_long<T>(what: impl Future<Output = T>) -> (T, Duration) {
        let watch = tokio::time::sleep(Duration::ZERO).deadline();
        let outcome = what.await;
        (outcome, tokio::time::sleep(Duration::ZERO).deadline() - watch)
    }

    #[tokio::test(start_paused = true)]
    async fn s08_a_byte_now_and_then_does_not_move_the_deadline() {
        let (mut paced, mut caller, _progress, _) = pair(64);
        let sending = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if caller.write_all(b"G").await.is_err() {
                    return;
                }
            }
        });
        let (error, took) = how_long(async {
            loop {
                if let Err(error) = paced.read_u8().await {
                    return error.kind();
                }
            }
        })
        .await;
        assert_eq!((error, took.as_secs()), (io::ErrorKind::TimedOut, 5));
        drop(paced);
        sending.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_request_has_a_deadline_of_its_own_and_idling_has_none() {
        let (mut paced, mut caller, progress, _) = pair(64);
        caller.write_all(b"G").await.unwrap();
        paced.read_u8().await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_secs(4), paced.read_u8());
        assert!(waiting.await.is_err(), "and the deadline is set");
        progress.received();
        let idle = tokio::time::timeout(Duration::from_secs(3600), paced.read_u8());
        assert!(idle.await.is_err(), "it waits for as long as it takes");

        caller.write_all(b"G").await.unwrap();
        paced.read_u8().await.unwrap();
        let (error, took) = how_long(paced.read_u8()).await;
        assert_eq!((error.unwrap_err().kind(), took.as_secs()), (io::ErrorKind::TimedOut, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn s09_a_reply_that_is_read_a_little_at_a_time_is_given_up_at_its_deadline() {
        let (mut paced, mut caller, _progress, _) = pair(1);
        let reading = tokio::spawn(async move {
            while caller.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let (written, took) = how_long(paced.write_all(&[0; 100])).await;
        assert_eq!((written.unwrap_err().kind(), took.as_secs()), (io::ErrorKind::TimedOut, 10));
        drop(paced);
        reading.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn s66_a_shutdown_ends_what_is_half_received_and_waits_for_what_is_whole() {
        let (mut paced, mut caller, progress, stopping) = pair(64);
        caller.write_all(b"G").await.unwrap();
        paced.read_u8().await.unwrap();
        progress.received();
        stopping.cancel();
        let whole = tokio::time::timeout(Duration::from_secs(3600), paced.read_u8());
        assert!(whole.await.is_err());

        caller.write_all(b"G").await.unwrap();
        paced.read_u8().await.unwrap();
        assert_eq!(paced.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
}
