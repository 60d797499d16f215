//! How tokens outlive the daemon: read once at its start, written when they have changed, and once more at its end.
//!
//! Writing takes the key store and the disk, neither of which the loop waits for. One write is under way at a time; what
//! changes meanwhile is written after it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokenbroker_core::engine::{Event, KeptToken, TokenToKeep};
use tokenbroker_keystore::SealingKey;
use tokenbroker_secret::heap;
use tokio::task::JoinError;

use super::{EventLoop, Outcome};
use crate::clock;
use crate::http::Http;
use crate::kept_tokens::{Miss, NotWritten, TokenFile};
use crate::key_store::{self, CallError};
use crate::shared::Shared;

/// How long the end of the daemon may take for the last write: longer than a disk takes that works.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// The file, and what is known of it.
#[derive(Debug)]
pub(super) struct Keeping {
    file: TokenFile,
    /// Asked of the key store once; the tokens themselves are in the same memory.
    key: Option<SealingKey>,
    /// Whether this daemon read it or wrote to it.
    known: bool,
    writing: bool,
    /// The tokens have changed since the write under way was begun.
    again: bool,
    /// The last write failed, and that was said.
    failing: bool,
}

/// What came of reading, and the key it took.
#[derive(Debug)]
pub(super) struct Loaded {
    key: Option<SealingKey>,
    tokens: Result<Vec<KeptToken>, NotLoaded>,
}

/// What came of writing, and the key it took.
#[derive(Debug)]
pub(super) struct Written {
    key: Option<SealingKey>,
    /// How many did not fit.
    left_out: Result<usize, NotKept>,
}

#[derive(Debug, thiserror::Error)]
enum NotLoaded {
    #[error(transparent)]
    Miss(#[from] Miss),
    #[error("{0}")]
    KeyStore(CallError),
    #[error("reading them panicked; this is a fault of tokenbrokerd")]
    Panicked(#[from] JoinError),
}

#[derive(Debug, thiserror::Error)]
enum NotKept {
    #[error(transparent)]
    NotWritten(#[from] NotWritten),
    #[error("{0}")]
    KeyStore(#[from] CallError),
    #[error("no key store has been decided on")]
    NoKeyStore,
    #[error("{0}")]
    NotRemoved(#[source] io::Error),
    #[error("writing them panicked; this is a fault of tokenbrokerd")]
    Panicked(#[from] JoinError),
}

impl Keeping {
    pub(super) fn new(file: TokenFile) -> Self {
        Self { file, key: None, known: false, writing: false, again: false, failing: false }
    }

    /// Whether a write is to begin now. Otherwise it comes after the one under way.
    fn begin(&mut self) -> bool {
        self.again = self.writing;
        !std::mem::replace(&mut self.writing, true)
    }

    /// The write under way has ended. Whether another is to begin.
    fn end(&mut self) -> bool {
        self.writing = false;
        std::mem::take(&mut self.again)
    }
}

impl<H: Http> EventLoop<H> {
    /// Reads what an earlier daemon kept.
    pub(super) fn load_tokens(&self) {
        let (shared, file) = (Arc::clone(&self.shared), self.keeping.file.clone());
        self.beside(async move { Outcome::Loaded(load(&shared, file).await) });
    }

    pub(super) fn tokens_loaded(&mut self, Loaded { key, tokens }: Loaded) {
        let path = self.keeping.file.path().display();
        let tokens = match tokens {
            Ok(tokens) => {
                self.keeping.known = true;
                tokens
            }
            Err(miss) => {
                match &miss {
                    NotLoaded::Miss(Miss::Absent) => tracing::debug!("no tokens were kept in {path}"),
                    NotLoaded::Miss(Miss::Newer { .. }) => {
                        tracing::info!("{path} is not used, tokens are fetched anew: {miss}");
                    }
                    _ => tracing::warn!("{path} is not used, tokens are fetched anew: {miss}"),
                }
                Vec::new()
            }
        };
        self.keeping.key = key;
        self.engine.handle(clock::now(), Event::Restored(tokens));
    }

    /// Writes the tokens as they are now, or removes the file if there are none.
    pub(super) fn keep_tokens(&mut self) {
        if !self.keeping.begin() {
            return;
        }
        let tokens = self.engine.tokens_to_keep(clock::now());
        let Keeping { file, key, .. } = &self.keeping;
        let (shared, file, key) = (Arc::clone(&self.shared), file.clone(), key.clone());
        self.beside(async move {
            Outcome::Written(match tokens.is_empty() {
                true => remove(&shared, file).await,
                false => write(&shared, file, key, tokens).await,
            })
        });
    }

    pub(super) fn tokens_written(&mut self, Written { key, left_out }: Written) {
        let keeping = &mut self.keeping;
        let path = keeping.file.path().display();
        match &left_out {
            Ok(0) if keeping.failing => tracing::info!("tokens are kept in {path} again"),
            Ok(0) => {}
            Ok(left_out) => tracing::debug!("{left_out} tokens find no room in {path}"),
            Err(error @ NotKept::NotRemoved(_)) => {
                tracing::warn!("tokens that should be gone are still in {path}, encrypted: {error}");
            }
            // Said once, though it is tried again and again.
            Err(error) if keeping.failing => tracing::debug!("tokens are still not kept in {path}: {error}"),
            Err(error) => {
                tracing::warn!(
                    "tokens are served from memory, and will not survive a restart: {path}: {error}"
                );
            }
        }
        keeping.key = key;
        keeping.failing = left_out.is_err();
        keeping.known |= left_out.is_ok();
        if keeping.end() {
            self.keep_tokens();
        }
    }

    /// The last write. A file that this daemon knows nothing of, because it could not be read yet, is not removed.
    pub(super) async fn keep_tokens_for_the_next(&mut self) {
        if self.keeping.known || !self.engine.tokens_to_keep(clock::now()).is_empty() {
            self.keep_tokens();
        }
        let all_written = async {
            while self.keeping.writing {
                match self.outcomes.recv().await {
                    Some(Outcome::Written(written)) => self.tokens_written(written),
                    Some(_) => {}
                    None => return,
                }
            }
        };
        if tokio::time::timeout(LAST_WRITE, all_written).await.is_err() {
            tracing::warn!("writing the tokens takes too long; the next daemon may have to fetch them anew");
        }
    }
}

async fn load(shared: &Shared, file: TokenFile) -> Loaded {
    let (key, trouble) = match shared.key_store.call(key_store::QUICK, |store| store.sealing_key()).await {
        Ok(key) => (key, None),
        Err(error) => (None, Some(error)),
    };
    let read = tokio::task::spawn_blocking(move || {
        let tokens = file.read(key.as_ref(), &clock::reading());
        heap::give_back();
        (key, tokens)
    });
    match (read.await, trouble) {
        // There is a file, and no word on whether there is a key.
        (Ok((key, Err(Miss::NoKey))), Some(trouble)) => {
            Loaded { key, tokens: Err(NotLoaded::KeyStore(trouble)) }
        }
        (Ok((key, tokens)), _) => Loaded { key, tokens: tokens.map_err(Into::into) },
        (Err(panicked), _) => Loaded { key: None, tokens: Err(panicked.into()) },
    }
}

async fn write(
    shared: &Shared,
    file: TokenFile,
    key: Option<SealingKey>,
    tokens: Vec<TokenToKeep>,
) -> Written {
    let key = match key {
        Some(key) => Ok(key),
        None => {
            let asked = shared.key_store.call(key_store::QUICK, |store| store.sealing_key_or_new()).await;
            asked.map_err(NotKept::KeyStore).and_then(|key| key.ok_or(NotKept::NoKeyStore))
        }
    };
    let key = match key {
        Ok(key) => key,
        Err(error) => return Written { key: None, left_out: Err(error) },
    };
    let kept = key.clone();
    let written = tokio::task::spawn_blocking(move || {
        let written = file.write(&key, tokens.iter().map(KeptToken::from), &clock::reading());
        drop(tokens);
        heap::give_back();
        written
    });
    let written = written.await;
    let left_out = written.map_err(NotKept::Panicked).and_then(|written| written.map_err(Into::into));
    Written { key: Some(kept), left_out }
}

/// With the file goes its key, so that no copy of the file is worth anything.
async fn remove(shared: &Shared, file: TokenFile) -> Written {
    let left_out = match tokio::task::spawn_blocking(move || file.remove()).await {
        Ok(Ok(was_there)) => {
            if was_there {
                remove_key(shared).await;
            }
            Ok(0)
        }
        Ok(Err(error)) => Err(NotKept::NotRemoved(error)),
        Err(panicked) => Err(panicked.into()),
    };
    Written { key: None, left_out }
}

async fn remove_key(shared: &Shared) {
    if let Err(error) = shared.key_store.call(key_store::QUICK, |store| store.remove_sealing_key()).await {
        tracing::warn!("the key that tokens were encrypted with stays in the key store: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn one_write_is_under_way_and_whatever_changes_meanwhile_is_one_more() {
        let mut keeping = Keeping::new(TokenFile::new(Path::new("/nonexistent")));
        assert!(keeping.begin());
        assert!(!keeping.end(), "nothing changed meanwhile");

        assert!(keeping.begin());
        for _ in 0..3 {
            assert!(!keeping.begin());
        }
        assert!(keeping.end());
        assert!(keeping.begin());
        assert!(!keeping.end());
        assert!(keeping.begin());
    }
}
