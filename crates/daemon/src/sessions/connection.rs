//! One connection: hello, then requests as they come and replies as they are ready.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, poll};
use tokenbroker_ipc::{PeerIdentity, Stream};
use tokenbroker_protocol::hello::{CallerHello, DaemonHello};
use tokenbroker_protocol::{FrameBuffer, Reply, Request, decode, encode_into, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Sleep;
use zeroize::Zeroize;

use crate::convert;
use crate::requests::{self, Answer, Outcome, Session};
use crate::shared::Shared;

/// How long a caller may take from connecting to the end of its hello, and from the first byte of a later frame to
/// its last.
const FRAME_DEADLINE: Duration = Duration::from_secs(5);

/// How long a caller may leave replies unread.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// How many requests of one connection may be under way; further ones are read when one of them is done.
const MAX_UNDER_WAY: usize = 64;

/// Replies are written once this much has gathered, in bytes.
const FULL: usize = 64 * 1024;

type UnderWay = FuturesUnordered<Pin<Box<dyn Future<Output = (u32, Outcome)> + Send>>>;

/// A connection and what is under way on it.
pub(super) struct Connection {
    stream: Stream,
    session: Session,
    shared: Arc<Shared>,
    received: FrameBuffer,
    replies: Vec<u8>,
    under_way: UnderWay,
}

impl Connection {
    pub(super) fn new(stream: Stream, peer: PeerIdentity, shared: Arc<Shared>) -> Self {
        Self {
            stream,
            session: Session::new(peer, Arc::clone(&shared)),
            shared,
            received: FrameBuffer::default(),
            replies: Vec::new(),
            under_way: FuturesUnordered::new(),
        }
    }

    /// Serves it until the caller leaves, breaks the rules, or the daemon shuts down.
    pub(super) async fn run(mut self) {
        let stopping = self.shared.stopping.clone();
        let greeted = tokio::select! {
            greeted = self.shake_hands() => greeted,
            () = stopping.cancelled() => Err(Ended::Stopping),
        };
        let ended = match greeted {
            Ok(()) => self.serve().await,
            Err(ended) => ended,
        };
        tracing::debug!("a connection ended: {ended}");
    }

    async fn shake_hands(&mut self) -> Result<(), Ended> {
        let hello = tokio::time::timeout(FRAME_DEADLINE, async {
            loop {
                if let Some(payload) = self.received.next_frame().map_err(|_| Ended::Malformed)? {
                    return CallerHello::parse(payload).map_err(|_| Ended::Malformed);
                }
                receive(&mut self.stream, &mut self.received).await?;
            }
        });
        let hello = hello.await.map_err(|_| Ended::TooSlow)??;
        let version = hello.choose();
        let answer = DaemonHello { version, instance: self.shared.instance }.to_bytes();
        let answer = frame(&answer).map_err(|_| Ended::Malformed)?;
        self.replies.extend_from_slice(answer.expose());
        self.flush().await?;
        version.map(|_| ()).ok_or(Ended::NoCommonVersion)
    }

    async fn serve(&mut self) -> Ended {
        let mut stopping = pin!(self.shared.stopping.clone().cancelled_owned());
        // Runs from the first byte of a frame that is not complete yet.
        let mut frame_deadline: Option<Pin<Box<Sleep>>> = None;
        loop {
            let taken = match self.take_requests().await {
                Ok(taken) => taken,
                Err(ended) => return ended,
            };
            let reading = self.under_way.len() < MAX_UNDER_WAY;
            if taken > 0 || !reading || !self.received.is_partial() {
                frame_deadline = None;
            }
            if reading && self.received.is_partial() {
                frame_deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(FRAME_DEADLINE)));
            }
            let step = tokio::select! {
                received = receive(&mut self.stream, &mut self.received), if reading => received,
                Some((id, outcome)) = self.under_way.next() => {
                    self.reply(id, outcome);
                    self.flush().await
                }
                () = passed(&mut frame_deadline) => Err(Ended::TooSlow),
                () = &mut stopping => break,
            };
            if let Err(ended) = step {
                return ended;
            }
        }
        self.drain().await
    }

    /// The daemon shuts down: what is under way is told so by the event loop's end, and answered.
    async fn drain(&mut self) -> Ended {
        while let Some((id, outcome)) = self.under_way.next().await {
            self.reply(id, outcome);
        }
        self.flush().await.err().unwrap_or(Ended::Stopping)
    }

    /// Takes the requests that were received whole and writes what can be answered at once; says how many it took.
    async fn take_requests(&mut self) -> Result<usize, Ended> {
        let mut taken = 0;
        while self.under_way.len() < MAX_UNDER_WAY {
            let Request { id, command } = match self.received.next_frame().map(|frame| frame.map(decode)) {
                Ok(Some(Ok(request))) => request,
                Ok(None) => break,
                Err(_) | Ok(Some(Err(_))) => {
                    // What came before it was in order, and gets its answer.
                    self.flush().await?;
                    return Err(Ended::Malformed);
                }
            };
            match self.session.answer(command) {
                Answer::Now(outcome) => self.reply(id, outcome),
                Answer::Later(outcome) => self.under_way.push(Box::pin(async move { (id, outcome.await) })),
            }
            if self.replies.len() >= FULL {
                self.flush().await?;
            }
            taken += 1;
        }
        self.flush().await?;
        Ok(taken)
    }

    fn reply(&mut self, id: u32, outcome: Outcome) {
        let encoded = match outcome {
            Outcome::Token { granted, now } => {
                encode_into(&convert::token(id, &granted, now), &mut self.replies)
            }
            Outcome::Response(response) => encode_into(&Reply { id, response }, &mut self.replies),
        };
        if encoded.is_err() {
            let response = requests::does_not_fit();
            if encode_into(&Reply { id, response }, &mut self.replies).is_err() {
                tracing::error!("a reply could not be encoded");
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let written = {
            let mut write = pin!(self.stream.write_all(&self.replies));
            // Nearly always the socket takes it at once, and no deadline is needed.
            match poll!(&mut write) {
                Poll::Ready(written) => Ok(written),
                Poll::Pending => tokio::time::timeout(WRITE_DEADLINE, write).await,
            }
        };
        // Only what was written: wiping the spare room, too, would cost more than the write.
        self.replies.as_mut_slice().zeroize();
        self.replies.clear();
        written.map_err(|_| Ended::TooSlow)?.map_err(Ended::Io)
    }
}

/// Waits for a deadline; for ever if there is none.
async fn passed(deadline: &mut Option<Pin<Box<Sleep>>>) {
    match deadline {
        Some(deadline) => deadline.await,
        None => std::future::pending().await,
    }
}

async fn receive(stream: &mut Stream, received: &mut FrameBuffer) -> Result<(), Ended> {
    match stream.read(received.space()).await {
        Ok(0) => Err(Ended::Left),
        Ok(count) => {
            received.filled(count);
            Ok(())
        }
        Err(error) => Err(Ended::Io(error)),
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the caller left")]
    Left,
    #[error("the daemon shuts down")]
    Stopping,
    #[error("the caller does not speak the protocol")]
    Malformed,
    #[error("there is no common version of the protocol")]
    NoCommonVersion,
    #[error("the caller was too slow")]
    TooSlow,
    #[error("the connection broke: {0}")]
    Io(io::Error),
}
