//! Looks for what is wrong, for administrators who ask: `test` with one client, `doctor` with the whole host.
//!
//! Nothing of it is kept, and nothing waits for it: both run on threads of their own, of which there are few.

mod advice;
mod doctor;
mod exchange;
mod probe;
mod test;

use std::sync::Arc;

use tokenbroker_core::config::Client;
use tokenbroker_core::engine::Failure;
use tokenbroker_protocol::{Check, Failure as Refused, FailureCode, Verdict};
use tokio::runtime::Builder;
use tokio::sync::Semaphore;

use crate::shared::Shared;

/// So many examinations run at a time.
const MOST: usize = 8;

static SEATS: Semaphore = Semaphore::const_new(MOST);

/// One token request with a client's credential, every step explained.
pub(crate) async fn test(shared: Arc<Shared>, client: Arc<Client>) -> Result<Vec<Check>, Refused> {
    apart(move || test::run(shared, client)).await
}

/// What is wrong with this host's set-up.
pub(crate) async fn doctor(shared: Arc<Shared>) -> Result<Vec<Check>, Refused> {
    apart(move || doctor::run(shared)).await
}

/// Runs it with a runtime of its own, so that neither callers nor token requests are kept waiting by it.
async fn apart<F: Future<Output = Vec<Check>>>(
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<Vec<Check>, Refused> {
    let failed = |what: String| Refused::new(FailureCode::Internal, what);
    let Ok(seat) = SEATS.try_acquire() else {
        let refused = Refused::new(FailureCode::Refused, format!("{MOST} examinations run already"));
        return Err(refused.with_hint("try again when they are done: each ends within a minute or two"));
    };
    let done = tokio::task::spawn_blocking(move || {
        let _seat = seat;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let checks = runtime.block_on(work());
        // A look-up that hangs is left behind.
        runtime.shutdown_background();
        std::io::Result::Ok(checks)
    });
    match done.await {
        Ok(Ok(checks)) => Ok(checks),
        Ok(Err(error)) => Err(failed(format!("a runtime can't be made: {error}"))),
        Err(_) => Err(failed("the examination panicked; this is a fault of tokenbrokerd".into())),
    }
}

/// The checks that were made, in their order.
#[derive(Debug, Default)]
struct Report(Vec<Check>);

impl Report {
    fn good(&mut self, subject: &str, finding: impl Into<String>) {
        self.add(subject, Verdict::Good, finding.into(), None);
    }

    fn warn(&mut self, subject: &str, finding: impl Into<String>, remedy: impl Into<String>) {
        self.add(subject, Verdict::Warning, finding.into(), Some(remedy.into()));
    }

    fn bad(&mut self, subject: &str, finding: impl Into<String>, remedy: Option<String>) {
        self.add(subject, Verdict::Bad, finding.into(), remedy);
    }

    fn failed(&mut self, subject: &str, failure: Failure) {
        self.bad(subject, failure.message, failure.hint);
    }

    fn add(&mut self, subject: &str, verdict: Verdict, finding: String, remedy: Option<String>) {
        self.0.push(Check { subject: subject.into(), verdict, finding, remedy });
    }

    /// What of these was not looked at, because something before it is bad.
    fn skip(mut self, subjects: &[&str]) -> Vec<Check> {
        let looked_at = |subject: &str| self.0.iter().any(|check| check.subject == subject);
        let skipped: Vec<_> = subjects.iter().filter(|subject| !looked_at(subject)).copied().collect();
        for subject in skipped {
            self.add(
                subject,
                Verdict::Skipped,
                "not looked at, because of what was found before".into(),
                None,
            );
        }
        self.0
    }
}
