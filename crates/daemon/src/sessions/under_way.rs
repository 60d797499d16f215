//! The requests of one connection that are not answered yet, and how the caller ends one of them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::FuturesUnordered;

use crate::quotas;
use crate::requests::Outcome;

/// Requests under way, by their ids.
#[derive(Default)]
pub(super) struct UnderWay(FuturesUnordered<Pending>);

struct Pending {
    id: u32,
    outcome: Abortable<Pin<Box<dyn Future<Output = Outcome> + Send>>>,
    abort: AbortHandle,
    _counted: quotas::UnderWay,
}

impl UnderWay {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes on a request that is answered later.
    pub(super) fn push(
        &mut self,
        id: u32,
        outcome: Pin<Box<dyn Future<Output = Outcome> + Send>>,
        counted: quotas::UnderWay,
    ) {
        let (abort, registration) = AbortHandle::new_pair();
        let outcome = Abortable::new(outcome, registration);
        self.0.push(Pending { id, outcome, abort, _counted: counted });
    }

    /// The next one that has come to its end; `None` while there is none under way. One that was cancelled has no
    /// outcome.
    pub(super) async fn next(&mut self) -> Option<(u32, Option<Outcome>)> {
        self.0.next().await
    }

    /// Ends the requests with this id, and says how many there were.
    pub(super) fn cancel(&self, id: u32) -> usize {
        let with_id = self.0.iter().filter(|pending| pending.id == id && !pending.abort.is_aborted());
        with_id.map(|pending| pending.abort.abort()).count()
    }
}

impl Future for Pending {
    type Output = (u32, Option<Outcome>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.outcome).poll(context));
        Poll::Ready((self.id, outcome.ok()))
    }
}
