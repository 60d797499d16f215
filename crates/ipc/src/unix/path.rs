//! Whether somebody else could put something of theirs at a path that the daemon relies on.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::sys;

/// As many as the kernel follows.
const MOST_LINKS: usize = 40;

const STICKY: u32 = 0o1000;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Checks a file that the daemon reads or writes: it and every directory above it belong to root or to this user
/// and can't be written by anybody else.
///
/// In a directory with the sticky bit others can't replace what is not theirs, so those are fine on the way.
/// Symbolic links are fine where they and the directory they are in belong to root. What does not exist
/// yet is not looked at.
///
/// # Errors
///
/// [`PathError`], naming the component at fault.
pub fn check_file(path: &Path) -> Result<(), PathError> {
    walk(path, Last::File, sys::effective_uid())
}

/// Checks a directory in the same way; it may not itself be one that others can write to, sticky bit or not.
///
/// # Errors
///
/// [`PathError`], naming the component at fault.
pub fn check_directory(path: &Path) -> Result<(), PathError> {
    walk(path, Last::Directory, sys::effective_uid())
}

/// Checks only the directories above `path`, which is for a socket: that may be open to everybody.
///
/// # Errors
///
/// [`PathError`], naming the component at fault.
pub fn check_parents(path: &Path) -> Result<(), PathError> {
    let absolute = absolute(path)?;
    match absolute.parent() {
        Some(parent) => walk(parent, Last::Ancestor, sys::effective_uid()),
        None => Ok(()),
    }
}

/// What the last component is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    File,
    Directory,
    Ancestor,
}

fn absolute(path: &Path) -> Result<PathBuf, PathError> {
    std::path::absolute(path).map_err(|source| PathError::Io { path: path.into(), source })
}

/// Resolves the path as the kernel would, looking at each component on the way.
fn walk(path: &Path, last: Last, us: u32) -> Result<(), PathError> {
    let mut rest: VecDeque<OsString> = components(&absolute(path)?);
    let mut here = PathBuf::from("/");
    let mut links = 0;
    check(&here, &look(&here)?, if rest.is_empty() { last } else { Last::Ancestor }, us)?;
    while let Some(component) = rest.pop_front() {
        if component == ".." {
            // `here` holds no links, so this is what the kernel does, too.
            here.pop();
            continue;
        }
        let next = here.join(&component);
        let metadata = match look(&next) {
            Err(PathError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
            looked => looked?,
        };
        if metadata.is_symlink() {
            links += 1;
            let target = follow(&here, &next, &metadata, links)?;
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            for component in components(&target).into_iter().rev() {
                rest.push_front(component);
            }
            continue;
        }
        check(&next, &metadata, if rest.is_empty() { last } else { Last::Ancestor }, us)?;
        here = next;
    }
    Ok(())
}

fn components(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    names.collect()
}

fn look(path: &Path) -> Result<Metadata, PathError> {
    fs::symlink_metadata(path).map_err(|source| PathError::Io { path: path.into(), source })
}

fn follow(directory: &Path, link: &Path, metadata: &Metadata, links: usize) -> Result<PathBuf, PathError> {
    if metadata.uid() != 0 || look(directory)?.uid() != 0 {
        return Err(PathError::Link { path: link.into() });
    }
    if links > MOST_LINKS {
        return Err(PathError::Io { path: link.into(), source: io::Error::from_raw_os_error(libc::ELOOP) });
    }
    fs::read_link(link).map_err(|source| PathError::Io { path: link.into(), source })
}

fn check(path: &Path, metadata: &Metadata, last: Last, us: u32) -> Result<(), PathError> {
    let kind_fits = match last {
        Last::File => metadata.is_file(),
        Last::Directory | Last::Ancestor => metadata.is_dir(),
    };
    if !kind_fits {
        return Err(PathError::Kind {
            path: path.into(),
            expected: if last == Last::File { "a regular file" } else { "a directory" },
        });
    }
    if metadata.uid() != 0 && metadata.uid() != us {
        return Err(PathError::Owner { path: path.into(), uid: metadata.uid() });
    }
    let protected = last == Last::Ancestor && metadata.mode() & STICKY != 0;
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 && !protected {
        return Err(PathError::Writable { path: path.into(), mode: metadata.mode() & 0o7777 });
    }
    Ok(())
}

/// Why a path is not safe to use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// A component belongs to somebody else.
    #[error("{} belongs to uid {uid}, who could replace what the daemon relies on", .path.display())]
    Owner {
        /// The component.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Others can write to a component.
    #[error("{} can be written by others (mode {mode:04o})", .path.display())]
    Writable {
        /// The component.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A component is a symbolic link that is not root's, or not in a directory of root's.
    #[error("{} is a symbolic link that is not root's in a directory of root's", .path.display())]
    Link {
        /// The component.
        path: PathBuf,
    },
    /// A component is something else than the path needs.
    #[error("{} is not {expected}", .path.display())]
    Kind {
        /// The component.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// The system said no.
    #[error("{} can't be checked", .path.display())]
    Io {
        /// The component.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl PathError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Owner { path, .. } => {
                Some(format!("give {} to root or to the daemon's user", path.display()))
            }
            Self::Writable { path, .. } => Some(format!("run: chmod go-w {}", path.display())),
            Self::Link { .. } => Some("name the place that the link points to".into()),
            Self::Kind { .. } | Self::Io { .. } => None,
        }
    }
}
