//! The daemon: drivers around `tokenbroker-core`, and the order in which everything starts and ends.
//!
//! Five kinds of thread: the event loop with signals (`event_loop`), HTTP (`http`), callers (`sessions` and
//! `http_socket`), the key store (`key_store`), and the one that writes what is to be remembered of callers (`audit`). The decisions are in `tokenbroker-core`; nothing here knows when a token is due.

mod access;
mod audit;
mod certificates;
mod clock;
mod configuration;
mod convert;
mod descriptors;
mod diagnosis;
mod event_loop;
mod http;
mod http_socket;
mod kept_tokens;
mod key_store;
mod log;
mod logging;
mod memory;
mod options;
mod places;
mod provoked;
mod quotas;
mod requests;
mod sessions;
mod shared;
#[cfg(debug_assertions)]
mod stall;
mod startup;
mod subscribers;
mod systemd;
mod unit_rules;
mod watchdog;

use std::process::ExitCode;

pub use self::options::Options;
use self::startup::StartError;

/// EX_CONFIG of sysexits.h: the service manager should not try again.
const CONFIGURATION_REFUSED: u8 = 78;

/// The allocator of the program: what its libraries free is wiped.
pub use tokenbroker_secret::heap::Wiping;

/// Runs the daemon to its end, and says how the process exits: 0 after SIGTERM, 78 if the configuration is refused,
/// 1 otherwise.
pub fn run(options: &Options) -> ExitCode {
    let undone = memory::close();
    let log = logging::init();
    undone.iter().for_each(|undone| tracing::warn!("{undone}"));
    descriptors::raise_limit();
    let outcome =
        if options.check_config { startup::check(options) } else { startup::start(options).and_then(serve) };
    // What was logged comes before the last word.
    drop(log);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            match error {
                StartError::Configuration(_) => ExitCode::from(CONFIGURATION_REFUSED),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Serves until a signal ends it, then lets callers finish.
fn serve(daemon: startup::Daemon) -> Result<(), StartError> {
    let startup::Daemon { event_loop_runtime, event_loop, signals, ipc, shared, lock } = daemon;
    systemd::ready();
    tracing::info!(clients = shared.config.load().clients.len(), "ready");
    let outcome = event_loop_runtime.run(event_loop, signals);
    systemd::stopping();
    tracing::info!("shutting down");
    shared.stopping.cancel();
    let sessions_panicked = ipc.join().is_err();
    shared.audit.stop();
    drop(lock);
    outcome.map_err(StartError::io("the event loop failed"))?;
    if sessions_panicked { Err(StartError::Panicked) } else { Ok(()) }
}
