//! The threads that exchanges with authorization servers run on.
//!
//! Each has a runtime of its own, and an issuer stays on one of them: what passes between the tasks of an exchange then
//! passes within a thread, and a server that keeps its thread busy has it for itself, but on hosts with very many issuers. What
//! shows a certificate is apart, too: its handshakes wait for the key store.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Beyond that, issuers share them.
const MOST: usize = 8;

/// The threads, and who is on which.
#[derive(Debug)]
pub(super) struct Threads {
    /// At least one.
    running: Vec<Thread>,
    /// By the names of the issuers.
    places: HashMap<String, usize>,
    /// For what shows a certificate, beside each that an issuer may have, from the first time on; `None` if it can't be started.
    showing: [OnceLock<Option<Thread>>; MOST],
}

/// A thread that ends, when it can, after this was dropped. Nobody waits for that.
#[derive(Debug)]
struct Thread {
    handle: Handle,
    _end: oneshot::Sender<()>,
}

impl Threads {
    /// Starts the first.
    pub(super) fn start() -> io::Result<Self> {
        Ok(Self {
            running: vec![Thread::start()?],
            places: HashMap::new(),
            showing: [const { OnceLock::new() }; MOST],
        })
    }

    /// Gives each of these issuers its thread, as far as there are threads: the one that it had before, where its
    /// connections are, or the one with the fewest others.
    pub(super) fn share<T>(&mut self, issuers: &BTreeMap<String, Arc<T>>) {
        while self.running.len() < issuers.len().min(MOST) {
            match Thread::start() {
                Ok(thread) => self.running.push(thread),
                Err(error) => {
                    tracing::warn!(
                        "a thread for an issuer of its own can't be started, it shares one: {error}"
                    );
                    break;
                }
            }
        }
        let before = std::mem::take(&mut self.places);
        let mut load = vec![0; self.running.len()];
        let (known, new): (Vec<_>, Vec<_>) = issuers.keys().partition(|name| before.contains_key(*name));
        for name in known {
            load[before[name]] += 1;
            self.places.insert(name.clone(), before[name]);
        }
        for name in new {
            let emptiest = (0..load.len()).min_by_key(|thread| load[*thread]).unwrap_or_default();
            load[emptiest] += 1;
            self.places.insert(name.clone(), emptiest);
        }
    }

    /// The one for what shows a certificate to an issuer.
    pub(super) fn showing(&self, issuer: &str) -> Option<&Handle> {
        let place = *self.places.get(issuer)?;
        let showing = self.showing[place].get_or_init(|| {
            let start = Thread::start();
            let warn =
                |error| tracing::warn!("a thread for what shows certificates can't be started: {error}");
            start.map_err(warn).ok()
        });
        self.of(issuer).map(|shared| showing.as_ref().map_or(shared, |thread| &thread.handle))
    }

    /// That of an issuer.
    pub(super) fn of(&self, issuer: &str) -> Option<&Handle> {
        self.places.get(issuer).map(|thread| &self.running[*thread].handle)
    }
}

impl Thread {
    /// The runtime is made where it runs. If there can be no thread, it must not be dropped here: the event loop's own
    /// runtime does not let another one end in it.
    fn start() -> io::Result<Self> {
        let (end, ended) = oneshot::channel();
        let (ready, started) = mpsc::sync_channel(1);
        thread::Builder::new().name("http".into()).spawn(move || {
            match Builder::new_current_thread().enable_all().thread_name("http-files").build() {
                Err(error) => _ = ready.send(Err(error)),
                Ok(runtime) => {
                    _ = ready.send(Ok(runtime.handle().clone()));
                    _ = runtime.block_on(ended);
                    runtime.shutdown_background();
                }
            }
        })?;
        let handle = started.recv().map_err(io::Error::other)??;
        Ok(Self { handle, _end: end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuers(names: &[&str]) -> BTreeMap<String, Arc<()>> {
        names.iter().map(|name| ((*name).to_owned(), Arc::new(()))).collect()
    }

    fn places(threads: &Threads) -> Vec<usize> {
        let sorted: BTreeMap<_, _> = threads.places.iter().collect();
        sorted.into_values().copied().collect()
    }

    #[test]
    fn every_issuer_has_its_thread_and_keeps_it() {
        let mut threads = Threads::start().unwrap();
        threads.share(&issuers(&["b", "c"]));
        assert_eq!(places(&threads), [0, 1]);
        threads.share(&issuers(&["a", "b", "c"]));
        assert_eq!(places(&threads), [2, 0, 1]);
        threads.share(&issuers(&["c", "d"]));
        assert_eq!(places(&threads), [1, 0]);
        assert!(threads.of("d").is_some() && threads.of("a").is_none());
    }

    #[test]
    fn what_shows_a_certificate_has_a_thread_beside_the_issuers() {
        let mut threads = Threads::start().unwrap();
        threads.share(&issuers(&["a", "b"]));
        let id = |handle: Option<&Handle>| handle.map(Handle::id);
        let ids = ["a", "b"].map(|name| [id(threads.of(name)), id(threads.showing(name))]).concat();
        assert!(ids.iter().all(Option::is_some) && id(threads.showing("c")).is_none());
        assert!((1..ids.len()).all(|place| !ids[..place].contains(&ids[place])), "{ids:?}");
        assert_eq!(id(threads.showing("a")), ids[1]);
    }

    #[test]
    fn very_many_issuers_share_them_evenly() {
        let mut threads = Threads::start().unwrap();
        let names: Vec<_> = (0..2 * MOST).map(|number| format!("{number:02}")).collect();
        threads.share(&issuers(&names.iter().map(String::as_str).collect::<Vec<_>>()));
        assert_eq!(threads.running.len(), MOST);
        for thread in 0..MOST {
            assert_eq!(places(&threads).iter().filter(|place| **place == thread).count(), 2);
        }
    }

    #[test]
    fn a_thread_ends_with_its_owner() {
        let threads = Threads::start().unwrap();
        let (alive, gone) = oneshot::channel::<()>();
        threads.running[0].handle.spawn(async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        drop(threads);
        assert!(gone.blocking_recv().is_err());
    }
}
