//! A daemon that hangs on demand, for tests of what happens then. Release builds don't have this.

use std::ffi::c_int;

use futures_util::StreamExt;
pub(crate) use signal_hook::consts::{SIGUSR1 as OF_EVENT_LOOP, SIGUSR2 as OF_IPC};
use signal_hook_tokio::Signals;

/// Blocks the thread that it runs on for good once the signal has arrived.
pub(crate) async fn at(signal: c_int) {
    let Ok(mut signals) = Signals::new([signal]) else { return };
    if signals.next().await.is_some() {
        loop {
            std::thread::park();
        }
    }
}
