//! Logs: to the journal under systemd, to stderr otherwise, as `TOKENBROKER_LOG` filters them.
//!
//! Whoever reads stderr may stop reading, which must not stop the daemon: records go through a queue to a thread of
//! their own, and are dropped when the queue is full.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Records that wait to be written to stderr.
const QUEUE: usize = 10_000;

/// Sets the program's log up. A filter that can't be read is reported and replaced by the default.
///
/// What waits to be written is written when the returned value is dropped.
pub(crate) fn init() -> Option<WorkerGuard> {
    let (filter, refused) = match std::env::var("TOKENBROKER_LOG").map(|wanted| wanted.parse::<Targets>()) {
        Ok(Ok(filter)) => (filter, None),
        Ok(Err(error)) => (default(), Some(error)),
        Err(_) => (default(), None),
    };
    let registry = tracing_subscriber::registry().with(filter);
    // systemd sets JOURNAL_STREAM when stderr goes to the journal: then records go there with their fields.
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    let (outcome, guard) = match journal {
        Some(journal) => (registry.with(journal).try_init(), None),
        None => {
            let queue = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUE);
            let (writer, guard) = queue.finish(std::io::stderr());
            let stderr = tracing_subscriber::fmt::layer()
                .with_writer(writer)
                .with_ansi(std::io::stderr().is_terminal())
                .with_target(false);
            (registry.with(stderr).try_init(), Some(guard))
        }
    };
    if let Err(error) = outcome {
        eprintln!("warning: logs can't be set up: {error}");
    }
    if let Some(error) = refused {
        tracing::warn!("TOKENBROKER_LOG is not a filter ({error}); using \"{}\"", default());
    }
    guard
}

/// The crates we are built on are of interest only when something is wrong with them.
fn default() -> Targets {
    Targets::new().with_default(LevelFilter::WARN).with_target("tokenbrokerd", LevelFilter::INFO)
}
