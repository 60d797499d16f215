//! `config.toml` and `conf.d` of a user: what is refused when they are read together.

use std::fs;
use std::path::PathBuf;

use tokenbroker_testkit::{Install, Run, require_or_skip};

use crate::{CLIENT, ISSUER, REFUSED};

const ANN: u32 = 2001;

/// A directory that holds a user's configuration: the file, and fragments by their names.
struct Home {
    install: Install,
    directory: PathBuf,
}

impl Home {
    /// `None` if this host has no way to be such a user.
    fn new(config: &str, fragments: &[(&str, &str)]) -> Option<Self> {
        if !require_or_skip("configuration of a user", personal()) {
            return None;
        }
        let install = Install::new();
        install.open_to_other_users();
        let directory = install.path().join("xdg/tokenbroker");
        fs::create_dir_all(directory.join("conf.d")).unwrap();
        fs::write(directory.join("config.toml"), config).unwrap();
        for (name, text) in fragments {
            fs::write(directory.join("conf.d").join(name), text).unwrap();
        }
        Some(Self { install, directory })
    }

    fn check(&self) -> Run {
        let run = self.install.tokenbrokerd_of_user(["--check-config"]);
        let run = run.env("XDG_CONFIG_HOME", self.install.path().join("xdg"));
        if rustix::process::geteuid().is_root() { run.as_user(ANN, ANN) } else { run }
    }

    fn path(&self, below: &str) -> String {
        self.directory.join(below).display().to_string()
    }
}

/// Only people's own daemons look there.
fn personal() -> Result<(), String> {
    match rustix::process::geteuid().as_raw() {
        1..1000 => Err("system users have no configuration of their own".into()),
        _ => Ok(()),
    }
}

#[test]
fn fragments_are_read_in_the_order_of_their_names_and_nothing_else_is() {
    let Some(home) = Home::new(ISSUER, &[("10-app.toml", CLIENT), ("notes.txt", "not TOML")]) else { return };
    let output = home.check().run().expect(0);
    assert!(output.stderr.contains("the configuration is valid"), "{output:?}");
}

#[test]
fn a_client_in_two_files_is_refused_with_both_places() {
    let Some(home) = Home::new(&format!("{ISSUER}{CLIENT}"), &[("10-app.toml", CLIENT)]) else { return };
    let first =
        format!("{}:2:1: `clients.app.issuer` is set twice: here and at ", home.path("conf.d/10-app.toml"));
    let second = format!("{}:4:1\nhint: remove one of the two\n", home.path("config.toml"));
    home.check().run().refused(REFUSED, &[&first, &second]);
}

#[test]
fn a_mistake_in_a_fragment_is_named_with_its_file() {
    let Some(home) =
        Home::new(ISSUER, &[("10-app.toml", CLIENT), ("20-more.toml", "[clients.app]\nsope = \"a\"\n")])
    else {
        return;
    };
    let place = format!("{}:2:1: unknown key `sope`", home.path("conf.d/20-more.toml"));
    home.check().run().refused(REFUSED, &[&place, "hint: did you mean `scope`?"]);
}

#[test]
fn without_a_configuration_the_place_where_it_should_be_is_named() {
    let Some(home) = Home::new(ISSUER, &[]) else { return };
    fs::remove_file(home.directory.join("config.toml")).unwrap();
    let place = format!("{}: there is no such file\n", home.path("config.toml"));
    home.check().run().refused(REFUSED, &[&place, "hint: write one, or name another with --config FILE"]);
}
