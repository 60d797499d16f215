//! The daemon's end: a pipe that was never open to more than it should be, and callers with their identity.

use std::io;
use std::os::windows::io::AsHandle;
use std::path::{Path, PathBuf};

use interprocess::os::windows::named_pipe::pipe_mode::Bytes;
use interprocess::os::windows::named_pipe::{PipeListenerOptions, PipeMode, tokio as named_pipe};

use super::{Stream, endpoint, pipe, security};
use crate::{IdentityError, PeerIdentity, StateLock};

/// What the kernel holds for each direction of a connection before a writer has to wait for the reader.
const BUFFER: u32 = 16 * 1024;

/// Accepts callers. The pipe is gone when it and all connections are dropped.
#[derive(Debug)]
pub struct Listener(named_pipe::PipeListener<Bytes, Bytes>);

impl Listener {
    /// Listens on the pipe at `path`, which is for this user alone if `mode` is 0600 and for everybody on this host if
    /// it is 0666. The lock shows that no other daemon with this state directory can be about to do the same.
    ///
    /// # Errors
    ///
    /// [`BindError`]; a pipe that somebody else serves is left alone.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime that has I/O enabled.
    pub fn bind(path: &Path, mode: u32, _lock: &StateLock) -> Result<Self, BindError> {
        let failed = |source| BindError::Io { path: path.into(), source };
        endpoint::check_name(path).map_err(failed)?;
        let descriptor = security::descriptor(mode).map_err(failed)?;
        if is_served(path) {
            return Err(BindError::InUse { path: path.into() });
        }
        let options = PipeListenerOptions::new()
            .path(path)
            .mode(PipeMode::Bytes)
            .accept_remote(false)
            .input_buffer_size_hint(BUFFER)
            .output_buffer_size_hint(BUFFER)
            .security_descriptor(Some(descriptor));
        match options.create_tokio_duplex() {
            Ok(listener) => Ok(Self(listener)),
            // It asks to be the first to serve the name, and is denied what somebody else was quicker to take.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(BindError::InUse { path: path.into() })
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The next caller, and who it is. An unknown one should be dropped without an answer.
    ///
    /// Can be cancelled without losing a caller.
    ///
    /// # Errors
    ///
    /// What the system says, such as that there is no memory left: wait a little before the next try.
    pub async fn accept(&self) -> io::Result<(Stream, Result<PeerIdentity, IdentityError>)> {
        let pipe = self.0.accept().await?;
        let identity = PeerIdentity::of(pipe.as_handle());
        Ok((Stream(pipe), identity))
    }
}

/// Whether somebody has a pipe of this name, if only one that is not for us.
fn is_served(path: &Path) -> bool {
    !matches!(pipe::open(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// Why the daemon can't listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A daemon, or somebody else, has the name.
    #[error("another process is listening on {}", .path.display())]
    InUse {
        /// The pipe's name.
        path: PathBuf,
    },
    /// The system said no.
    #[error("listening on {} failed", .path.display())]
    Io {
        /// The pipe's name.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
