//! Paths that others could tamper with are refused.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic, too")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokenbroker_ipc::{PathError, check_directory, check_file, check_parents, own_uid};

/// Neither root nor the user of any test run.
const STRANGER: u32 = 54_321;

struct Tree(TempDir);

impl Tree {
    /// A directory of this user's below the system's temporary one, which has the sticky bit.
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn directory(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir(&path).unwrap();
        set_mode(&path, mode);
        path
    }

    fn file(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, "").unwrap();
        set_mode(&path, mode);
        path
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn is_root(test: &str) -> bool {
    if own_uid() != 0 {
        eprintln!("NOT RUN: {test} gives files to other users, which takes root");
    }
    own_uid() == 0
}

#[test]
fn s16_what_only_we_can_write_is_fine() {
    let tree = Tree::new();
    let directory = tree.directory("state", 0o755);
    let file = tree.file("state/config.toml", 0o644);
    check_directory(&directory).unwrap();
    check_file(&file).unwrap();
    check_parents(&directory.join("broker.sock")).unwrap();
    check_file(&directory.join("../state/./config.toml")).unwrap();
}

#[test]
fn s16_what_does_not_exist_yet_is_fine_if_its_parents_are() {
    let tree = Tree::new();
    let open = tree.directory("open", 0o777);
    check_directory(&tree.0.path().join("state/deep")).unwrap();
    assert!(
        matches!(check_directory(&open.join("state")), Err(PathError::Writable { path, .. }) if path == open)
    );
}

#[test]
fn s16_what_others_can_write_is_refused_and_named() {
    let tree = Tree::new();
    for mode in [0o777, 0o770, 0o707] {
        let name = format!("{mode:o}");
        let open = tree.directory(&name, mode);
        fs::write(open.join("file"), "").unwrap();
        for refused in
            [check_file(&open.join("file")), check_parents(&open.join("file")), check_directory(&open)]
        {
            let refused = refused.unwrap_err();
            assert!(refused.to_string().starts_with(open.to_str().unwrap()), "{refused}");
            assert_eq!(refused.hint().unwrap(), format!("run: chmod go-w {}", open.display()));
        }
    }
    let open = tree.file("open", 0o666);
    assert!(matches!(check_file(&open), Err(PathError::Writable { mode: 0o666, .. })));
}

#[test]
fn s16_the_sticky_bit_protects_what_is_below_a_directory_but_not_the_directory() {
    let tree = Tree::new();
    let sticky = tree.directory("sticky", 0o1777);
    let file = tree.file("sticky/file", 0o600);
    check_file(&file).unwrap();
    check_parents(&sticky.join("broker.sock")).unwrap();
    assert!(matches!(check_directory(&sticky), Err(PathError::Writable { .. })));
}

#[test]
fn s16_a_link_of_somebody_elses_is_refused() {
    let tree = Tree::new();
    let file = tree.file("file", 0o600);
    let link = tree.0.path().join("link");
    symlink(&file, &link).unwrap();
    if own_uid() != 0 {
        assert!(matches!(check_file(&link), Err(PathError::Link { .. })));
        return;
    }
    check_file(&link).unwrap();
    lchown(&link, Some(STRANGER), None).unwrap();
    assert!(matches!(check_file(&link), Err(PathError::Link { path }) if path == link));
}

#[test]
fn s16_where_a_link_leads_is_checked_too() {
    if !is_root("s16_where_a_link_leads_is_checked_too") {
        return;
    }
    let tree = Tree::new();
    let open = tree.directory("open", 0o777);
    fs::write(open.join("file"), "").unwrap();
    let link = tree.0.path().join("link");
    symlink("open", &link).unwrap();
    assert!(matches!(check_file(&link.join("file")), Err(PathError::Writable { path, .. }) if path == open));

    let circle = tree.0.path().join("circle");
    symlink("circle", &circle).unwrap();
    assert!(matches!(check_file(&circle), Err(PathError::Io { .. })));
}

#[test]
fn s16_what_belongs_to_others_is_refused() {
    if !is_root("s16_what_belongs_to_others_is_refused") {
        return;
    }
    let tree = Tree::new();
    let theirs = tree.directory("theirs", 0o755);
    fs::write(theirs.join("file"), "").unwrap();
    chown(&theirs, Some(STRANGER), None).unwrap();
    for refused in [check_file(&theirs.join("file")), check_directory(&theirs)] {
        assert!(matches!(refused, Err(PathError::Owner { path, uid: STRANGER }) if path == theirs));
    }
}

#[test]
fn s56_a_directory_where_a_file_should_be_is_refused() {
    let tree = Tree::new();
    let directory = tree.directory("directory", 0o700);
    let file = tree.file("file", 0o600);
    assert!(matches!(check_file(&directory), Err(PathError::Kind { .. })));
    assert!(matches!(check_directory(&file), Err(PathError::Kind { .. })));
    assert!(matches!(check_file(&file.join("below")), Err(PathError::Kind { path, .. }) if path == file));
}
