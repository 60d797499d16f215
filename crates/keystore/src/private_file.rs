//! Files that hold secrets: readable by the daemon's own user alone, and never seen half written.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tokenbroker_secret::Secret;
use zeroize::Zeroizing;

use crate::Error;

/// Longer than any file of ours; what is longer is something else.
const MAX_LENGTH: u64 = 64 * 1024 * 1024;

/// Who else may read a file without it being refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Nobody: our files.
    Owner,
    /// Whoever systemd let in: it may own the file as root and let the service read it by an ACL, whose mask
    /// shows as the group's permissions.
    Systemd,
}

/// Tells one content of a file from the next, since every change puts a new file in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

/// The whole file, or `None` if there is none.
///
/// # Errors
///
/// [`Error::Refused`] if others may read it, [`Error::Unavailable`] if we can't.
pub(crate) fn read(path: &Path, readers: Readers) -> Result<Option<(Secret, Stamp)>, Error> {
    // Not blocking, because somebody may have put a pipe there.
    let opened = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    check(path, &metadata, readers)?;
    // Room for all of it from the start: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1));
    file.take(MAX_LENGTH).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    Ok(Some((Secret::from(bytes.as_slice()), Stamp::of(&metadata))))
}

/// The stamp of what is there now, with the same checks as [`read`].
pub(crate) fn stamp(path: &Path, readers: Readers) -> Result<Option<Stamp>, Error> {
    match std::fs::metadata(path) {
        Ok(metadata) => check(path, &metadata, readers).map(|()| Some(Stamp::of(&metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// Puts a new file with these bytes in place of the old, or of nothing, in one step that survives a crash.
///
/// There must be one writer only; the daemon holds a lock on its state directory.
///
/// # Errors
///
/// [`Error::Refused`] for what would be too long to be read, [`Error::Unavailable`] if it can't be written.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() as u64 >= MAX_LENGTH {
        return Err(Error::refused(format!("{} can't hold any more; it is left as it is", path.display())));
    }
    let temporary = temporary(path);
    let replaced = write_new(&temporary, bytes)
        .and_then(|()| std::fs::rename(&temporary, path))
        .and_then(|()| File::open(directory(path))?.sync_all());
    replaced.map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        Error::unavailable(format!("{} can't be written: {error}", path.display()))
            .with_hint(format!("see whether {} is writable and has space", directory(path).display()))
    })
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a crash left behind never became the file, so nothing is lost with it.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Beside the file, so that it can be renamed; always the same name, so that a leftover is found.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    path.with_file_name(name)
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn check(path: &Path, metadata: &Metadata, readers: Readers) -> Result<(), Error> {
    let shown = path.display();
    if !metadata.is_file() {
        return Err(Error::refused(format!("{shown} is not a regular file")));
    }
    if metadata.len() >= MAX_LENGTH {
        return Err(Error::refused(format!("{shown} is too long to be a file of the key store")));
    }
    let own = rustix::process::geteuid().as_raw();
    let owned = metadata.uid() == own || readers == Readers::Systemd && metadata.uid() == 0;
    if !owned {
        return Err(Error::refused(format!("{shown} belongs to uid {}, not to uid {own}", metadata.uid()))
            .with_hint(format!("if its content is to be trusted: chown {own} {shown}")));
    }
    let forbidden = match readers {
        Readers::Owner => 0o077,
        Readers::Systemd => 0o027,
    };
    let mode = metadata.mode() & 0o777;
    if mode & forbidden != 0 {
        return Err(Error::refused(format!("{shown} can be read or written by others (mode {mode:04o})"))
            .with_hint(format!("chmod 0600 {shown}, and consider what it protects as known to others")));
    }
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::unavailable(format!("{} can't be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn content(path: &Path) -> Option<Vec<u8>> {
        read(path, Readers::Owner).unwrap().map(|(bytes, _)| bytes.expose().to_vec())
    }

    #[test]
    fn what_was_written_is_read_and_nobody_else_may() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert_eq!(content(&path), None);
        replace(&path, b"one").unwrap();
        let first = stamp(&path, Readers::Owner).unwrap().unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(content(&path), Some(b"two".to_vec()));
        assert_ne!(stamp(&path, Readers::Owner).unwrap(), Some(first));
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn what_would_be_too_long_to_be_read_is_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        replace(&path, b"one").unwrap();
        let too_long = vec![0; usize::try_from(MAX_LENGTH).unwrap()];
        assert!(matches!(replace(&path, &too_long), Err(Error::Refused { .. })));
        assert_eq!(content(&path), Some(b"one".to_vec()));
        replace(&path, &too_long[1..]).unwrap();
        assert_eq!(content(&path).map(|content| content.len()), Some(too_long.len() - 1));
    }

    #[test]
    fn s60_a_leftover_of_a_crash_is_ignored_and_goes_with_the_next_write() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        replace(&path, b"whole").unwrap();
        std::fs::write(temporary(&path), b"ha").unwrap();
        assert_eq!(content(&path), Some(b"whole".to_vec()));
        replace(&path, b"next").unwrap();
        assert_eq!(content(&path), Some(b"next".to_vec()));
        assert!(!temporary(&path).exists());
    }

    #[test]
    fn s56_files_that_others_can_read_are_refused_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for mode in [0o640, 0o604, 0o620, 0o602, 0o666] {
            std::fs::write(&path, b"secret").unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = read(&path, Readers::Owner).unwrap_err();
            assert!(matches!(error, Error::Refused { .. }), "{error:?}");
            assert!(error.hint().unwrap().contains(&format!("chmod 0600 {}", path.display())), "{error:?}");
            assert_eq!(stamp(&path, Readers::Owner), Err(error));
        }
    }

    #[test]
    fn an_acl_of_systemds_is_no_reason_to_refuse_but_the_world_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"secret").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o440)).unwrap();
        assert!(read(&path, Readers::Systemd).unwrap().is_some());
        std::fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
        assert!(read(&path, Readers::Systemd).is_err());
    }

    #[test]
    fn what_is_no_file_is_refused_without_waiting_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(matches!(read(&pipe, Readers::Owner), Err(Error::Refused { .. })));
    }

    #[test]
    fn s62_a_directory_that_takes_no_file_is_unavailable_and_says_which() {
        let directory = tempfile::tempdir().unwrap();
        let error = replace(&directory.path().join("absent/file"), b"x").unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("absent"), "{error:?}");
    }
}
