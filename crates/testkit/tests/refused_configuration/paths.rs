//! Files that are not there, not what they should be, or that somebody else could change.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};

use rustix::fs::{CWD, FileType, Mode};
use tokenbroker_testkit::{Install, require_or_skip, root};

use crate::{ISSUER, refused};

fn install() -> Install {
    let install = Install::new();
    install.config(ISSUER);
    install
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let install = Install::new();
    let file = install.config_file();
    refused(
        &install,
        &[
            &format!("{}: there is no such file\n", file.display()),
            "hint: write one, or name another with --config FILE\n",
        ],
    );
}

#[test]
fn a_configuration_that_is_no_file_or_no_text_is_named() {
    let install = Install::new();
    fs::create_dir(install.config_file()).unwrap();
    refused(&install, &["config.toml is not a regular file"]);

    let install = Install::new();
    fs::write(install.config_file(), b"# \xff\n").unwrap();
    refused(&install, &["config.toml: ", "UTF-8"]);
}

#[test]
fn s16_a_configuration_that_others_can_write_is_refused() {
    for mode in [0o666, 0o620] {
        let install = install();
        fs::set_permissions(install.config_file(), Permissions::from_mode(mode)).unwrap();
        let file = install.config_file();
        let (file, mode) = (file.display(), format!("{mode:04o}"));
        refused(
            &install,
            &[
                &format!("{file} can be written by others (mode {mode})\n"),
                &format!("hint: run: chmod go-w {file}\n"),
            ],
        );
    }
}

#[test]
fn s16_a_directory_of_the_configuration_that_others_can_write_is_refused() {
    let install = install();
    fs::set_permissions(install.path(), Permissions::from_mode(0o777)).unwrap();
    refused(
        &install,
        &[
            &format!("{} can be written by others (mode 0777)\n", install.path().display()),
            &format!("hint: run: chmod go-w {}\n", install.path().display()),
        ],
    );
}

#[test]
fn s16_a_link_that_is_not_roots_is_refused() {
    if !require_or_skip("links and files of another user", root()) {
        return;
    }
    let install = install();
    let elsewhere = install.path().join("elsewhere.toml");
    fs::rename(install.config_file(), &elsewhere).unwrap();
    symlink(&elsewhere, install.config_file()).unwrap();
    install.tokenbrokerd(["--check-config"]).run().success();

    lchown(install.config_file(), Some(2001), Some(2001)).unwrap();
    refused(
        &install,
        &[
            "config.toml is a symbolic link that is not root's in a directory of root's\n",
            "hint: name the place that the link points to\n",
        ],
    );
}

#[test]
fn s16_a_configuration_of_another_user_is_refused() {
    if !require_or_skip("links and files of another user", root()) {
        return;
    }
    let install = install();
    lchown(install.config_file(), Some(2001), Some(2001)).unwrap();
    refused(
        &install,
        &[
            "config.toml belongs to uid 2001, who could replace",
            "hint: give ",
            " to root or to the daemon's user\n",
        ],
    );
}

#[test]
fn a_ca_file_that_can_not_be_used_is_refused_at_its_key() {
    for (content, words) in [
        (None, "No such file"),
        (Some("not a certificate\n"), "there is no certificate in it"),
        (Some("-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n"), "it is not a PEM file"),
    ] {
        let install = Install::new();
        install.config(&format!("{ISSUER}ca_file = \"ca.pem\"\n"));
        let file = install.path().join("ca.pem");
        if let Some(content) = content {
            fs::write(&file, content).unwrap();
        }
        refused(
            &install,
            &["config.toml:3:11: `issuers.as.ca_file`: the file can't be used: ", words, "\nhint: "],
        );
    }
}

#[test]
fn a_ca_file_that_is_no_file_is_refused_and_not_waited_for() {
    let install = Install::new();
    install.config(&format!("{ISSUER}ca_file = \"ca.pem\"\n"));
    rustix::fs::mknodat(CWD, install.path().join("ca.pem"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        .unwrap();
    refused(&install, &["`issuers.as.ca_file`: the file can't be used: it is not a regular file\n"]);
}
