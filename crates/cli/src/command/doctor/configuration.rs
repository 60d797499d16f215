//! The files of the configuration: whether they are there, and whether the daemon can and will read them. Nobody reads
//! them here.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tokenbroker_client::protocol::{Check, Verdict};

use super::accounts::{Access, Account, Accounts};
use super::{bad, good, skipped};

const SUBJECT: &str = "configuration";

/// What the daemon refuses to see in the mode of a file.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A directory with a configuration.
pub(super) struct Directory<'a> {
    pub path: &'a Path,
    /// The user that a daemon with this configuration runs as, if that is known.
    pub reader: Option<Account>,
    /// Whether it is the only one that counts.
    pub is_needed: bool,
}

impl Directory<'_> {
    pub(super) fn main(path: &Path) -> PathBuf {
        path.join("config.toml")
    }

    pub(super) fn checks(&self, accounts: &Accounts) -> Vec<Check> {
        let file = Self::main(self.path);
        let mut checks = vec![match fs::metadata(&file) {
            Ok(found) => self
                .closed(self.path, &[Access::Enter])
                .unwrap_or_else(|| self.check(&file, &found, accounts)),
            Err(error) => self.missing(&file, &error),
        }];
        let fragments = self.path.join("conf.d");
        match list(&fragments) {
            Ok(files) => checks.extend(self.fragments(&fragments, &files, accounts)),
            Err(error) if is_absence(&error) => {}
            Err(error) => checks.push(unseen(&fragments, &error)),
        }
        checks
    }

    /// What is wrong with each of them, or that all of them are well: there may be very many.
    fn fragments(&self, directory: &Path, files: &[PathBuf], accounts: &Accounts) -> Vec<Check> {
        if let Some(closed) = self.closed(directory, &[Access::Enter, Access::Read]) {
            return vec![closed];
        }
        let check = |file: &PathBuf| match fs::metadata(file) {
            Ok(found) => self.check(file, &found, accounts),
            Err(error) => unseen(file, &error),
        };
        let problems: Vec<Check> =
            files.iter().map(check).filter(|check| check.verdict != Verdict::Good).collect();
        if !problems.is_empty() || files.is_empty() {
            return problems;
        }
        let number = match files.len() {
            1 => "1 file".to_owned(),
            number => format!("{number} files"),
        };
        vec![good(SUBJECT, format!("{}: {number}, with nothing in the daemon's way", directory.display()))]
    }

    /// What is wrong with a directory that the daemon needs this access to.
    fn closed(&self, directory: &Path, needed: &[Access]) -> Option<Check> {
        let (reader, found) = (self.reader.as_ref()?, fs::metadata(directory).ok()?);
        if needed.iter().all(|access| reader.may(*access, &found)) {
            return None;
        }
        let (path, name) = (directory.display(), &reader.name);
        let finding = format!("{path} (mode {:04o}) is closed to the daemon's user {name}", mode(&found));
        Some(bad(SUBJECT, finding, format!("run `chmod o+rx {path}`")))
    }

    fn check(&self, file: &Path, found: &Metadata, accounts: &Accounts) -> Check {
        let path = file.display();
        if !found.is_file() {
            return bad(SUBJECT, format!("{path} is no regular file"), "put a file in its place".to_owned());
        }
        let owner = accounts.with_uid(found.uid()).name;
        let shown = format!("{path} (owner {owner}, mode {:04o})", mode(found));
        if mode(found) & WRITABLE_BY_OTHERS != 0 {
            let finding = format!("{shown} can be written by others, so the daemon refuses it");
            return bad(SUBJECT, finding, format!("run `chmod go-w {path}`"));
        }
        let Some(reader) = &self.reader else {
            return good(SUBJECT, format!("{shown} is there{}", audience(found)));
        };
        let name = &reader.name;
        match () {
            () if found.uid() != 0 && found.uid() != reader.uid => {
                let finding = format!("{shown} is neither root's nor {name}'s, so the daemon refuses it");
                bad(SUBJECT, finding, format!("run `chown root {path}`"))
            }
            () if !reader.may(Access::Read, found) => {
                let finding = format!("{shown} can't be read by the daemon's user {name}");
                bad(SUBJECT, finding, format!("run `chgrp {name} {path}`, then `chmod g+r {path}`"))
            }
            () => good(SUBJECT, format!("{shown} can be read by {name}{}", audience(found))),
        }
    }

    fn missing(&self, file: &Path, error: &io::Error) -> Check {
        match () {
            () if !is_absence(error) => unseen(file, error),
            () if self.is_needed => bad(
                SUBJECT,
                format!("{}: there is no such file", file.display()),
                "write it, and see with `tokenbrokerd --check-config` whether it is right".to_owned(),
            ),
            () => skipped(SUBJECT, format!("{}: there is no such file", file.display())),
        }
    }
}

/// Who else reads it. There is nothing secret in it: the daemon refuses one that has.
fn audience(found: &Metadata) -> &'static str {
    match mode(found) {
        mode if mode & 0o004 != 0 => ", and by everybody: no secret belongs in it",
        mode if mode & 0o040 != 0 => ", and by its group",
        _ => "",
    }
}

fn unseen(path: &Path, error: &io::Error) -> Check {
    let path = path.display();
    match error.kind() {
        ErrorKind::PermissionDenied => skipped(SUBJECT, format!("{path} can't be looked at by this user")),
        _ => bad(SUBJECT, format!("{path}: {error}"), None),
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn mode(found: &Metadata) -> u32 {
    found.mode() & 0o7777
}

/// The files that the daemon would take, in their order.
fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::super::accounts::own_uid;
    use super::*;

    fn write(path: &Path, mode: u32) {
        fs::write(path, "").unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn directory() -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        directory
    }

    /// Who owns what these tests write.
    fn owner() -> Account {
        Account { name: "owner".into(), uid: own_uid().unwrap(), groups: Vec::new() }
    }

    fn stranger() -> Account {
        Account { name: "tokenbroker".into(), uid: own_uid().unwrap() + 1, groups: Vec::new() }
    }

    fn checks(path: &Path, reader: Option<Account>) -> Vec<Check> {
        Directory { path, reader, is_needed: true }.checks(&Accounts::default())
    }

    fn only(path: &Path, reader: Option<Account>) -> Check {
        let mut checks = checks(path, reader);
        assert_eq!(checks.len(), 1, "{checks:?}");
        checks.remove(0)
    }

    #[test]
    fn a_file_that_the_daemon_can_read_is_good_and_who_else_can_is_said() {
        let directory = directory();
        let file = Directory::main(directory.path());
        for (mode, end) in [
            (0o600, "can be read by owner"),
            (0o640, "can be read by owner, and by its group"),
            (0o644, "can be read by owner, and by everybody: no secret belongs in it"),
        ] {
            write(&file, mode);
            let check = only(directory.path(), Some(owner()));
            assert_eq!(check.verdict, Verdict::Good);
            assert!(check.finding.ends_with(end), "{}", check.finding);
        }
        let check = only(directory.path(), None);
        assert!(
            check.finding.ends_with("is there, and by everybody: no secret belongs in it"),
            "{}",
            check.finding
        );
    }

    #[test]
    fn a_file_that_others_can_write_is_refused_by_the_daemon() {
        let directory = directory();
        let file = Directory::main(directory.path());
        for mode in [0o664, 0o646] {
            write(&file, mode);
            let check = only(directory.path(), Some(owner()));
            assert_eq!(check.verdict, Verdict::Bad);
            assert_eq!(check.remedy.unwrap(), format!("run `chmod go-w {}`", file.display()));
        }
    }

    #[test]
    fn a_file_or_a_directory_that_is_closed_to_the_daemon_is_found() {
        let directory = directory();
        write(&Directory::main(directory.path()), 0o600);
        let check = only(directory.path(), Some(stranger()));
        assert_eq!(check.verdict, Verdict::Bad, "{}", check.finding);
        fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
        let check = only(directory.path(), Some(stranger()));
        assert_eq!(check.verdict, Verdict::Bad);
        assert!(check.finding.ends_with("(mode 0700) is closed to the daemon's user tokenbroker"));
    }

    #[test]
    fn a_configuration_that_is_missing_is_wrong_where_it_is_the_only_one() {
        let directory = directory();
        let check = only(directory.path(), None);
        assert_eq!(check.verdict, Verdict::Bad);
        assert!(check.remedy.unwrap().contains("--check-config"));
        let other = Directory { path: directory.path(), reader: None, is_needed: false };
        assert_eq!(other.checks(&Accounts::default())[0].verdict, Verdict::Skipped);
        fs::create_dir(Directory::main(directory.path())).unwrap();
        assert!(only(directory.path(), None).finding.ends_with("is no regular file"));
    }

    #[test]
    fn fragments_are_counted_unless_something_is_wrong_with_one() {
        let directory = directory();
        let fragments = directory.path().join("conf.d");
        fs::create_dir(&fragments).unwrap();
        fs::set_permissions(&fragments, Permissions::from_mode(0o755)).unwrap();
        write(&Directory::main(directory.path()), 0o644);
        assert_eq!(checks(directory.path(), Some(owner())).len(), 1, "none of them");
        for name in ["10-a.toml", "20-b.toml", "README"] {
            write(&fragments.join(name), 0o644);
        }
        let [_, all] = &checks(directory.path(), Some(owner()))[..] else { panic!("one for all") };
        assert!(
            all.finding.ends_with("conf.d: 2 files, with nothing in the daemon's way"),
            "{}",
            all.finding
        );
        write(&fragments.join("20-b.toml"), 0o666);
        let [_, one] = &checks(directory.path(), Some(owner()))[..] else { panic!("one that is wrong") };
        assert_eq!(one.verdict, Verdict::Bad);
        assert!(one.finding.contains("20-b.toml"), "{}", one.finding);
    }
}
