//! The configuration that packages install.

#![expect(clippy::unwrap_used, reason = "what a test can't do without fails it")]

use std::fs;
use std::path::Path;

use tokenbroker_testkit::Install;

#[test]
fn the_example_configuration_is_valid_as_it_is_installed() {
    assert_valid(&example());
}

#[test]
fn the_example_configuration_is_valid_with_every_setting_in_it() {
    let all: String = example().lines().map(|line| format!("{}\n", without_mark(line))).collect();
    assert!(all.contains("\n[daemon]\n") && all.contains("\nallow = "), "{all}");
    assert_valid(&all);
}

/// Settings to try have a mark right in front of them, prose has a space in between.
fn without_mark(line: &str) -> &str {
    line.strip_prefix('#').filter(|setting| !setting.is_empty() && !setting.starts_with(' ')).unwrap_or(line)
}

#[track_caller]
fn assert_valid(configuration: &str) {
    let install = Install::new();
    install.raw_config(configuration);
    let output = install.tokenbrokerd(["--check-config"]).run();
    assert_eq!(output.code, 0, "{}", output.stderr);
}

fn example() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    fs::read_to_string(root.join("packaging/config.toml")).unwrap()
}
