//! The daemon's end: a socket that was never open to more than it should be, and callers with their identity.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use interprocess::ConnectWaitMode;
use interprocess::local_socket::prelude::*;
use interprocess::local_socket::{ConnectOptions, GenericFilePath, ListenerNonblockingMode, ListenerOptions};
use interprocess::os::unix::local_socket::ListenerOptionsExt;
use interprocess::os::unix::uds_local_socket;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::hierarchy::Hierarchy;
use super::stream::register;
use super::sys::{self, pidfd::refuse_descriptors};
use crate::{IdentityError, PathError, PeerIdentity, StateLock, Stream, check_parents};

/// Accepts callers. A socket file that it made is removed when it is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: AsyncFd<UnixListener>,
    /// Accepted, but there was no descriptor left to find out who it is.
    waiting: Mutex<Option<UnixStream>>,
    _file: Option<SocketFile>,
}

impl Listener {
    /// Listens at `path`, with the file's permissions exactly `mode`. The lock shows that no other daemon with
    /// this state directory can be about to do the same.
    ///
    /// A file that is already there is removed if it is a socket of this user that nobody answers on. At no
    /// moment can anybody connect whom `mode` keeps out.
    ///
    /// # Errors
    ///
    /// [`BindError`]; what was there before is left alone then.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime that has I/O enabled.
    pub fn bind(path: &Path, mode: u32, _lock: &StateLock) -> Result<Self, BindError> {
        check_parents(path)?;
        remove_stale(path)?;
        let failed = |source| BindError::Io { path: path.into(), source };
        let name = path.to_fs_name::<GenericFilePath>().map_err(failed)?;
        let options = ListenerOptions::new().name(name).mode(mode).reclaim_name(false);
        let options = options.nonblocking(ListenerNonblockingMode::Accept);
        let socket = options.create_sync_as::<uds_local_socket::Listener>().map_err(failed)?;
        let metadata = fs::symlink_metadata(path).map_err(failed)?;
        let file = Some(SocketFile::new(path, &metadata));
        let listener = Self::new(socket.into(), file).map_err(failed)?;
        // The umask may have taken bits away; the socket had fewer permissions than asked for so far.
        if metadata.mode() & 0o777 != mode {
            fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?;
        }
        Ok(listener)
    }

    /// Takes a listening socket that somebody else made, such as systemd, who also keeps its file.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it is not a listening Unix socket, and what else the
    /// system says.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime that has I/O enabled.
    pub fn from_fd(passed: OwnedFd) -> io::Result<Self> {
        // Passed descriptors survive exec; a duplicate made by std does not.
        let socket = UnixListener::from(passed.try_clone()?);
        if socket.local_addr().is_err() || !sys::is_listening(socket.as_fd())? {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a listening Unix socket"));
        }
        socket.set_nonblocking(true)?;
        Self::new(socket, None)
    }

    fn new(socket: UnixListener, file: Option<SocketFile>) -> io::Result<Self> {
        // Connections have it from their listener, those made before this excepted.
        refuse_descriptors(socket.as_fd());
        // While there are descriptors to look at PID 1 with.
        Hierarchy::of_host();
        let socket = register(socket, Interest::READABLE)?;
        Ok(Self { socket, waiting: Mutex::default(), _file: file })
    }

    /// The next caller, and who it is. An unknown one should be dropped without an answer.
    ///
    /// Can be cancelled without losing a caller.
    ///
    /// # Errors
    ///
    /// What the system says, such as that there are no descriptors left: wait a little before the next try. A caller for
    /// whose identity there was none comes with that.
    pub async fn accept(&self) -> io::Result<(Stream, Result<PeerIdentity, IdentityError>)> {
        let waiting = self.waiting().take();
        let stream = match waiting {
            Some(stream) => stream,
            None => {
                let (stream, _) = self.socket.async_io(Interest::READABLE, UnixListener::accept).await?;
                stream.set_nonblocking(true)?;
                refuse_descriptors(stream.as_fd());
                stream
            }
        };
        match PeerIdentity::of(stream.as_fd()) {
            Err(IdentityError::Io(error)) if sys::is_out_of_descriptors(&error) => {
                *self.waiting() = Some(stream);
                Err(error)
            }
            identity => Ok((Stream::new(stream)?, identity)),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Option<UnixStream>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file that names a listening socket.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode: another daemon may have put its own there in the meantime.
    identity: (u64, u64),
}

impl SocketFile {
    fn new(path: &Path, metadata: &Metadata) -> Self {
        Self { path: path.into(), identity: (metadata.dev(), metadata.ino()) }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let there = fs::symlink_metadata(&self.path);
        if there.is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity) {
            // Nobody is left to tell, and a stale file is dealt with at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes what an earlier daemon left, and nothing else.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    let failed = |source| BindError::Io { path: path.into(), source };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(BindError::NotASocket { path: path.into() });
    }
    if metadata.uid() != sys::effective_uid() {
        return Err(BindError::NotOurs { path: path.into(), uid: metadata.uid() });
    }
    if !is_refused(path).map_err(failed)? {
        return Err(BindError::InUse { path: path.into() });
    }
    fs::remove_file(path).map_err(failed)
}

/// Whether nobody listens. A listener with a full queue counts as one.
fn is_refused(path: &Path) -> io::Result<bool> {
    let name = path.to_fs_name::<GenericFilePath>()?;
    let options = ConnectOptions::new().name(name).wait_mode(ConnectWaitMode::Deferred);
    match options.connect_sync_as::<uds_local_socket::Stream>() {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
        Err(error) => Err(error),
    }
}

/// Why the daemon can't listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A directory on the way is not safe.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Something else has the name.
    #[error("{} exists and is not a socket", .path.display())]
    NotASocket {
        /// The socket's path.
        path: PathBuf,
    },
    /// Somebody else's socket has the name.
    #[error("{} exists and belongs to uid {uid}", .path.display())]
    NotOurs {
        /// The socket's path.
        path: PathBuf,
        /// Who owns it.
        uid: u32,
    },
    /// A daemon answers there.
    #[error("another process is listening on {}", .path.display())]
    InUse {
        /// The socket's path.
        path: PathBuf,
    },
    /// The system said no.
    #[error("listening on {} failed", .path.display())]
    Io {
        /// The socket's path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
