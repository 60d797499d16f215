//! One connection: hello, then requests as they come and replies as they are ready.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::poll;
use tokenbroker_ipc::{PeerIdentity, Stream};
use tokenbroker_protocol::hello::{CallerHello, DaemonHello, HIGHEST};
use tokenbroker_protocol::{
    CONNECTION, Command, Failure, FailureCode, FrameBuffer, GetToken, Reply, Request, Response, decode,
    encode_into, frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Sleep;
use zeroize::Zeroize;

use super::subscriptions::{Subscriptions, Taken};
use super::under_way::UnderWay;
use crate::clock;
use crate::convert;
use crate::quotas::Admission;
use crate::requests::{self, Answer, Outcome, Session};
use crate::shared::Shared;

/// How long a caller may take from connecting to the end of its hello, and from the first byte of a later frame to
/// its last.
const FRAME_DEADLINE: Duration = Duration::from_secs(5);

/// How long a caller may leave replies unread.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// Replies are written once this much has gathered, in bytes.
const FULL: usize = 64 * 1024;

/// The room for replies that a connection keeps while there are none.
const KEPT: usize = 8 * 1024;

/// After so many requests it is the other connections' turn: what a caller has sent at once can be thousands.
const AT_A_TIME: usize = 64;

/// A connection and what is under way on it.
pub(super) struct Connection {
    stream: Stream,
    session: Session,
    shared: Arc<Shared>,
    received: FrameBuffer,
    replies: Vec<u8>,
    /// Further requests are taken when one of so many is done.
    most_under_way: usize,
    under_way: UnderWay,
    subscriptions: Subscriptions,
    admission: Admission,
}

impl Connection {
    pub(super) fn new(stream: Stream, peer: PeerIdentity, admission: Admission, shared: Arc<Shared>) -> Self {
        Self {
            stream,
            session: Session::new(peer, &admission, Arc::clone(&shared)),
            received: FrameBuffer::for_requests(),
            replies: Vec::new(),
            most_under_way: shared.config.load().daemon.limits.requests_per_connection as usize,
            under_way: UnderWay::default(),
            subscriptions: Subscriptions::new(Arc::clone(&shared)),
            admission,
            shared,
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

    /// Says why a caller is not served, without waiting for what it has to say.
    pub(super) async fn refuse(mut stream: Stream, instance: [u8; 16], failure: Failure) {
        let mut words = Vec::new();
        let hello = frame(&DaemonHello { version: Some(HIGHEST), instance }.to_bytes());
        let reply = Reply { id: CONNECTION, response: Response::Failed(failure) };
        if let (Ok(hello), Ok(())) = (hello, encode_into(&reply, &mut words)) {
            words.splice(..0, hello.expose().iter().copied());
            // The buffer of a new connection is empty, and takes this at once.
            let _gone_meanwhile = tokio::time::timeout(FRAME_DEADLINE, stream.write_all(&words)).await;
        }
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
            self.received.wipe();
            if let Err(failure) = self.admission.hold(self.received.capacity() + self.replies.capacity()) {
                self.reply(CONNECTION, failure.into());
                return self.flush().await.err().unwrap_or(Ended::TooMuch);
            }
            if taken == AT_A_TIME {
                frame_deadline = None;
                tokio::task::yield_now().await;
                // Whoever goes on sending would come first below, every time.
                if self.shared.stopping.is_cancelled() {
                    break;
                }
                continue;
            }
            let taking = self.under_way.len() < self.most_under_way;
            if taken > 0 || !taking || !self.received.is_partial() {
                frame_deadline = None;
            }
            if taking && self.received.is_partial() {
                frame_deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(FRAME_DEADLINE)));
            }
            // A caller that leaves is noticed whatever it has under way.
            let reading = taking || self.received.has_room();
            // Answers first, which are as many as were asked for; then, nearly always, it is the next request that comes.
            let step = tokio::select! {
                biased;
                Some((id, outcome)) = self.under_way.next(), if self.under_way.len() > 0 => {
                    self.done(id, outcome);
                    self.flush().await
                }
                () = self.subscriptions.changed(), if !self.subscriptions.is_empty() => self.tell_news().await,
                received = receive(&mut self.stream, &mut self.received), if reading => received,
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
            self.done(id, outcome);
        }
        self.flush().await.err().unwrap_or(Ended::Stopping)
    }

    /// Takes requests that were received whole and writes what can be answered at once; says how many it took.
    async fn take_requests(&mut self) -> Result<usize, Ended> {
        let mut taken = 0;
        while taken < AT_A_TIME && self.under_way.len() < self.most_under_way {
            let Request { id, command } = match self.received.next_frame().map(|frame| frame.map(decode)) {
                Ok(Some(Ok(request))) => request,
                Ok(None) => break,
                Err(_) | Ok(Some(Err(_))) => {
                    // What came before it was in order, and gets its answer.
                    self.flush().await?;
                    return Err(Ended::Malformed);
                }
            };
            match command {
                Command::Subscribe(get) => self.subscribe(id, get),
                Command::Cancel { id: cancelled } => self.cancel(id, cancelled),
                command => self.request(id, command),
            }
            if self.replies.len() >= FULL {
                self.flush().await?;
            }
            taken += 1;
        }
        self.flush().await?;
        Ok(taken)
    }

    fn request(&mut self, id: u32, command: Command) {
        match self.session.answer(command) {
            Answer::Now(outcome) => self.done(id, Some(outcome)),
            Answer::Later(outcome) => match self.admission.begin() {
                Ok(counted) => self.under_way.push(id, outcome, counted),
                Err(failure) => self.done(id, Some(failure.into())),
            },
        }
    }

    fn subscribe(&mut self, id: u32, get: GetToken) {
        if self.subscriptions.has(id) {
            let message = "there is a subscription with this id on the connection";
            return self.reply(id, Failure::new(FailureCode::InvalidRequest, message).into());
        }
        match Taken::for_subscription(&self.admission, &get) {
            Ok(taken) => {
                self.subscriptions.expect(id, get.clone(), taken);
                self.request(id, Command::GetToken(get));
            }
            Err(failure) => self.reply(id, failure.into()),
        }
    }

    fn cancel(&mut self, id: u32, cancelled: u32) {
        let requests = self.under_way.cancel(cancelled);
        self.subscriptions.cancel(cancelled);
        for _ in 0..requests {
            let failure = Failure::new(FailureCode::Cancelled, "the caller cancelled this");
            self.reply(cancelled, failure.into());
        }
        self.reply(id, Response::Done.into());
    }

    /// A request has come to its end. One that was cancelled has had its answer.
    fn done(&mut self, id: u32, outcome: Option<Outcome>) {
        let Some(outcome) = outcome else { return };
        self.subscriptions.answered(&self.session, id, &outcome);
        self.reply(id, outcome);
    }

    async fn tell_news(&mut self) -> Result<(), Ended> {
        for (id, outcome) in self.subscriptions.news(&self.session, clock::moment()) {
            self.reply(id, outcome);
            if self.replies.len() >= FULL {
                self.flush().await?;
            }
        }
        self.flush().await
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
                Poll::Ready(written) => written.map_err(Ended::Io),
                // What the caller leaves unread is held for it.
                Poll::Pending => {
                    match self.admission.hold(self.received.capacity() + self.replies.capacity()) {
                        Ok(()) => match tokio::time::timeout(WRITE_DEADLINE, write).await {
                            Ok(written) => written.map_err(Ended::Io),
                            Err(_) => Err(Ended::TooSlow),
                        },
                        Err(_) => Err(Ended::TooMuch),
                    }
                }
            }
        };
        // Only what was written: wiping the spare room, too, would cost more than the write.
        self.replies.as_mut_slice().zeroize();
        self.replies.clear();
        self.replies.shrink_to(KEPT);
        written
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
    #[error("the caller's user has more than its quota")]
    TooMuch,
    #[error("the connection broke: {0}")]
    Io(io::Error),
}
