//! One daemon for each state directory.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::system;

/// The lock on a state directory. The kernel lets go of it when the daemon ends, however it ends.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the lock of the state directory, in its file `lock`.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] if another daemon has it, [`LockError::Io`] if the file can't be opened or locked.
    pub fn acquire(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join("lock");
        let opened = system::open_lock(&path);
        let file = opened.map_err(|source| LockError::Io { path: path.clone(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held { path }),
            Err(TryLockError::Error(source)) => Err(LockError::Io { path, source }),
        }
    }
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another daemon has it.
    #[error("another tokenbrokerd is running with this state directory (it holds {})", .path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file can't be opened or locked.
    #[error("the lock file {} can't be opened", .path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s15_a_second_daemon_does_not_get_the_lock_until_the_first_ends() {
        let directory = tempfile::tempdir().unwrap();
        let first = StateLock::acquire(directory.path()).unwrap();
        assert!(matches!(StateLock::acquire(directory.path()), Err(LockError::Held { .. })));
        drop(first);
        assert!(StateLock::acquire(directory.path()).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn s16_a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let elsewhere = directory.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, directory.path().join("lock")).unwrap();
        assert!(matches!(StateLock::acquire(directory.path()), Err(LockError::Io { .. })));
        assert!(!elsewhere.exists());
    }
}
