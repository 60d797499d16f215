//! A file as the place for records: one JSON object a line, nothing but whole lines.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tokenbroker_ipc::{PathError, check_file, check_parents};

use super::json;
use super::records::Record;

/// An open file, which only grows.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    /// The line that is being written, and how much of it was.
    line: Vec<u8>,
    written: usize,
    /// Before our first line there is one without its end: of a daemon that was killed, or had no room left.
    is_torn: bool,
}

impl LogFile {
    /// Opens the file; one that is not there is made, for the daemon's user alone.
    ///
    /// # Errors
    ///
    /// If somebody else could put a file of theirs in its place or write to it, if it is not a regular file, or if it can't be
    /// opened.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        check_parents(path)?;
        check_file(path)?;
        let failed = |source| OpenError::Io { path: path.into(), source };
        let mut options = OpenOptions::new();
        // What was checked may have been replaced; what is opened must not be a link, nor a pipe that is waited for.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        options.append(true).read(true).create(true).mode(0o600).custom_flags(flags);
        let mut file = options.open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(failed(io::Error::other("it is not a regular file")));
        }
        let is_torn = ends_within_a_line(&mut file).map_err(failed)?;
        Ok(Self { path: path.into(), file, line: Vec::new(), written: 0, is_torn })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a record. After an error the same one is to be tried again: what there was no room for is written then.
    pub(super) fn write(&mut self, record: &Record) -> io::Result<()> {
        if self.written == 0 {
            self.line = json::line(record);
            if self.is_torn {
                self.line.insert(0, b'\n');
            }
        }
        while self.written < self.line.len() {
            match self.file.write(&self.line[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.written = 0;
        self.is_torn = false;
        Ok(())
    }
}

fn ends_within_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Why the file can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("the audit log is not safe there")]
    Path(#[from] PathError),
    #[error("the audit log {} can't be opened", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl OpenError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Path(error) => error.hint(),
            Self::Io { source, path } if source.kind() == io::ErrorKind::NotFound => {
                let parent = path.parent().unwrap_or(path);
                Some(format!("make the directory {}, for the daemon's user", parent.display()))
            }
            Self::Io { .. } => Some("name another file as audit of [daemon], or \"journal\"".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::Duration;

    use super::*;
    use crate::audit::records::Event;

    fn record() -> Record {
        Record { time: Duration::ZERO, caller: None, event: Event::Started }
    }

    #[test]
    fn the_file_is_for_the_daemon_alone_and_grows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        for lines in 1..3 {
            LogFile::open(&path).unwrap().write(&record()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), lines);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_line_that_was_cut_short_is_ended_before_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        fs::write(&path, "{\"time\":\"20").unwrap();
        LogFile::open(&path).unwrap().write(&record()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(serde_json::from_str::<serde_json::Value>(lines[1]).is_ok(), "{text}");
    }

    #[test]
    fn what_others_can_write_to_is_refused_and_so_are_links_and_what_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o622)).unwrap();
        assert!(matches!(LogFile::open(&path), Err(OpenError::Path(PathError::Writable { .. }))));

        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(LogFile::open(&link).is_err());
        assert!(matches!(LogFile::open(dir.path()), Err(OpenError::Path(PathError::Kind { .. }))));
        assert!(LogFile::open(Path::new("/dev/full")).is_err());

        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(LogFile::open(&path), Err(OpenError::Path(PathError::Writable { .. }))));
    }
}
