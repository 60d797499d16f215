//! Configurations that the daemon refuses, as whoever wrote them sees it: exit code 78, the place, the words, the hint.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod check;
mod fragments;
mod paths;
mod secrets;
mod urls;
mod words;

use tokenbroker_testkit::Install;

/// EX_CONFIG of sysexits.h.
const REFUSED: i32 = 78;

const ISSUER: &str = "[issuers.as]\nissuer = \"https://as.example\"\n";

const CLIENT: &str = "[clients.app]\nissuer = \"as\"\nclient_id = \"app\"\nauth = \"client_secret_post\"\n";

/// What the daemon says of a text that it refuses at `line:column` of its configuration file.
#[track_caller]
fn refused_at(place: &str, text: &str, words: &[&str]) -> String {
    let install = Install::new();
    install.config(text);
    let place = format!("{}:{place}: ", install.config_file().display());
    refused(&install, &[&[place.as_str()], words].concat())
}

/// The same words whether it is only checked or started, which leaves nothing behind.
#[track_caller]
fn refused(install: &Install, words: &[&str]) -> String {
    let words = [&["error: the configuration is refused\n"], words].concat();
    let checked = install.tokenbrokerd(["--check-config"]).run().refused(REFUSED, &words);
    let started = install.tokenbrokerd([""; 0]).run().refused(REFUSED, &words);
    assert_eq!(checked, started);
    assert!(!install.socket().exists());
    assert_eq!(std::fs::read_dir(install.state_dir()).unwrap().count(), 0);
    started
}
