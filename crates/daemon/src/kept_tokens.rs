//! Tokens that outlive the daemon: one encrypted file in the state directory, its key in the key store.
//!
//! ```text
//! magic "TKBRTOKS" | format u16 | key id [u8; 8] | boot id [u8; 16] | nonce, contents, tag
//! ```
//!
//! The file is a cache. It is written to another name and renamed, so that it is whole or the one before; nothing is
//! synced to the disk, because a file that a power failure tore does not decrypt. Whatever is wrong with it is a miss:
//! the tokens are fetched anew, and the next write replaces it. The one exception is a file of a newer version,
//! which is moved out of the way.
//!
//! What is authenticated along with the contents is the header and the file's own identity, its inode and the time of
//! its birth. A copy that is put back, such as one from a backup, has another identity, and is a miss. What this
//! does not notice is an older content written into the very same file, which takes the daemon's own user or root,
//! or a whole disk put back together with the key store. Such a token is still bound to the version of its credential
//! and to its client's configuration, and is never served past its own expiry.

mod contents;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use tokenbroker_core::engine::KeptToken;
use tokenbroker_keystore::SealingKey;
use tokenbroker_secret::Secret;

use self::contents::Contents;
use crate::clock::Reading;

const MAGIC: &[u8; 8] = b"TKBRTOKS";

/// Part of the file's name, too: versions that differ in it don't write over each other's.
const FORMAT: u16 = 1;

const HEADER: usize = 34;

/// In bytes: some 150,000 tokens. What is longer is something else.
const MAX_LENGTH: usize = 256 * 1024 * 1024;

/// The file has little besides its contents.
const MAX_CONTENTS: usize = MAX_LENGTH - 1024;

/// The file, whether it is there or not. Its methods block. There must be one writer only; the daemon holds a lock on
/// its state directory.
#[derive(Debug, Clone)]
pub(crate) struct TokenFile {
    path: PathBuf,
}

/// Why there are no tokens from the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Miss {
    #[error("there is none")]
    Absent,
    #[error("it was written by a newer tokenbroker (format {format}), and is left as it is")]
    Newer { format: u16 },
    #[error("{0}")]
    NotOurs(String),
    #[error("it is no file of tokens, or it was truncated")]
    Foreign,
    #[error("its key is not in the key store")]
    NoKey,
    #[error("it was encrypted with another key than the one in the key store")]
    AnotherKey,
    #[error("it was damaged, or is a copy that was put back")]
    Damaged,
    #[error("the clock is before the time at which it was written")]
    ClockSetBack,
    #[error("it can't be read: {0}")]
    Unreadable(#[source] io::Error),
}

/// Why the tokens are not in the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotWritten {
    #[error("a newer tokenbroker's file is in the way, and can't be moved to {to}: {source}")]
    NewerInTheWay { to: String, source: io::Error },
    #[error("{0}")]
    NotSealed(tokenbroker_keystore::Error),
    #[error("they can't be encoded")]
    NotEncoded,
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl TokenFile {
    /// In this directory, which nobody else may write to.
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join(name(FORMAT)) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The tokens that have not expired.
    pub(crate) fn read(&self, key: Option<&SealingKey>, now: &Reading) -> Result<Vec<KeptToken>, Miss> {
        let (bytes, identity) = self.bytes()?;
        match format_of(&bytes) {
            None => return Err(Miss::Foreign),
            Some(FORMAT) => {}
            Some(format) if format > FORMAT => return Err(Miss::Newer { format }),
            Some(_) => return Err(Miss::Foreign),
        }
        let (header, sealed) = bytes.split_at_checked(HEADER).ok_or(Miss::Foreign)?;
        let key = key.ok_or(Miss::NoKey)?;
        if header[10..18] != key.id() {
            return Err(Miss::AnotherKey);
        }
        let contents = key.open(&associated(header, identity), sealed).ok_or(Miss::Damaged)?;
        let contents = Contents::decode(&contents).ok_or(Miss::Damaged)?;
        contents.into_tokens(&header[18..], now)
    }

    /// Puts these in place of what is there. Answers how many did not fit: the last ones.
    pub(crate) fn write(
        &self,
        key: &SealingKey,
        tokens: impl ExactSizeIterator<Item = KeptToken> + Clone,
        now: &Reading,
    ) -> Result<usize, NotWritten> {
        self.move_newer_away()?;
        let (contents, left_out) =
            Contents::encode(tokens, now, MAX_CONTENTS).ok_or(NotWritten::NotEncoded)?;
        let temporary = self.temporary();
        let written = write_new(&temporary, key, &contents, now)
            .and_then(|()| fs::rename(&temporary, &self.path).map_err(NotWritten::Io));
        if written.is_err() {
            // Best effort: it may not be there at all, and the next write removes it.
            let _ = fs::remove_file(&temporary);
        }
        written.map(|()| left_out)
    }

    /// Removes the file, unless it is a newer version's. Answers whether there was one.
    pub(crate) fn remove(&self) -> io::Result<bool> {
        remove_if_there(&self.temporary())?;
        match self.newer() {
            Some(_) => Ok(false),
            None => remove_if_there(&self.path),
        }
    }

    /// Always the same name, so that a leftover of a crash is found.
    fn temporary(&self) -> PathBuf {
        self.path.with_file_name(name(FORMAT) + ".tmp")
    }

    /// The whole file, and which file it is.
    fn bytes(&self) -> Result<(Vec<u8>, Identity), Miss> {
        let file = open(&self.path).map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => Miss::Absent,
            Some(Errno::LOOP) => Miss::NotOurs("it is a symbolic link".into()),
            _ => Miss::Unreadable(error),
        })?;
        let metadata = file.metadata().map_err(Miss::Unreadable)?;
        let (own, mode) = (rustix::process::geteuid().as_raw(), metadata.mode() & 0o777);
        let refused = if !metadata.is_file() {
            Some("it is not a regular file".into())
        } else if metadata.uid() != own {
            Some(format!("it belongs to uid {}, not to uid {own}", metadata.uid()))
        } else if mode & 0o077 != 0 {
            Some(format!("others may read or write it (mode {mode:04o})"))
        } else if metadata.len() > MAX_LENGTH as u64 {
            Some("it is too long".into())
        } else {
            None
        };
        if let Some(why) = refused {
            return Err(Miss::NotOurs(why));
        }
        let mut bytes = Vec::new();
        let limit = MAX_LENGTH as u64;
        (&file).take(limit).read_to_end(&mut bytes).map_err(Miss::Unreadable)?;
        let identity = identity(&file).map_err(Miss::Unreadable)?;
        Ok((bytes, identity))
    }

    /// The format of a newer version's file under our name.
    fn newer(&self) -> Option<u16> {
        let mut beginning = Vec::new();
        open(&self.path).ok()?.take(HEADER as u64).read_to_end(&mut beginning).ok()?;
        format_of(&beginning).filter(|format| *format > FORMAT)
    }

    /// To the name under which the newer version looks for it.
    fn move_newer_away(&self) -> Result<(), NotWritten> {
        let Some(format) = self.newer() else { return Ok(()) };
        let to = self.path.with_file_name(name(format));
        renameat_with(CWD, &self.path, CWD, &to, RenameFlags::NOREPLACE)
            .map_err(|error| NotWritten::NewerInTheWay { to: to.display().to_string(), source: error.into() })
    }
}

fn name(format: u16) -> String {
    format!("tokens-{format}")
}

/// Not through a symbolic link, and not waiting, because somebody may have put a pipe there.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

fn write_new(path: &Path, key: &SealingKey, contents: &Secret, now: &Reading) -> Result<(), NotWritten> {
    // What a crash left behind never became the file, so nothing is lost with it.
    remove_if_there(path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let header = header(key, now);
    let sealed = key.seal(&associated(&header, identity(&file)?), contents).map_err(NotWritten::NotSealed)?;
    file.write_all(&header)?;
    file.write_all(&sealed)?;
    Ok(())
}

/// Whether it was there.
fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true),
    }
}

fn header(key: &SealingKey, now: &Reading) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&FORMAT.to_le_bytes());
    header.extend_from_slice(&key.id());
    header.extend_from_slice(&now.boot_id.unwrap_or_default());
    header
}

/// `None` for what is no such file of any version.
fn format_of(bytes: &[u8]) -> Option<u16> {
    let (format, _) = bytes.strip_prefix(MAGIC)?.split_first_chunk()?;
    Some(u16::from_le_bytes(*format))
}

/// Inode and time of birth: what a copy does not have in common with the file. Renaming changes neither.
type Identity = [u8; 16];

fn identity(file: &File) -> io::Result<Identity> {
    let metadata = file.metadata()?;
    // Not every file system knows it; then the inode has to do.
    let born = metadata.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    let born = born.map_or(0, |born| u64::try_from(born.as_nanos()).unwrap_or(u64::MAX));
    let mut identity = Identity::default();
    identity[..8].copy_from_slice(&metadata.ino().to_le_bytes());
    identity[8..].copy_from_slice(&born.to_le_bytes());
    Ok(identity)
}

fn associated(header: &[u8], identity: Identity) -> Vec<u8> {
    [header, &identity].concat()
}

#[cfg(test)]
mod tests;
