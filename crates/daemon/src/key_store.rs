//! The key store on a thread of its own: a call can hang (a D-Bus peer may never answer), and signing takes
//! milliseconds that no caller should wait for.
//!
//! Each call has a deadline. A job that is still at work at its own counts as hung: later calls fail at once, until the
//! thread comes back from it. One that only waited for its turn is given up, and says nothing about the store.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tokenbroker_core::engine::KeyStoreFailure;
use tokenbroker_keystore::{Accepted, Error, KeyStore};
use tokio::sync::oneshot;

/// For what callers wait for.
pub(crate) const QUICK: Duration = Duration::from_secs(5);

/// For what an administrator waits for: generating a large RSA key can take seconds.
pub(crate) const PATIENT: Duration = Duration::from_secs(30);

type Job = Box<dyn FnOnce(&mut KeyStore) + Send>;

/// The way to the key store's thread.
#[derive(Debug, Clone)]
pub(crate) struct KeyStoreThread {
    jobs: mpsc::Sender<Job>,
    progress: Arc<Progress>,
    accepted: Accepted,
}

/// Jobs are numbered from 1 in the order in which they are begun.
#[derive(Debug, Default)]
struct Progress {
    begun: AtomicU64,
    done: AtomicU64,
    /// The last job that was found to hang.
    hung: AtomicU64,
}

impl KeyStoreThread {
    /// Starts the thread; it ends when the last clone of what is returned is dropped.
    pub(crate) fn start(mut store: KeyStore) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let accepted = store.accepted();
        std::thread::Builder::new().name("key-store".into()).spawn(move || {
            for job in queue {
                // A panic is the job's alone: its reply is dropped, and the store goes on with the next.
                let _panicked = catch_unwind(AssertUnwindSafe(|| job(&mut store)));
            }
        })?;
        Ok(Self { jobs, progress: Arc::default(), accepted })
    }

    /// Notes that a next credential was accepted, though the thread may be busy: nothing else happens to the client's
    /// credentials before the store knows.
    pub(crate) fn note_accepted(&self, client: &str, version: &str) {
        self.accepted.note(client, version);
    }

    /// Has the thread do something with the store.
    ///
    /// A job whose turn comes after its deadline, or after whoever gave it is gone, is not begun; one that is in the
    /// middle of something then is carried to its end.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        deadline: Duration,
        job: impl FnOnce(&mut KeyStore) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, CallError> {
        let (reply, outcome) = oneshot::channel();
        let begun = self.give(job, reply, oneshot::Sender::is_closed, |reply, result| {
            let _gone_meanwhile = reply.send(result);
        })?;
        match tokio::time::timeout(deadline, outcome).await {
            Ok(Ok(result)) => result.map_err(CallError::Store),
            Ok(Err(_)) => Err(CallError::Panicked),
            Err(_) => Err(self.is_late(&begun)),
        }
    }

    /// The same, for a thread that can do nothing but wait.
    pub(crate) fn call_blocking<T: Send + 'static>(
        &self,
        deadline: Duration,
        job: impl FnOnce(&mut KeyStore) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, CallError> {
        let (reply, outcome) = mpsc::sync_channel(1);
        let begun = self.give(
            job,
            reply,
            |_| false,
            |reply, result| {
                let _gone_meanwhile = reply.send(result);
            },
        )?;
        match outcome.recv_timeout(deadline) {
            Ok(result) => result.map_err(CallError::Store),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(CallError::Panicked),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(self.is_late(&begun)),
        }
    }

    /// Puts a job into the queue; what is returned is its number, once it is begun.
    fn give<T: 'static, R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut KeyStore) -> Result<T, Error> + Send + 'static,
        reply: R,
        is_closed: fn(&R) -> bool,
        send: fn(R, Result<T, Error>),
    ) -> Result<Arc<AtomicU64>, CallError> {
        let progress = &self.progress;
        if progress.done.load(Ordering::Acquire) < progress.hung.load(Ordering::Acquire) {
            return Err(CallError::Hangs);
        }
        let begun = Arc::new(AtomicU64::new(0));
        let (report, begins) = (Arc::clone(progress), Arc::clone(&begun));
        let job: Job = Box::new(move |store| {
            let number = report.begun.fetch_add(1, Ordering::Relaxed) + 1;
            begins.store(number, Ordering::Release);
            // Before the reply, or a call that follows it at once could still find the store hung; and after a panic.
            let done = Done { number, progress: report };
            let result = (!is_closed(&reply)).then(|| job(store));
            drop(done);
            if let Some(result) = result {
                send(reply, result);
            }
        });
        self.jobs.send(job).map_err(|_| CallError::Panicked)?;
        Ok(begun)
    }

    /// A job is not done at its deadline: it hangs, or its turn has not come.
    fn is_late(&self, begun: &AtomicU64) -> CallError {
        match begun.load(Ordering::Acquire) {
            0 => CallError::Busy,
            number => {
                self.progress.hung.fetch_max(number, Ordering::Release);
                CallError::Hangs
            }
        }
    }
}

/// Marks a job as done when it is dropped.
struct Done {
    number: u64,
    progress: Arc<Progress>,
}

impl Drop for Done {
    fn drop(&mut self) {
        self.progress.done.store(self.number, Ordering::Release);
    }
}

/// Why a call to the key store has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The store itself says no.
    #[error(transparent)]
    Store(Error),
    /// It had other things to do until the deadline.
    #[error("the key store is busy")]
    Busy,
    /// It does not answer.
    #[error("the key store does not answer")]
    Hangs,
    /// The job panicked.
    #[error("the key store panicked")]
    Panicked,
}

impl CallError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint().map(str::to_owned),
            Self::Hangs => Some("check the service behind the keyring; it is asked again by itself".into()),
            Self::Busy => Some("try again".into()),
            Self::Panicked => Some("this is a fault of tokenbrokerd: report what its log says".into()),
        }
    }
}

impl From<CallError> for KeyStoreFailure {
    fn from(error: CallError) -> Self {
        Self { message: error.to_string(), hint: error.hint() }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::mpsc;

    use tokenbroker_keystore::{Options, StoreChoice};

    use super::*;

    /// With an empty encrypted file.
    pub(crate) fn start(dir: &std::path::Path) -> KeyStoreThread {
        let store = KeyStore::open(Options {
            choice: StoreChoice::EncryptedFile,
            prefer_keyring: false,
            state_dir: dir.to_path_buf(),
            key_file: None,
            credentials_directory: None,
        });
        KeyStoreThread::start(store.unwrap()).unwrap()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn s52_a_store_that_hangs_costs_one_deadline_and_counts_as_unavailable_until_it_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = start(dir.path());
        let (let_go, hang) = mpsc::channel::<()>();
        let short = Duration::from_millis(20);

        let hung = store.call(short, move |_| {
            hang.recv().unwrap();
            Ok(())
        });
        assert!(matches!(hung.await, Err(CallError::Hangs)));
        let at_once = store.call(Duration::from_secs(3600), |_| Ok(()));
        assert!(matches!(at_once.await, Err(CallError::Hangs)), "nobody else waits for it");

        let_go.send(()).unwrap();
        let back = async {
            while store.call(QUICK, |_| Ok(())).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), back).await.expect("the store came back");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn s64_a_job_that_panics_does_not_take_the_store_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = start(dir.path());
        let panicked = store.call(QUICK, |_| -> Result<(), Error> { panic!("on purpose") }).await;
        assert!(matches!(panicked, Err(CallError::Panicked)));
        assert!(store.call(QUICK, |store| store.list(None)).await.is_ok());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_job_that_nobody_waits_for_any_more_is_not_begun() {
        let dir = tempfile::tempdir().unwrap();
        let store = start(dir.path());
        let (let_go, hang) = mpsc::channel::<()>();
        let (began, begun) = mpsc::channel::<()>();

        let mut busy = std::pin::pin!(store.call(QUICK, move |_| {
            hang.recv().unwrap();
            Ok(())
        }));
        assert!(futures_util::poll!(&mut busy).is_pending());
        let given_up = store.call(Duration::from_millis(20), move |_| {
            began.send(()).unwrap();
            Ok(())
        });
        assert!(matches!(given_up.await, Err(CallError::Busy)), "the store itself may be fine");

        let_go.send(()).unwrap();
        assert!(busy.await.is_ok());
        assert!(store.call(QUICK, |_| Ok(())).await.is_ok());
        // The thread drops the job, and with it the sender, without having sent anything.
        assert!(begun.recv().is_err());
    }
}
