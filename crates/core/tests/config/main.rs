//! The configuration as its author meets it: what is taken, what is refused, and in which words.

mod certificates;
mod mistakes;
mod rules;
mod secrets;
mod valid;

use tokenbroker_core::config::{Config, ConfigErrors, NoFiles, Source, parse};

const ISSUER: &str = "[issuers.as]\nissuer = \"https://as.example\"\n";
const CLIENT: &str = "[clients.c]\nissuer = \"as\"\nclient_id = \"c\"\nauth = \"client_secret_basic\"\n";

/// Files by name.
fn parse_files(files: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let source = |(path, text): &(&str, &str)| Source { path: path.into(), text: (*text).into() };
    parse(&files.iter().map(source).collect::<Vec<_>>(), &NoFiles)
}

/// One file, `c.toml`.
fn parse_text(text: &str) -> Result<Config, ConfigErrors> {
    parse_files(&[("c.toml", text)])
}
