//! The service manager's watchdog: it is told that the daemon is alive, by a round trip through both threads that callers
//! depend on.
//!
//! A task of the IPC thread asks the event loop. If either of them doesn't get on, nothing is told, and the service
//! manager ends the daemon and starts another. The key store may take as long as it likes: nobody waits for it here.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::shared::{Ask, Shared};
use crate::systemd;

/// Tells the service manager twice in the time that it allows, until the daemon shuts down. Runs on the IPC thread.
pub(crate) async fn run(shared: &Shared) {
    if let Some(allowed) = systemd::watchdog() {
        tokio::select! {
            () = keep_telling(allowed / 2, &shared.event_loop, systemd::alive) => {}
            () = shared.stopping.cancelled() => {}
        }
    }
}

/// Ends when the event loop has.
async fn keep_telling(every: Duration, event_loop: &mpsc::UnboundedSender<Ask>, tell: impl Fn()) {
    loop {
        tokio::time::sleep(every).await;
        let (reply, answer) = oneshot::channel();
        if event_loop.send(Ask::Alive { reply }).is_err() || answer.await.is_err() {
            return;
        }
        tell();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const EVERY: Duration = Duration::from_secs(15);

    #[tokio::test(start_paused = true)]
    async fn s65_it_is_told_as_long_as_the_event_loop_answers_and_not_a_moment_longer() {
        let (event_loop, mut asks) = mpsc::unbounded_channel();
        let told = Cell::new(0);
        let telling = keep_telling(EVERY, &event_loop, || told.set(told.get() + 1));
        let answering = async {
            for _ in 0..3 {
                let Some(Ask::Alive { reply }) = asks.recv().await else { panic!("another question") };
                reply.send(()).unwrap();
            }
            // It takes the fourth, and stalls.
            let _unanswered = asks.recv().await;
            tokio::time::sleep(100 * EVERY).await;
        };
        tokio::select! {
            () = telling => panic!("the event loop is still there"),
            () = answering => {}
        }
        assert_eq!(told.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_event_loop() {
        let (event_loop, asks) = mpsc::unbounded_channel();
        drop(asks);
        keep_telling(EVERY, &event_loop, || panic!("nobody is alive")).await;
    }
}
