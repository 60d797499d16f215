//! The names of pipes.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::own_sid;

/// Where pipes of this host are.
const PIPES: &str = r"\\.\pipe\";

/// The pipe of the system's daemon; that of a user's own has the user's SID after it.
const SYSTEM: &str = r"\\.\pipe\tokenbroker";

/// As long as Windows takes.
const LONGEST: usize = 256;

/// Where a daemon may listen, the user's own first.
pub(crate) fn places(_: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let user = own_sid().ok().map(|sid| PathBuf::from(format!("{SYSTEM}-{sid}")));
    user.into_iter().chain([PathBuf::from(SYSTEM)]).collect()
}

/// Checks that `path` can name nothing but a pipe of this host: neither a file, nor a pipe of another host, whose
/// system and administrators would pass for ours.
pub(super) fn check_name(path: &Path) -> io::Result<()> {
    let name = path.to_str().and_then(|path| {
        let (directory, name) = path.split_at_checked(PIPES.len())?;
        directory.eq_ignore_ascii_case(PIPES).then_some(name)
    });
    let fits = |name: &str| {
        (1..=LONGEST - PIPES.len()).contains(&name.encode_utf16().count())
            && !name.contains(|character: char| matches!(character, '\\' | '/') || character.is_control())
    };
    if name.is_some_and(fits) {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            r"not the name of a pipe on this host, \\.\pipe\NAME",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_pipe_comes_before_the_systems() {
        let user = format!(r"\\.\pipe\tokenbroker-{}", own_sid().unwrap());
        assert_eq!(places(|_| None), [Path::new(&user), Path::new(r"\\.\pipe\tokenbroker")]);
        assert!(places(|_| None).iter().all(|place| check_name(place).is_ok()));
    }

    #[test]
    fn s17_only_a_pipe_of_this_host_is_a_name() {
        assert!(check_name(Path::new(r"\\.\PIPE\x")).is_ok());
        let longest = format!(r"\\.\pipe\{}", "x".repeat(LONGEST - PIPES.len()));
        assert!(check_name(Path::new(&longest)).is_ok());
        for refused in [
            "",
            "x",
            r"C:\x",
            r"\\.\pipe",
            r"\\.\pipe\",
            r"\\server\pipe\x",
            r"\\.\C:\x",
            r"\\.\pipe\..\C:\x",
            r"\\.\pipe\x/y",
            "\\\\.\\pipe\\x\0",
            &format!("{longest}x"),
        ] {
            let error = check_name(Path::new(refused)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{refused}");
        }
    }
}
