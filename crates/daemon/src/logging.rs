//! Logs: to the journal under systemd, to stderr otherwise, as `TOKENBROKER_LOG` filters them.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The crates we are built on are of interest only when something is wrong with them.
const DEFAULT: &str = "warn,tokenbrokerd=info";

/// Sets the program's log up. A filter that can't be read is reported and replaced by the default.
pub(crate) fn init() {
    let (filter, refused) = match std::env::var("TOKENBROKER_LOG") {
        Ok(wanted) => match EnvFilter::try_new(&wanted) {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new(DEFAULT), Some(error)),
        },
        Err(_) => (EnvFilter::new(DEFAULT), None),
    };
    let registry = tracing_subscriber::registry().with(filter);
    // systemd sets JOURNAL_STREAM when stderr goes to the journal: then records go there with their fields.
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    let outcome = match journal {
        Some(journal) => registry.with(journal).try_init(),
        None => {
            let stderr = tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(std::io::stderr().is_terminal())
                .with_target(false);
            registry.with(stderr).try_init()
        }
    };
    if let Err(error) = outcome {
        eprintln!("warning: logs can't be set up: {error}");
    }
    if let Some(error) = refused {
        tracing::warn!("TOKENBROKER_LOG is not a filter ({error}); using \"{DEFAULT}\"");
    }
}
