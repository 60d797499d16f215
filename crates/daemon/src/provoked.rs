//! Panics on demand while a secret is at hand, in builds for tests only: what comes out of a panic must not show it.

use std::fmt::Debug;

use tokenbroker_core::config::ClientName;

/// Where one can be provoked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// The task of a caller's connection.
    Session,
    /// The key store's thread.
    KeyStore,
}

/// Panics if `TOKENBROKER_PROVOKED_PANIC` names the place and the client, as in `session:app`.
#[cfg(debug_assertions)]
pub(crate) fn panic_if_asked(place: Place, client: &ClientName, at_hand: &impl Debug) {
    let place = match place {
        Place::Session => "session",
        Place::KeyStore => "key-store",
    };
    let asked = std::env::var("TOKENBROKER_PROVOKED_PANIC");
    if asked.is_ok_and(|asked| asked == format!("{place}:{client}")) {
        panic!("provoked in {place} for {client}, with {at_hand:?}");
    }
}

/// Does nothing: this is the program that ships.
#[cfg(not(debug_assertions))]
pub(crate) fn panic_if_asked(_: Place, _: &ClientName, _: &impl Debug) {}
